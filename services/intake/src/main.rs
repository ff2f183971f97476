//! The consumer of submissions.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_intake::{Graphs, Intake};

fn main() -> ExitCode {
    let service = Service {
        name: "intake",
        about: "takes submissions from its queue and makes jobs of them",
        concurrency: 16,
        settings: &[],
    };
    host::run(service, async |context| {
        let graphs = Graphs::new(context.settings.lease)?;
        Ok(Role::Consumer(Arc::new(Intake::new(context.ports.clone(), context.outbox.clone(), graphs))))
    })
}
