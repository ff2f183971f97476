//! The generate-script consumer.
fn main() {}
