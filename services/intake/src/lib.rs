//! Submissions become jobs: each one, delivered any number of times, makes exactly one.
//!
//! ```text
//!   submission ─┬─ unreadable ─► the rejected queue, with the reason
//!               ├─ invalid ────► a REJECTED job under an id derived from the message
//!               └─ valid ──────► input (if absent) ─► job (if absent) ─► the first task's message
//! ```
//! Everything is done again on redelivery; the content's hash in the part `input` tells "the same again" from "the id is
//! taken".

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use qsketch_core::decide::start_message;
use qsketch_core::digest::sha256;
use qsketch_core::limits::LAYOUT;
use qsketch_core::parts::{JobStatus, expires_at};
use qsketch_core::{Commit, Input, Job, JobId, Part, Pipeline, Refusal, Tenant, Time, Write};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::ports::{Outgoing, PortError, PortErrorKind, Remedy};
use qsketch_runtime::{Consumer, Delivery, Fate, Ports, QueueName, Stop};
use qsketch_video::{Reason, RequestError, VideoRequest};

/// The queue of submissions that can't be read.
pub const REJECTED_QUEUE: &str = "rejected";

/// How long a submission rests when the outside world does not answer.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

/// The largest submission that is kept as it was, in bytes; a longer one is cut.
const KEPT_BYTES_MAX: usize = 200_000;

/// The consumer of submissions.
pub struct Intake {
    ports: Ports,
    outbox: Outbox,
    pipeline: Pipeline,
    is_pipeline_kept: AtomicBool,
}

impl Intake {
    /// An intake into this pipeline.
    #[must_use]
    pub const fn new(ports: Ports, outbox: Outbox, pipeline: Pipeline) -> Self {
        Self { ports, outbox, pipeline, is_pipeline_kept: AtomicBool::new(false) }
    }

    async fn take(&self, delivery: &Delivery) -> Result<(), PortError> {
        match VideoRequest::parse(&delivery.body) {
            Ok(request) => self.accept(delivery, request).await,
            Err(RequestError::Unreadable(reason)) => self.set_aside(delivery, &reason).await,
            Err(RequestError::Invalid { reasons, requested_id, tenant }) => {
                let reasons = reasons.iter().map(Reason::to_string).collect();
                self.refuse(delivery, &tenant, Refusal { reasons, requested_id }).await
            }
        }
    }

    async fn accept(&self, delivery: &Delivery, request: VideoRequest) -> Result<(), PortError> {
        self.keep_pipeline().await?;
        let id = match request.id() {
            Some(id) => parsed(JobId::try_from(id))?,
            None => derived_id(delivery)?,
        };
        let tenant = parsed(Tenant::try_from(request.tenant()))?;
        let now = self.ports.clock.now();
        let job = Job::begun(id.clone(), tenant.clone(), &self.pipeline, now);
        let input = self.input(&id, &request, &job, now)?;
        let hash = input.content_hash.clone();
        if let Commit::Overtaken(Some(Part::Input(there))) =
            self.ports.table.commit(&id, &Write::CreateInput(Box::new(input))).await?
            && there.content_hash != hash
        {
            let reason = Reason::new(
                "id",
                format!("{id} was used before with another content; use a new id, or send the same again"),
            );
            let refusal = Refusal { reasons: vec![reason.to_string()], requested_id: Some(id.to_string()) };
            return self.refuse(delivery, tenant.as_str(), refusal).await;
        }
        let job = match self.ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await? {
            Commit::Written(Part::Job(job)) | Commit::Overtaken(Some(Part::Job(job))) => job,
            Commit::Written(_) | Commit::Overtaken(_) => {
                return Err(PortError::new(format!("make job {id}"), PortErrorKind::Damaged));
            }
        };
        let first = start_message(&self.pipeline, &job);
        if job.status == JobStatus::Running && !job.done.contains_key(&first.task) {
            self.outbox.send(&QueueName::new(first.task.step().as_str()), Outgoing::new(first.body())).await?;
        }
        tracing::info!(job = %id, tenant = %tenant, receives = delivery.receives, to = JobStatus::Running.as_str(), "accepted");
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
            expires_at: expires_at(job.deadline),
        })
    }

    /// A refusal never touches the job that an id belongs to: it has an id of its own.
    async fn refuse(&self, delivery: &Delivery, tenant: &str, refusal: Refusal) -> Result<(), PortError> {
        self.keep_pipeline().await?;
        let id = derived_id(delivery)?;
        let tenant = Tenant::try_from(tenant).or_else(|_| Tenant::try_from(qsketch_video::request::TENANT_DEFAULT));
        tracing::info!(job = %id, reasons = refusal.reasons.join("; "), to = JobStatus::Rejected.as_str(), "refused");
        let job = Job::rejected(id.clone(), parsed(tenant)?, &self.pipeline, refusal, self.ports.clock.now());
        self.ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await?;
        Ok(())
    }

    /// What can't be read is kept as it was, with the reason.
    async fn set_aside(&self, delivery: &Delivery, reason: &Reason) -> Result<(), PortError> {
        tracing::warn!(message_id = delivery.message_id, %reason, "a submission that can't be read is set aside");
        let attributes = BTreeMap::from([
            ("reason".to_owned(), reason.to_string()),
            ("message_id".to_owned(), delivery.message_id.clone()),
        ]);
        let mut body = delivery.body.clone();
        if body.len() > KEPT_BYTES_MAX {
            let mut end = KEPT_BYTES_MAX;
            while !body.is_char_boundary(end) {
                end -= 1;
            }
            body.truncate(end);
        }
        self.outbox.send(&QueueName::new(REJECTED_QUEUE), Outgoing { body, attributes }).await
    }

    async fn keep_pipeline(&self) -> Result<(), PortError> {
        if !self.is_pipeline_kept.load(Ordering::Relaxed) {
            self.ports.table.keep_pipeline(&self.pipeline).await?;
            self.is_pipeline_kept.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for Intake {
    async fn consume(&self, delivery: &Delivery, _stop: &Stop) -> Fate {
        match self.take(delivery).await {
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
                    Err(_) => Fate::Hide(TROUBLE_PAUSE),
                }
            }
            Err(error) => {
                tracing::error!(message_id = delivery.message_id, error = error.chain(), "a submission must wait");
                Fate::Hide(TROUBLE_PAUSE)
            }
        }
    }
}

/// The id of a job whose submission names none: the queue's own id of the message, the same at every delivery.
fn derived_id(delivery: &Delivery) -> Result<JobId, PortError> {
    JobId::try_from(delivery.message_id.as_str()).or_else(|_| {
        let hash = sha256(delivery.message_id.as_bytes());
        parsed(JobId::try_from(hash.as_str()))
    })
}

fn parsed<T>(result: Result<T, qsketch_core::IdError>) -> Result<T, PortError> {
    result.map_err(|error| PortError::new("take in a submission", PortErrorKind::Invalid).because(error))
}
