//! What the media steps share: the tools, what ffprobe says of a file, and the documents that one step hands to the next.
//!
//! ```text
//! render-manim --scene.mp4, scene.json--> merge-upload <--speech.wav, speech.json-- generate-tts
//!       |                                     |
//!       +--- Ffmpeg::probe, Ffmpeg::decode ---+
//! ```
//!
//! A file that untrusted code wrote is read by one demuxer only ([`CONTAINER`]), from local files only: a playlist under
//! the name of a video could otherwise make ffmpeg read any file of this machine, or call an address.

mod check;
mod ffmpeg;
mod probe;
mod program;
pub mod sheets;

pub use check::{NotRegular, regular};
pub use ffmpeg::{Bench, CONTAINER, Ffmpeg, MediaError, Untrusted};
pub use probe::{Picture, Probed, Sound};
pub use program::{MissingTool, program, version};

/// How many sources of an error are told.
const SOURCES_MAX: usize = 8;

/// An error and what lay beneath it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    for _ in 0..SOURCES_MAX {
        let Some(source) = next else { break };
        line.push_str(": ");
        line.push_str(&source.to_string());
        next = source.source();
    }
    line
}
