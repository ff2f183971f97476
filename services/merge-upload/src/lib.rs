//! The merge-upload consumer.
