//! The notify consumer.
fn main() {}
