//! Questions and commands that people ask: submit, list, show, follow, logs, download, doctor.
//!
//! ```text
//!   cli ─────┐                 ┌─► queue intake          submit
//!            ├─► qsketch-ops ──┼─► job table             list, show, follow
//!   console ─┘                 └─► store of files        logs, download
//! ```
//! Everything here speaks to the ports alone, so that every way in gets the same answers. A submission is a message, a
//! cancellation and a signal are one conditional write and its messages; all else is a question.
//!
//! # Invariants (each names its test)
//! - A person gets every reason at once, before anything is sent: `tests/commands.rs`,
//!   `a_bad_submission_is_refused_with_every_reason_and_nothing_is_sent`.
//! - A job that an id belongs to is never taken for ours: `tests/commands.rs`,
//!   `an_id_that_holds_another_content_is_told_before_and_after_the_sending`.
//! - A downloaded file is whole or not there: `tests/commands.rs`, `a_damaged_file_leaves_nothing_behind`.

pub mod cancel;
pub mod changes;
pub mod crowd;
pub mod delete;
pub mod dlq;
pub mod doctor;
pub mod download;
pub mod error;
pub mod follow;
pub mod list;
pub mod logs;
pub mod parallel;
pub mod pause;
pub mod redrive;
pub mod refund;
mod send;
pub mod show;
pub mod signal;
pub mod submit;

pub use cancel::{Canceled, cancel};
pub use changes::{Change, What, changes};
pub use crowd::{Crowd, Line, lines};
pub use delete::{Deleted, delete};
pub use doctor::{Check, State, doctor};
pub use download::{Downloaded, check_output, download};
pub use error::OpsError;
pub use follow::{Until, follow};
pub use list::{Cursor, Listing, Query, Row, list};
pub use logs::{Log, LogName, list_logs, read_log};
pub use parallel::{at_once_max, beside, compact};
pub use pause::{Changed, pause, resume};
pub use redrive::{Redriven, preview, preview_with, redrive, redrive_with};
pub use refund::{Redeemed, redeem};
pub use show::{ScriptNote, Shown, show, story};
pub use signal::{Signaled, approve, reject, signal};
pub use submit::{Prepared, Sent, Wish, new_id, prepare, submit};
