//! The generate-script consumer.
