//! The notify consumer.
