//! One message, from its delivery to its fate: asks the core, carries out what it says, and answers.

use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use futures_util::FutureExt;
use qsketch_core::backoff::Jitter;
use qsketch_core::failure::PANIC;
use qsketch_core::limits::CLOCK_SKEW_MAX;
use qsketch_core::pipeline::HEARTBEAT_MIN;
use qsketch_core::{
    Act, Commit, Drive, ErrorText, Event, Failure, Message, MessageError, Owner, Pipeline, Shard, Step, Time, Write,
    decide, rate,
};
use tokio::sync::watch;

use crate::attempt::{Attempt, Handler, LOG_FILE, Scratch};
use crate::batch::Outbox;
use crate::consume::{Consumer, Fate, trouble_pause};
use crate::crew::{Crew, InHand};
use crate::gate::{ALONE_WAIT_MAX, SEAT_PAUSE, Seat};
use crate::heartbeat::{Heartbeat, Pulse};
use crate::pipelines::Pipelines;
use crate::ports::{Clock, Delivery, Outgoing, PortError, PortErrorKind, Ports, QueueName, Remedy};
use crate::process::{Announcer, ToolLog};
use crate::shutdown::Stop;
use crate::tenants::Tenants;

/// How many steps one drive may take; a drive takes about ten.
const STEPS_MAX: usize = 64;

/// How often a call of the table is repeated, beyond what the client itself repeats: minutes of work may hang on a
/// write, and an attempt on the load beside its claim.
const CALL_TRIES_MAX: u32 = 5;

/// The wait before a call of the table is repeated.
const CALL_PAUSE: Duration = Duration::from_millis(300);

/// How long a message rests that only a newer release can read.
const NEWER_PAUSE: Duration = Duration::from_secs(60);

/// How long keeping an attempt's log may take; it is worth less than going on.
const LOG_WAIT: Duration = Duration::from_secs(5);

/// The same for a worker that is told to stop, which must give its work back at once.
const LOG_WAIT_STOPPING: Duration = Duration::from_millis(300);

/// The consumer of a step's queue.
pub struct Worker {
    ports: Ports,
    outbox: Outbox,
    crew: Crew,
    queue: QueueName,
    handler: Arc<dyn Handler>,
    announcer: Announcer,
    dir: PathBuf,
    pipelines: Pipelines,
}

impl Worker {
    /// A worker of the step whose queue this is.
    #[must_use]
    pub fn new(ports: Ports, outbox: Outbox, queue: QueueName, handler: Arc<dyn Handler>) -> Self {
        let dir = std::env::temp_dir();
        let announcer = Announcer::default();
        let crew = Crew::default();
        let pipelines = Pipelines::default();
        Self { ports, outbox, crew, queue, handler, announcer, dir, pipelines }
    }

    /// The same worker, which tells its parent what it is about to do and keeps its scratch files in `dir`.
    #[must_use]
    pub fn with_parent(mut self, announcer: Announcer, dir: PathBuf) -> Self {
        self.announcer = announcer;
        self.dir = dir;
        self
    }

    /// The same worker, as one of a crew: light successors that the crew serves begin here, without a queue between.
    #[must_use]
    pub fn in_crew(mut self, crew: Crew) -> Self {
        self.crew = crew;
        self
    }

    /// Tells the parent what is about to be done.
    pub(crate) const fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// The queue that it consumes.
    #[must_use]
    pub const fn queue(&self) -> &QueueName {
        &self.queue
    }

    pub(crate) async fn drive(
        &self,
        message: Message,
        in_hand: InHand<'_>,
        seat: &mut Option<Seat>,
    ) -> Result<Fate, PortError> {
        let delivery = in_hand.delivery;
        let Some(pipeline) = self.pipelines.get(&*self.ports.table, &message.pipeline).await? else {
            let reason = format!("there is no pipeline {} in the table", message.pipeline);
            return self.dead_letter(delivery, &reason).await;
        };
        let owner = Owner::try_from(self.ports.clock.nonce())
            .map_err(|error| PortError::new("draw a nonce", PortErrorKind::Invalid).because(error))?;
        let mut drive = Drive::new(message, owner);
        let mut heartbeat = None;
        let fate = self.converse(&pipeline, &mut drive, in_hand, &mut heartbeat, seat).await;
        if let Err(error) = &fate {
            self.give_up(&pipeline, &mut drive, error).await;
        }
        if !matches!(fate, Ok(Fate::Delete | Fate::Leave))
            && let Some(heartbeat) = heartbeat
        {
            // Its last change of visibility must not come after ours.
            heartbeat.end().await;
        }
        fate
    }

