//! Is the deployment well? Each question has an answer and, where it is not well, what to do.

use core::time::Duration;

use futures_util::future::join_all;
use qsketch_core::JobId;
use qsketch_runtime::ports::Depth;
use qsketch_runtime::{PortError, PortErrorKind, Ports, QueueName};
use qsketch_video::pipeline::{GENERATE_SCRIPT, GENERATE_TTS, MERGE_UPLOAD, NOTIFY, RENDER_MANIM};
use serde::Serialize;

use crate::submit::INTAKE_QUEUE;

/// The queues that services consume, each with a dead-letter queue.
pub const CONSUMED: [&str; 6] = [INTAKE_QUEUE, GENERATE_SCRIPT, RENDER_MANIM, GENERATE_TTS, MERGE_UPLOAD, NOTIFY];

/// The queue of submissions that can't be read.
pub const REJECTED_QUEUE: &str = "rejected";

/// The queue that the customer's systems read.
pub const NOTIFICATIONS_QUEUE: &str = "notifications";

/// How long a queue whose messages nobody works on is given before it is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Well.
    Ok,
    /// Worth a look.
    Warn,
    /// Broken.
    Fail,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do, where it is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// It is well.
    #[must_use]
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, detail: detail.into(), remedy: None }
    }

    /// It is worth a look.
    #[must_use]
    pub fn warn(name: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    /// It is broken.
    #[must_use]
    pub fn fail(name: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Fail, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// Looks at the table, the bucket and every queue.
pub async fn doctor(ports: &Ports) -> Vec<Check> {
    let (table, bucket) = tokio::join!(table(ports), bucket(ports));
    let mut checks = vec![clock(ports), table, bucket];
    checks.extend(join_all(CONSUMED.map(|name| consumed(ports, name))).await);
    let dead = CONSUMED.map(|name| {
        set_aside(
            ports,
            QueueName::new(name).dead(),
            "dead letters: `qsketch dlq list` tells why; mend it, then `qsketch dlq redrive --all` sends them back",
        )
    });
    checks.extend(join_all(dead).await);
    let rejected = "submissions that could not be read: `qsketch dlq list` says why, `qsketch dlq drop` deletes them";
    checks.push(set_aside(ports, QueueName::new(REJECTED_QUEUE), rejected).await);
    checks.push(match ports.queues.depth(&QueueName::new(NOTIFICATIONS_QUEUE)).await {
        Ok(depth) => Check::ok(queue(NOTIFICATIONS_QUEUE), format!("{} for your systems to read", told(depth))),
        Err(error) => broken(&queue(NOTIFICATIONS_QUEUE), &error),
    });
    checks
}

async fn table(ports: &Ports) -> Check {
    let Ok(nobody) = JobId::try_from("doctor") else {
        return Check::fail("table", "no job id could be made", "this is a mistake of ours: report it");
    };
    match ports.table.load_job(&nobody).await {
        Ok(_) => Check::ok("table", "it answers"),
        Err(error) => broken("table", &error),
    }
}

/// By what the table has answered until now.
fn clock(ports: &Ports) -> Check {
    match ports.clock.offset() {
        None => Check::warn("clock", "no reply told the time", "see whether the table answers"),
        Some(offset) if offset.is_off() => Check::fail(
            "clock",
            format!("beside the services' this machine's is {offset}"),
            "set it (NTP): a worker whose clock is off by more than 1 s claims nothing",
        ),
        Some(offset) => Check::ok("clock", format!("beside the services' this machine's is {offset}; 1 s is allowed")),
    }
}

async fn bucket(ports: &Ports) -> Check {
    match ports.store.list("jobs/", 1).await {
        Ok(_) => Check::ok("bucket", format!("it answers: {}", ports.store.location(""))),
        Err(error) => broken("bucket", &error),
    }
}

async fn consumed(ports: &Ports, name: &str) -> Check {
    let queue_name = QueueName::new(name);
    let look = || ports.queues.depth(&queue_name);
    let mut depth = match look().await {
        Ok(depth) => depth,
        Err(error) => return broken(&queue(name), &error),
    };
    if is_left_alone(depth) {
        // A message may just have come: only what is still alone a little later has no consumer.
        tokio::time::sleep(SECOND_LOOK).await;
        depth = look().await.unwrap_or(depth);
    }
    if is_left_alone(depth) {
        let remedy = format!("nobody seems to work on them: see whether {name} runs, and its log");
        return Check::warn(queue(name), told(depth), remedy);
    }
    Check::ok(queue(name), told(depth))
}

async fn set_aside(ports: &Ports, name: QueueName, remedy: &str) -> Check {
    match ports.queues.depth(&name).await {
        Ok(Depth { visible: 0, in_flight: 0 }) => Check::ok(queue(name.as_str()), "empty"),
        Ok(depth) => Check::warn(queue(name.as_str()), told(depth), remedy),
        Err(error) => broken(&queue(name.as_str()), &error),
    }
}

fn is_left_alone(depth: Depth) -> bool {
    depth.visible > 0 && depth.in_flight == 0
}

fn told(depth: Depth) -> String {
    match depth {
        Depth { visible: 0, in_flight: 0 } => "empty".to_owned(),
        Depth { visible, in_flight } => format!("{visible} wait, {in_flight} received and not yet deleted"),
    }
}

fn queue(name: &str) -> String {
    format!("queue {name}")
}

fn broken(name: &str, error: &PortError) -> Check {
    let remedy = match error.kind {
        PortErrorKind::Unavailable => "check AWS_ENDPOINT_URL, and whether the stack is up (locally: make up)",
        PortErrorKind::Denied => "check the AWS credentials and what they may do",
        PortErrorKind::Missing => "check the QSKETCH_ settings, and whether the stack is deployed (locally: make up)",
        PortErrorKind::Throttled => "try again in a while",
        PortErrorKind::Invalid | PortErrorKind::Damaged | PortErrorKind::Newer | PortErrorKind::TooLarge => {
            "check AWS_REGION and the versions of what is deployed and of this command"
        }
    };
    Check::fail(name, error.chain(), remedy)
}
