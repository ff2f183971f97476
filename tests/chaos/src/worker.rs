//! A process of the deployment under chaos: the main of a service, with the steps of this crate.

use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Context, Role, Scheduled, Service, StartError};
use qsketch_core::refund::Secret;
use qsketch_intake::{Graphs, INTAKE_QUEUE, Intake};
use qsketch_notify::Notify;
use qsketch_runtime::reconcile::{Mode, reconcile};
use qsketch_runtime::{Handler, QueueName, Worker};

use crate::broken::{self, AcknowledgesFirst, Broken};
use crate::graph::{LEASE, STEPS, TELL, graph};
use crate::steps::Step;

/// The variable that says which service a process is: `intake`, a step, or `reconciler`.
pub const SERVICE_VARIABLE: &str = "CHAOS_SERVICE";

/// The variable that names the folder of the journal.
pub const JOURNAL_VARIABLE: &str = "CHAOS_JOURNAL";

/// The variable that names the lease, in seconds.
pub const LEASE_VARIABLE: &str = "CHAOS_LEASE_SECS";

/// The variable that says how often the reconciler takes a turn, in seconds.
pub const TURN_VARIABLE: &str = "CHAOS_TURN_SECS";

/// The service that looks after the jobs.
pub const RECONCILER: &str = "reconciler";

/// How often the reconciler takes a turn: more often than a schedule could.
const TURN: Duration = Duration::from_secs(2);

/// What refund tokens are made from.
const SECRET: &str = "a secret of the tests, of forty bytes or so";

/// How many messages a worker works on at once.
const CONCURRENCY: usize = 4;

/// The settings of a process beside those of every service.
const SETTINGS: &[(&str, &str)] = &[
    (SERVICE_VARIABLE, "which service it is"),
    (JOURNAL_VARIABLE, "the folder of the journal"),
    (LEASE_VARIABLE, "the lease in seconds"),
];

/// What a process is told by its environment.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Which service it is.
    pub service: Option<String>,
    /// The folder of the journal.
    pub journal: Option<PathBuf>,
    /// The lease.
    pub lease: Option<Duration>,
    /// How often the reconciler takes a turn.
    pub turn: Option<Duration>,
    /// How it is broken on purpose.
    pub broken: Option<Broken>,
}

/// Runs a service until it is told to stop.
#[must_use]
pub fn run(told: Told) -> ExitCode {
    let known = [INTAKE_QUEUE, RECONCILER].into_iter().chain(STEPS);
    let name = known.into_iter().find(|known| Some(*known) == told.service.as_deref()).unwrap_or("unknown");
    let about = "a service of the deployment under chaos";
    if name == RECONCILER {
        return host::run_scheduled(Scheduled { name, about, period: told.turn.unwrap_or(TURN) }, async |ports| {
            let swept = reconcile(&ports, Mode::Mend).await.map_err(|error| error.chain())?;
            Ok(serde_json::to_value(swept)?)
        });
    }
    if told.broken == Some(Broken::NoParent) && !broken::is_child() {
        return broken::start_again_and_again();
    }
    let host = Service { name, about, concurrency: CONCURRENCY, settings: SETTINGS };
    host::run(host, async move |context| role(name, &told, &context))
}

fn role(name: &str, told: &Told, context: &Arc<Context>) -> Result<Role, StartError> {
    if name == INTAKE_QUEUE {
        let lease = told.lease.unwrap_or(LEASE);
        let graphs = Graphs { plain: graph(lease)?, approved: graph(lease)? };
        let intake = Intake::new(context.ports.clone(), context.outbox.clone(), graphs);
        return Ok(Role::Consumer(Arc::new(intake)));
    }
    if !STEPS.contains(&name) {
        return Err(format!("there is no service {:?}: set {SERVICE_VARIABLE}", told.service).into());
    }
    let handler: Arc<dyn Handler> = if name == TELL {
        Arc::new(Notify::new(Some(Arc::new(Secret::try_from(SECRET)?))))
    } else {
        let journal = told.journal.clone().ok_or_else(|| format!("{JOURNAL_VARIABLE} is not set"))?;
        Arc::new(Step { journal, program: std::env::current_exe()? })
    };
    if told.broken == Some(Broken::AcknowledgesFirst) {
        let queue = QueueName::new(name);
        let worker = Worker::new(context.ports.clone(), context.outbox.clone(), queue.clone(), handler);
        let queues = Arc::clone(&context.ports.queues);
        return Ok(Role::Consumer(Arc::new(AcknowledgesFirst { worker, queues, queue })));
    }
    Ok(Role::Step(handler))
}