    async fn converse(
        &self,
        pipeline: &Arc<Pipeline>,
        drive: &mut Drive,
        in_hand: InHand<'_>,
        heartbeat: &mut Option<Heartbeat>,
        seat: &mut Option<Seat>,
    ) -> Result<Fate, PortError> {
        let delivery = in_hand.delivery;
        let mut event = Event::Delivered { receives: delivery.receives };
        for _ in 0..STEPS_MAX {
            let step = decide(pipeline, drive, event, self.ports.clock.now());
            event = match step {
                Step::ClaimBesideLoad(write) => self.claim_beside_load(pipeline, drive, &write, in_hand).await?,
                Step::Load => self.load(pipeline, drive).await?,
                Step::LoadJob => self.load_job_again(pipeline, drive).await?,
                Step::Commit(write) => Event::Committed(self.begin(pipeline, drive, &write, in_hand).await?),
                Step::BeAlone => self.be_alone(pipeline, drive, in_hand, seat).await,
                Step::Work { attempt, until } => self.work(pipeline, drive, in_hand, attempt, until, heartbeat).await,
                Step::Settle(acts) => {
                    let settled = self.settle(pipeline, drive, acts, in_hand).await;
                    return Ok(settled.unwrap_or_else(|error| {
                        // Acts are repeatable: whatever stopped them, the next delivery does them again.
                        let message = drive.message();
                        tracing::error!(job = %message.job, task = %message.task, error = error.chain(), "not settled");
                        Fate::Hide(trouble_pause(delivery.receives))
                    }));
                }
            };
        }
        let message = drive.message();
        tracing::error!(job = %message.job, task = %message.task, "a drive did not end: this is a mistake of ours");
        Ok(Fate::Hide(trouble_pause(delivery.receives)))
    }

    /// A drive that breaks off gives its task back, once, if it can: nobody has to wait for its lease.
    async fn give_up(&self, pipeline: &Pipeline, drive: &mut Drive, error: &PortError) {
        let event = Event::BrokenOff(ErrorText::from(error.chain()));
        let Step::Commit(write) = decide(pipeline, drive, event, self.ports.clock.now()) else { return };
        let message = drive.message();
        if let Err(error) = self.ports.table.commit(&message.job, &write).await {
            tracing::warn!(job = %message.job, task = %message.task, error = error.chain(), "not given back: its lease will lapse");
        }
    }

    async fn claim_beside_load(
        &self,
        pipeline: &Pipeline,
        drive: &mut Drive,
        write: &Write,
        in_hand: InHand<'_>,
    ) -> Result<Event, PortError> {
        let (commit, job) = tokio::join!(self.begin(pipeline, drive, write, in_hand), self.load_job(drive));
        match (commit?, job) {
            (commit, Ok(job)) => Ok(Event::Claimed { commit, job }),
            (commit, Err(error)) => {
                // What it may hold by now must be given back.
                drive.absorb(commit);
                Err(error)
            }
        }
    }

    /// Carries out a write; beside a claim, the message is hidden for the lease.
    async fn begin(
        &self,
        pipeline: &Pipeline,
        drive: &Drive,
        write: &Write,
        in_hand: InHand<'_>,
    ) -> Result<Commit, PortError> {
        let delivery = in_hand.delivery;
        let Some(claim) = write.claims() else { return self.commit(drive, write, delivery).await };
        self.announcer.claim(delivery, claim);
        let lease = pipeline.step(drive.message().task.step()).map(|step| step.timeouts.heartbeat);
        let (commit, ()) = tokio::join!(self.commit(drive, write, delivery), self.hide_for_lease(in_hand, lease));
        commit
    }

    /// Waits until this drive has the process to itself, its message hidden meanwhile.
    async fn be_alone(
        &self,
        pipeline: &Pipeline,
        drive: &Drive,
        in_hand: InHand<'_>,
        seat: &mut Option<Seat>,
    ) -> Event {
        // Two that wait for each other's seats would wait for ever.
        if seat.take().is_none() {
            return Event::Crowded;
        }
        let message = drive.message();
        let lease = pipeline.step(message.task.step()).map_or(HEARTBEAT_MIN, |step| step.timeouts.heartbeat);
        let event = tokio::select! {
            biased;
            () = in_hand.stop.stopping() => Event::Stopping,
            alone = self.crew.gate().alone() => {
                *seat = alone;
                Event::Alone
            }
            () = tokio::time::sleep(ALONE_WAIT_MAX) => Event::Crowded,
            never = self.keep_hidden(in_hand, lease) => match never {},
        };
        tracing::info!(job = %message.job, task = %message.task, ?event, "it must be alone in its worker");
        event
    }

