//! The intake consumer.
