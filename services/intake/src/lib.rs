//! Submissions become jobs: each one, delivered any number of times, makes exactly one.
//!
//! ```text
//!   submission ─┬─ unreadable ─► the rejected queue, with the reason
//!               ├─ invalid ────► a REJECTED job under an id derived from the message
//!               └─ valid ──────► input (if absent) ─► job (if absent) ─► the first task's message
//! ```
//! Everything is done again on redelivery; the parts `input` and `job`, as they stand in the table, tell "the same again"
//! from "the id is taken", and say the same at every delivery.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use qsketch_core::decide::{is_started, start_message};
use qsketch_core::digest::sha256;
use qsketch_core::limits::{LAYOUT, TENANT_JOBS_MAX};
use qsketch_core::parts::{JobStatus, expires_at};
use qsketch_core::{Commit, Input, Job, JobId, Part, Pipeline, Refusal, Tenant, Time, Write};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::consume::trouble_pause;
use qsketch_runtime::crew::{Crew, InHand};
use qsketch_runtime::pipelines::Pipelines;
use qsketch_runtime::ports::{Outgoing, PortError, PortErrorKind, Remedy};
use qsketch_runtime::tenants::Tenants;
use qsketch_runtime::{Clock, Consumer, Delivery, Fate, Ports, QueueName, Stop};
use qsketch_video::{Reason, RequestError, VideoRequest};

pub use qsketch_video::pipeline::Graphs;

/// The queue of submissions.
pub const INTAKE_QUEUE: &str = "intake";

/// The queue of submissions that can't be read.
pub const REJECTED_QUEUE: &str = "rejected";

/// The largest message, its attributes included, in bytes.
///
/// # Source
/// SQS API reference, `SendMessage`, read 2026-11-22.
const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// Room for the attributes of a message that is set aside, in bytes: a reason of 200, a message id of 100 and a number,
/// with their names and types.
///
/// # Source
/// SQS API reference, `SendMessage`, read 2026-11-22: name, type and value count.
const ATTRIBUTES_BYTES_MAX: usize = 1_024;

/// The largest unreadable submission that is kept as it was, in bytes; a longer one is cut, which its attribute
/// `cut_from_bytes` tells.
pub const KEPT_BYTES_MAX: usize = MESSAGE_BYTES_MAX - ATTRIBUTES_BYTES_MAX;

/// How much younger than the job its input may be and still be the job's own.
///
/// The input is written before the job, so only clocks and a delivery that stood still make it younger, by minutes. An
/// input that took the place of an expired one is younger by weeks: inputs outlive a job's deadline by 30 days, and a
/// job is made at most 14 days after its input, when the queue gives its message up.
const INPUT_YOUNGER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The consumer of submissions.
pub struct Intake {
    ports: Ports,
    outbox: Outbox,
    crew: Crew,
    queue: QueueName,
    graphs: Graphs,
    /// How many jobs of one tenant may run at once.
    jobs_max: Option<u32>,
    pipelines: Pipelines,
    /// Whether the table has the graph of jobs without an approval, and of those with one.
    is_kept: [AtomicBool; 2],
}

impl Intake {
    /// An intake into these graphs.
    #[must_use]
    pub fn new(ports: Ports, outbox: Outbox, graphs: Graphs) -> Self {
        let (crew, queue) = (Crew::default(), QueueName::new(INTAKE_QUEUE));
        let (jobs_max, pipelines) = (None, Pipelines::default());
        Self { ports, outbox, crew, queue, graphs, jobs_max, pipelines, is_kept: Default::default() }
    }

    /// The same intake, with a cap on how many jobs of one tenant run at once: 1 to [`qsketch_core::limits::TENANT_JOBS_MAX`].
    /// Those beyond it are queued.
    #[must_use]
    pub const fn with_cap(mut self, jobs_max: Option<u32>) -> Self {
        self.jobs_max = jobs_max;
        self
    }

    /// The same intake, as one of a crew: a light first step that the crew serves begins here, without a queue between.
    #[must_use]
    pub fn in_crew(mut self, crew: Crew) -> Self {
        self.crew = crew;
        self
    }

    async fn take(&self, delivery: &Delivery, stop: &Stop) -> Result<(), PortError> {
        match VideoRequest::parse(&delivery.body) {
            Ok(request) => self.accept(delivery, request, stop).await,
            Err(RequestError::Unreadable(reason)) => self.set_aside(delivery, &reason).await,
            Err(RequestError::Invalid { reasons, requested_id, tenant }) => {
                let reasons = reasons.iter().map(Reason::to_string).collect();
                self.refuse(delivery, &tenant, Refusal { reasons, requested_id }).await
            }
        }
    }