    async fn keep_hidden(
        &self,
        InHand { queue, delivery, .. }: InHand<'_>,
        lease: Duration,
    ) -> core::convert::Infallible {
        loop {
            tokio::time::sleep(lease / 3).await;
            if let Err(error) = self.ports.queues.hide(queue, &delivery.receipt, lease).await {
                tracing::debug!(%queue, error = error.chain(), "a message that waits was not hidden for longer");
            }
        }
    }

    /// Whoever received the message for us hid it for a time of its own: from the claim on, the lease counts.
    async fn hide_for_lease(&self, InHand { queue, delivery, .. }: InHand<'_>, lease: Option<Duration>) {
        let Some(lease) = lease.filter(|lease| delivery.hidden_for != Some(*lease)) else { return };
        if let Err(error) = self.ports.queues.hide(queue, &delivery.receipt, lease).await {
            tracing::debug!(%queue, error = error.chain(), "visibility was not set at the claim");
        }
    }

    async fn load(&self, pipeline: &Pipeline, drive: &Drive) -> Result<Event, PortError> {
        let message = drive.message();
        let load_task = patiently(|| self.ports.table.load_task(&message.job, &message.task));
        let (job, task, shard) = tokio::join!(self.load_job(drive), load_task, self.load_shard(pipeline, drive));
        Ok(Event::Loaded { job: job?, task: task?.map(Box::new), shard: shard? })
    }

    async fn load_job_again(&self, pipeline: &Pipeline, drive: &Drive) -> Result<Event, PortError> {
        let (job, shard) = tokio::join!(self.load_job(drive), self.load_shard(pipeline, drive));
        Ok(Event::JobLoaded { job: job?, shard: shard? })
    }

    async fn load_shard(&self, pipeline: &Pipeline, drive: &Drive) -> Result<Option<Box<Shard>>, PortError> {
        let Some(shard) = drive.shard_to_load(pipeline) else { return Ok(None) };
        Ok(patiently(|| self.ports.table.load_shard(&drive.message().job, &shard)).await?.map(Box::new))
    }

    async fn load_job(&self, drive: &Drive) -> Result<Option<Box<qsketch_core::Job>>, PortError> {
        Ok(patiently(|| self.ports.table.load_job(&drive.message().job)).await?.map(Box::new))
    }

    async fn commit(&self, drive: &Drive, write: &Write, delivery: &Delivery) -> Result<Commit, PortError> {
        let message = drive.message();
        let commit = patiently(|| self.ports.table.commit(&message.job, write)).await?;
        let refused = matches!(commit, Commit::Overtaken(_));
        tracing::info!(job = %message.job, task = %message.task, write = write.kind(), refused, receives = delivery.receives, "commit");
        Ok(commit)
    }

    async fn work(
        &self,
        pipeline: &Arc<Pipeline>,
        drive: &Drive,
        InHand { queue, delivery, stop }: InHand<'_>,
        number: u32,
        until: Time,
        heartbeat: &mut Option<Heartbeat>,
    ) -> Event {
        let (job, hold) = (drive.job(), drive.hold(pipeline));
        let Some(job) = job.filter(|_| hold.is_some() || drive.is_unclaimed()) else {
            return Event::Lost { job: None, task: None };
        };
        let message = drive.message();
        if drive.is_unclaimed() {
            let lease = pipeline.step(message.task.step()).map(|step| step.timeouts.heartbeat);
            self.hide_for_lease(InHand { queue, delivery, stop }, lease).await;
        }
        let held_until = drive.task().and_then(|task| task.lease.as_ref()).map(|lease| lease.until).unwrap_or_default();
        if hold.is_some() && held_until.plus(CLOCK_SKEW_MAX) <= self.ports.clock.now() {
            // The answers to claim and load came later than the lease lasts: another worker may have the task by now.
            return Event::Lost { job: None, task: None };
        }
        let (progress, reported) = watch::channel(None);
        *heartbeat = hold.map(|hold| {
            Heartbeat::start(Pulse {
                ports: self.ports.clone(),
                queue: queue.clone(),
                delivery: delivery.clone(),
                job: message.job.clone(),
                task: message.task.clone(),
                hold,
                held_until,
                progress: reported,
            })
        });
        let scratch = self.dir.join(format!("{}-{}-{number}-{}", message.job, message.task, self.ports.clock.nonce()));
        let attempt = Attempt {
            ports: self.ports.clone(),
            outbox: self.outbox.clone(),
            pipeline: Arc::clone(pipeline),
            job: job.clone(),
            task: message.task.clone(),
            number,
            is_unclaimed: drive.is_unclaimed(),
            progress,
            log: ToolLog::default(),
            announcer: self.announcer.clone(),
            scratch: Scratch { path: scratch, is_made: AtomicBool::new(false) },
            standing: rate::standing(drive.task()),
            has_had_turn: AtomicBool::new(false),
            shards: tokio::sync::Mutex::default(),
        };
        tracing::info!(job = %message.job, task = %message.task, attempt = number, "begin");
        let event = self.attempt(&attempt, until, heartbeat.as_mut(), stop).await;
        self.keep_log(&attempt, matches!(event, Event::Stopping)).await;
        let outcome = match &event {
            Event::Worked(_) => "worked".to_owned(),
            Event::Failed { failure, .. } => format!("failed: {failure}"),
            Event::TimedOut { .. } => "timed out".to_owned(),
            Event::Lost { .. } => "lost".to_owned(),
            _ => "stopping".to_owned(),
        };
        tracing::info!(job = %message.job, task = %message.task, attempt = number, outcome, "end");
        event
    }

