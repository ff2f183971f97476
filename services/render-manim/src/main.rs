//! The render-manim consumer.
fn main() {}
