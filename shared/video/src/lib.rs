//! The video domain: what a customer may ask for, what a script is, the lessons that need no model, and the checks of media.
//!
//! ```text
//! submission --VideoRequest::parse--> VideoRequest --ScriptProvider::write--> Script { scenes }
//!                                                                              |        |
//!                                             narration --speech--> sentences, spoken   code -> Manim
//!                                                                      |
//!                              bytes of speech --media::check_audio--> AudioReport --captions--> WebVTT, transcript
//! ```
//!
//! Everything here is plain values and pure functions: no AWS, no clock, no environment, no process.
//! A document from outside is parsed once; after that it can't be wrong. Bounds are named constants.
pub mod captions;
pub mod media;
pub mod pipeline;
pub mod reason;
pub mod request;
pub mod script;
pub mod speech;
pub mod template;
pub mod voice;

pub use reason::Reason;
pub use request::{RequestError, VideoRequest};
pub use script::{Scene, Script, ScriptError, ScriptProvider};
pub use template::TemplateProvider;
pub use voice::{Language, Quality, Voice};
