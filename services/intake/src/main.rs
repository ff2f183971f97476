//! The intake consumer.
fn main() {}
