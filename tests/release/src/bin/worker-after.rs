//! A process of the release that is deployed.

use std::process::ExitCode;

use qsketch_release_tests::{AFTER, HELD_VARIABLE, SERVICE_VARIABLE};

#[expect(clippy::disallowed_methods, reason = "a main reads its environment")]
fn main() -> ExitCode {
    AFTER.run(std::env::var(SERVICE_VARIABLE).ok(), std::env::var(HELD_VARIABLE).ok())
}