    async fn accept(&self, delivery: &Delivery, request: VideoRequest, stop: &Stop) -> Result<(), PortError> {
        let pipeline = self.graph(request.approve()).await?;
        let id = match request.id() {
            Some(id) => parsed(JobId::try_from(id))?,
            None => derived_id(delivery)?,
        };
        let tenant = parsed(Tenant::try_from(request.tenant()))?;
        let now = self.ports.clock.now();
        let job = match self.jobs_max {
            Some(_) => Job::queued(id.clone(), tenant.clone(), pipeline, now),
            None => Job::begun(id.clone(), tenant.clone(), pipeline, now),
        };
        let input = self.input(&id, &request, &job, now)?;
        let hash = input.content_hash.clone();
        let input = match self.ports.table.commit(&id, &Write::CreateInput(Box::new(input))).await? {
            Commit::Written(Part::Input(input)) | Commit::Overtaken(Some(Part::Input(input))) => input,
            Commit::Written(_) | Commit::Overtaken(_) => return Err(damaged("input", &id)),
        };
        let job = if input.content_hash == hash {
            match self.ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await? {
                Commit::Written(Part::Job(job)) | Commit::Overtaken(Some(Part::Job(job))) => Some(*job),
                Commit::Written(_) | Commit::Overtaken(_) => return Err(damaged("job", &id)),
            }
        } else {
            self.ports.table.load_job(&id).await?
        };
        match (objection(&id, &hash, &input, job.as_ref()), job) {
            (None, Some(job)) => {
                let job = self.begin(job).await?;
                self.start(delivery, pipeline, &job, stop).await
            }
            (None, None) => Err(damaged("job", &id)),
            (Some(reason), _) => {
                // Where the job is refused or long closed, the input just written may stay under its id: no task of
                // such a job reads it, every submission that meets it is refused, and it expires by itself.
                let refusal = Refusal { reasons: vec![reason.to_string()], requested_id: Some(id.to_string()) };
                self.refuse(delivery, tenant.as_str(), refusal).await
            }
        }
    }

    /// Starts a job that is queued, where its tenant has room.
    async fn begin(&self, job: Job) -> Result<Job, PortError> {
        let (ports, outbox, pipelines) = (&self.ports, &self.outbox, &self.pipelines);
        // Of a job that was queued before its cap was taken away, the widest one counts.
        Tenants { ports, outbox, pipelines }.begin(job, self.jobs_max.unwrap_or(TENANT_JOBS_MAX)).await
    }

    /// Sends the job's first task, unless that has nothing left to bring about.
    async fn start(&self, delivery: &Delivery, pipeline: &Pipeline, job: &Job, stop: &Stop) -> Result<(), PortError> {
        if job.status != JobStatus::Queued && !is_started(pipeline, job) {
            let first = start_message(pipeline, job);
            let in_hand = InHand { queue: &self.queue, delivery, stop };
            self.crew.pass_on(pipeline, &job.tenant, vec![first], &self.outbox, in_hand).await?;
        }
        let (id, tenant, status) = (&job.job_id, &job.tenant, job.status.as_str());
        tracing::info!(job = %id, %tenant, receives = delivery.receives, to = status, "accepted");
        Ok(())
    }

    fn input(&self, id: &JobId, request: &VideoRequest, job: &Job, now: Time) -> Result<Input, PortError> {
        let submission = serde_json::to_value(request)
            .map_err(|error| PortError::new("write the submission", PortErrorKind::Invalid).because(error))?;
        Ok(Input {
            layout: LAYOUT,
            job_id: id.clone(),
            content_hash: request.content_hash(),
            submission,
            received_at: now,
            // Of a job that is queued, as long as the job.
            expires_at: job.expires_at.max(expires_at(job.deadline)),
        })
    }

