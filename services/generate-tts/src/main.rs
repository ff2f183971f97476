//! The generate-tts consumer.
fn main() {}
