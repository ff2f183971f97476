//! The render-manim consumer.
