//! The consumer of submissions.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service, StartError};
use qsketch_core::limits::TENANT_JOBS_MAX;
use qsketch_intake::{Graphs, Intake};
use qsketch_runtime::config::Environment;

const JOBS_MAX: &str = "QSKETCH_TENANT_JOBS_MAX";

fn main() -> ExitCode {
    let service = Service {
        name: "intake",
        about: "takes submissions from its queue and makes jobs of them",
        concurrency: 16,
        settings: &[(JOBS_MAX, "how many jobs of one tenant run at once, others are queued; no cap")],
    };
    host::run(service, async |context| {
        let graphs = Graphs::new(context.settings.lease)?;
        let intake = Intake::new(context.ports.clone(), context.outbox.clone(), graphs);
        Ok(Role::Consumer(Arc::new(intake.with_cap(jobs_max(&context.environment)?))))
    })
}

/// The cap on one tenant's jobs; none where it is not set, or empty.
fn jobs_max(environment: &Environment) -> Result<Option<u32>, StartError> {
    let Some(text) = environment.get(JOBS_MAX).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse() {
        Ok(jobs) if (1..=TENANT_JOBS_MAX).contains(&jobs) => Ok(Some(jobs)),
        _ => Err(format!("{JOBS_MAX} is {text:?}: use 1 to {TENANT_JOBS_MAX}, or nothing for no cap").into()),
    }
}
