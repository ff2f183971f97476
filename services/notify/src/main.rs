//! The finalizer.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_notify::Notify;

fn main() -> ExitCode {
    let service = Service {
        name: "notify",
        about: "puts one event per closing of a job on the notifications queue",
        concurrency: 16,
        settings: &[],
    };
    host::run(service, async |_| Ok(Role::Step(Arc::new(Notify))))
}