    /// Does the work, until it ends, is no longer wanted, or its time is over; by then it is gone, groups and all.
    async fn attempt(&self, attempt: &Attempt, until: Time, heartbeat: Option<&mut Heartbeat>, stop: &Stop) -> Event {
        let clock = &self.ports.clock;
        let jitter = || Jitter(clock.draw());
        let left = until.since(clock.now());
        tokio::select! {
            biased;
            result = AssertUnwindSafe(self.handler.run(attempt)).catch_unwind() => match result {
                Ok(Ok(output)) => Event::Worked(output),
                Ok(Err(failure)) => Event::Failed { failure, jitter: jitter() },
                Err(panic) => Event::Failed { failure: Failure::retry(PANIC, panic_text(&*panic)), jitter: jitter() },
            },
            () = stop.stopping() => Event::Stopping,
            lost = lost(heartbeat) => lost,
            () = tokio::time::sleep(left) => Event::TimedOut { jitter: jitter() },
        }
    }

    async fn keep_log(&self, attempt: &Attempt, is_stopping: bool) {
        let text = attempt.log.text();
        if text.is_empty() || attempt.is_unclaimed {
            return;
        }
        let wait = if is_stopping { LOG_WAIT_STOPPING } else { LOG_WAIT };
        let key = attempt.key(LOG_FILE);
        let put = self.ports.store.put(&key, text.into_bytes(), "text/plain; charset=utf-8");
        match tokio::time::timeout(wait, put).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job = %attempt.job.job_id, task = %attempt.task, error = error.chain(), "the log was not kept")
            }
            Err(_) => tracing::warn!(job = %attempt.job.job_id, task = %attempt.task, "the log was not kept in time"),
        }
    }

    async fn settle(
        &self,
        pipeline: &Pipeline,
        drive: &Drive,
        acts: Vec<Act>,
        in_hand: InHand<'_>,
    ) -> Result<Fate, PortError> {
        let (message, delivery) = (drive.message(), in_hand.delivery);
        for act in acts {
            match act {
                Act::Send(messages) => {
                    tracing::info!(job = %message.job, task = %message.task, to = names(&messages), "send");
                    // Nothing is sent for a job that is not known.
                    let Some(job) = drive.job() else { return Ok(Fate::Leave) };
                    self.crew.pass_on(pipeline, &job.tenant, messages, &self.outbox, in_hand).await?;
                }
                Act::Vacate => {
                    let Some(job) = drive.job() else { return Ok(Fate::Leave) };
                    let (ports, outbox, pipelines) = (&self.ports, &self.outbox, &self.pipelines);
                    Tenants { ports, outbox, pipelines }.vacate(job).await?;
                }
                Act::Acknowledge => return Ok(Fate::Delete),
                Act::Hide(until) => return Ok(Fate::Hide(until.since(self.ports.clock.now()))),
                Act::GiveBack => return Ok(Fate::Hide(Duration::ZERO)),
                Act::LetGo => return Ok(Fate::Leave),
                Act::DeadLetter(reason) => return self.dead_letter(delivery, &reason).await,
            }
        }
        Ok(Fate::Leave)
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<Fate, PortError> {
        tracing::error!(queue = %self.queue, message_id = delivery.message_id, reason, "a message goes to the dead letters");
        self.outbox.send(&self.queue.dead(), dead_letter(&self.queue, delivery, reason)).await?;
        Ok(Fate::Delete)
    }
}