    /// A refusal never touches the job that an id belongs to: it has an id of its own.
    async fn refuse(&self, delivery: &Delivery, tenant: &str, refusal: Refusal) -> Result<(), PortError> {
        let pipeline = self.graph(false).await?;
        let id = derived_id(delivery)?;
        let tenant = Tenant::try_from(tenant).or_else(|_| Tenant::try_from(qsketch_video::request::TENANT_DEFAULT));
        let reasons = refusal.reasons.join("; ");
        let job = Job::rejected(id.clone(), parsed(tenant)?, pipeline, refusal, self.ports.clock.now());
        match self.ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await? {
            Commit::Overtaken(Some(Part::Job(job))) if job.status != JobStatus::Rejected => {
                // Somebody named this message's id as a job's before the message was read.
                tracing::warn!(job = %id, reasons, to = job.status.as_str(), "a refusal has no id of its own");
            }
            _ => tracing::info!(job = %id, reasons, to = JobStatus::Rejected.as_str(), "refused"),
        }
        Ok(())
    }

    /// What can't be read is kept as it was, with the reason.
    async fn set_aside(&self, delivery: &Delivery, reason: &Reason) -> Result<(), PortError> {
        tracing::warn!(message_id = delivery.message_id, %reason, "a submission that can't be read is set aside");
        let mut attributes = BTreeMap::from([
            ("reason".to_owned(), reason.to_string()),
            ("message_id".to_owned(), delivery.original_id().to_owned()),
        ]);
        let mut body = delivery.body.clone();
        if body.len() > KEPT_BYTES_MAX {
            attributes.insert("cut_from_bytes".to_owned(), body.len().to_string());
            body.truncate(body.floor_char_boundary(KEPT_BYTES_MAX));
        }
        // Not by the outbox: a batch may be no larger than one message, and this one may be as large as that.
        let letter = Outgoing { body, attributes, group: delivery.group.clone() };
        let sent = self.ports.queues.send(&QueueName::new(REJECTED_QUEUE), &[letter]).await?;
        sent.into_iter().collect()
    }

    /// The graph of a job, which the table has from then on.
    async fn graph(&self, approve: bool) -> Result<&Pipeline, PortError> {
        let (pipeline, is_kept) = (self.graphs.of(approve), &self.is_kept[usize::from(approve)]);
        if !is_kept.load(Ordering::Relaxed) {
            self.ports.table.keep_pipeline(pipeline).await?;
            is_kept.store(true, Ordering::Relaxed);
        }
        Ok(pipeline)
    }
}

#[async_trait]
impl Consumer for Intake {
    fn clock(&self) -> Option<&dyn Clock> {
        Some(&*self.ports.clock)
    }

    async fn consume(&self, delivery: &Delivery, stop: &Stop) -> Fate {
        match self.take(delivery, stop).await {
            Ok(()) => Fate::Delete,
            Err(error) if error.remedy() == Remedy::Fail => {
                tracing::error!(
                    message_id = delivery.message_id,
                    error = error.chain(),
                    "a submission can't be taken in"
                );
                let reason = Reason::new("", error.chain());
                match self.set_aside(delivery, &reason).await {
                    Ok(()) => Fate::Delete,
                    Err(_) => Fate::Hide(trouble_pause(delivery.receives)),
                }
            }
            Err(error) => {
                tracing::error!(message_id = delivery.message_id, error = error.chain(), "a submission must wait");
                Fate::Hide(trouble_pause(delivery.receives))
            }
        }
    }
}

/// Why the job of this id is not the submission's own, if it is not.
fn objection(id: &JobId, hash: &str, input: &Input, job: Option<&Job>) -> Option<Reason> {
    let problem = match job {
        Some(job) if job.status == JobStatus::Rejected => format!("{id} names a refused submission; use a new id"),
        Some(job) if input.received_at.since(job.created_at) > INPUT_YOUNGER_MAX => {
            format!("{id} was used before; use a new id")
        }
        _ if input.content_hash != hash => {
            format!("{id} was used before with another content; use a new id, or send the same again")
        }
        _ => return None,
    };
    Some(Reason::new("id", problem))
}

fn damaged(part: &str, id: &JobId) -> PortError {
    PortError::new(format!("make the part {part} of job {id}"), PortErrorKind::Damaged)
}

/// The id of a job whose submission names none: the queue's own id of the message, the same at every delivery and for
/// every copy of it.
fn derived_id(delivery: &Delivery) -> Result<JobId, PortError> {
    JobId::try_from(delivery.original_id()).or_else(|_| {
        let hash = sha256(delivery.original_id().as_bytes());
        parsed(JobId::try_from(hash.as_str()))
    })
}

fn parsed<T>(result: Result<T, qsketch_core::IdError>) -> Result<T, PortError> {
    result.map_err(|error| PortError::new("take in a submission", PortErrorKind::Invalid).because(error))
}
