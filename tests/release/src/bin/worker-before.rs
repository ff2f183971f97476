//! A process of the release that is there.

use std::process::ExitCode;

use qsketch_release_tests::{BEFORE, HELD_VARIABLE, SERVICE_VARIABLE};

#[expect(clippy::disallowed_methods, reason = "a main reads its environment")]
fn main() -> ExitCode {
    BEFORE.run(std::env::var(SERVICE_VARIABLE).ok(), std::env::var(HELD_VARIABLE).ok())
}