#[async_trait]
impl Consumer for Worker {
    async fn consume(&self, delivery: &Delivery, stop: &Stop) -> Fate {
        let message = match Message::parse(&delivery.body) {
            Ok(message) => message,
            Err(error @ MessageError::Newer { .. }) => {
                tracing::warn!(queue = %self.queue, message_id = delivery.message_id, %error, "given back untouched");
                return Fate::Hide(NEWER_PAUSE.max(trouble_pause(delivery.receives)));
            }
            Err(error @ MessageError::Unreadable { .. }) => {
                let moved = self.dead_letter(delivery, &error.to_string()).await;
                return moved.unwrap_or(Fate::Hide(trouble_pause(delivery.receives)));
            }
        };
        if message.task.step().as_str() != self.queue.as_str() {
            let reason = format!("task {} does not belong into queue {}", message.task, self.queue);
            return self.dead_letter(delivery, &reason).await.unwrap_or(Fate::Hide(trouble_pause(delivery.receives)));
        }
        let (job, task) = (message.job.clone(), message.task.clone());
        let in_hand = InHand { queue: &self.queue, delivery, stop };
        self.announcer.begin(&self.queue, delivery, &message);
        let mut seat = tokio::select! {
            biased;
            seat = self.crew.gate().seat() => seat,
            () = stop.stopping() => return Fate::Hide(Duration::ZERO),
        };
        if seat.is_none() {
            return Fate::Hide(SEAT_PAUSE);
        }
        let error = match self.drive(message, in_hand, &mut seat).await {
            Ok(fate) => return fate,
            Err(error) => error,
        };
        tracing::error!(%job, %task, error = error.chain(), "the drive broke off");
        match error.kind {
            PortErrorKind::Newer => Fate::Hide(NEWER_PAUSE.max(trouble_pause(delivery.receives))),
            _ if error.remedy() == Remedy::Fail => {
                self.dead_letter(delivery, &error.chain()).await.unwrap_or(Fate::Hide(trouble_pause(delivery.receives)))
            }
            _ => Fate::Hide(trouble_pause(delivery.receives)),
        }
    }

    fn clock(&self) -> Option<&dyn Clock> {
        Some(&*self.ports.clock)
    }

    async fn ready(&self) {
        self.crew.gate().open().await;
    }

    fn settled(&self, delivery: &Delivery) {
        self.announcer.settled(delivery);
    }
}

/// Waits until the hold is lost; for ever where there is none.
async fn lost(heartbeat: Option<&mut Heartbeat>) -> Event {
    match heartbeat {
        Some(heartbeat) => heartbeat.lost().await,
        None => core::future::pending().await,
    }
}

/// Makes a call of the table again, a bounded number of times, while it may pass soon.
pub(crate) async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, PortError>
where
    F: Future<Output = Result<T, PortError>>,
{
    let mut tried = 1;
    loop {
        match call().await {
            Err(error) if error.is_passing() && tried < CALL_TRIES_MAX => {
                tokio::time::sleep(CALL_PAUSE * tried).await;
                tried += 1;
            }
            answer => return answer,
        }
    }
}

/// A message as it goes to a dead-letter queue: its body as it was, and why it is there.
#[must_use]
pub fn dead_letter(queue: &QueueName, delivery: &Delivery, reason: &str) -> Outgoing {
    let attributes = BTreeMap::from([
        ("reason".to_owned(), reason.chars().take(REASON_CHARS_MAX).collect()),
        ("queue".to_owned(), queue.to_string()),
        ("message_id".to_owned(), delivery.original_id().to_owned()),
        ("receives".to_owned(), delivery.receives.to_string()),
    ]);
    Outgoing { body: delivery.body.clone(), attributes, group: delivery.group.clone() }
}

/// The longest reason of a dead letter, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// The tasks of these messages, the first few by name.
fn names(messages: &[Message]) -> String {
    let named = messages.iter().take(NAMED_MAX).map(|message| message.task.to_string()).collect::<Vec<_>>().join(" ");
    let more = messages.len().saturating_sub(NAMED_MAX);
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// How many tasks one line of the log names.
const NAMED_MAX: usize = 8;

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the step panicked".to_owned())
}
