//! The generate-tts consumer.
