//! The merge-upload consumer.
fn main() {}
