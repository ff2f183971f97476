//! The promises of `docs/design.md`, looked for in what happened: each violation has the number of the one that broke.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use qsketch_core::failure::PANIC;
use qsketch_core::limits::CLOCK_SKEW_MAX;
use qsketch_core::{Done, JobId, JobStatus, Message, Outcome, StepName, TaskId, Time, Write};
use qsketch_notify::NOTIFICATIONS_QUEUE;
use qsketch_runtime::QueueName;
use qsketch_runtime::attempt::key;
use qsketch_sim::Committed;

use crate::gallery::{FINALIZER, LEASE};
use crate::people;
use crate::player::{OUTPUT, Played, nonce_of};
use crate::referee::{Book, Rules, finalizes, judge};
use crate::run::{Rest, expected, is_over, is_vacated};
use crate::schedule::Deed;
use crate::world::World;

/// What must hold, whatever goes wrong; a violation's number counts from 1.
pub const INVARIANTS: [&str; 11] = [
    "a recorded output never changes, and successors see exactly that output",
    "when its inputs are recorded a task gets done or the job closes",
    "a crash never makes a recorded step run again",
    "an attempt that lost its task changes nothing",
    "after a lost reply the owner in the item tells who won",
    "attempts are counted in the item, and never exceed the policy or the deadlines",
    "a closed job stays closed, and each closing is notified by one event",
    "losing every message of every queue loses no job",
    "a submission delivered twice makes one job",
    "nothing is unbounded: no backlog of our own, no message that stays",
    "no more jobs of a tenant run than may, and each that is queued begins",
];

/// How long an attempt that lost its task may go on: until the last lease it knew of has lapsed, by the other's clock, and a
/// heartbeat that is under way has been waited for.
const GOES_ON_MAX: Duration = LEASE.saturating_add(CLOCK_SKEW_MAX).saturating_add(Duration::from_secs(2));

/// How long an attempt may go on at a job that has closed: it hears of it at a heartbeat, of which many may fail.
const GOES_ON_CLOSED_MAX: Duration = Duration::from_secs(90);

/// Within which time the reconciler's messages for one task are counted, and how many there may be: looks at what stands
/// still are 2, 4, 8 and then 15 min apart, but something else of the job may bring one forward.
const RESENDS: (Duration, usize) = (Duration::from_secs(15 * 60), 9);

/// An invariant that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's number in [`INVARIANTS`], from 1.
    pub invariant: u8,
    /// Of which job, where it is one's.
    pub job: Option<JobId>,
    /// What happened.
    pub what: String,
}

impl core::fmt::Display for Violation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let job = self.job.as_ref().map(|job| format!("job {job}, ")).unwrap_or_default();
        let invariant = INVARIANTS.get(usize::from(self.invariant).saturating_sub(1)).copied().unwrap_or_default();
        write!(f, "{job}invariant {} ({invariant}): {}", self.invariant, self.what)
    }
}

pub(crate) fn violation(invariant: u8, job: Option<&JobId>, what: String) -> Violation {
    Violation { invariant, job: job.cloned(), what }
}

/// Everything that is wrong with what happened in a world.
pub(crate) fn check(world: &World, rest: Rest) -> Vec<Violation> {
    let commits = world.sim.commits();
    let redriven_from = redriven_from(world);
    let rules = Rules { pipeline: &world.pipeline, redriven_from: &redriven_from };
    let (books, mut found) = judge(&rules, &commits);
    let plays = world.plays.lock().unwrap_or_else(PoisonError::into_inner).clone();
    attempts(world, &books, &commits, &plays, &mut found);
    for (id, book) in &books {
        outputs(world, id, book, &mut found);
        counts(id, book, &mut found);
        notifications(world, id, book, rest, &mut found);
    }
    submissions(world, &books, &mut found);
    signals(world, &commits, &mut found);
    places(world, &commits, &mut found);
    resends(world, &mut found);
    if rest == Rest::NotFound {
        unrest(world, &mut found);
    }
    dead_letters(world, &books, &mut found);
    found
}

/// The steps from which operators were to redrive, by their processes.
fn redriven_from(world: &World) -> BTreeMap<String, Option<StepName>> {
    let steps = world.pipeline.steps();
    let acts = world.schedule.acts.iter().enumerate();
    acts.filter_map(|(number, act)| match act.what {
        Deed::Redrive(from) => {
            let from = from.map(|from| steps[from % steps.len()].name.clone());
            Some((format!("operator-{number}"), from))
        }
        _ => None,
    })
    .collect()
}

/// 3, 4, 5 and 7: what began, and what went on.
fn attempts(
    world: &World,
    books: &BTreeMap<JobId, Book>,
    commits: &[Committed],
    plays: &[Played],
    found: &mut Vec<Violation>,
) {
    let now = world.sim.now();
    let mut begun = BTreeSet::new();
    for played in plays {
        let Played { job, task, attempt, .. } = played;
        let mut say = |invariant: u8, what: String| {
            let what = format!("attempt {attempt} of {task} in {} {what}", played.process);
            found.push(violation(invariant, Some(job), what));
        };
        let Some(book) = books.get(job) else { continue };
        let is_unclaimed = world.pipeline.step(task.step()).is_some_and(|step| step.is_unclaimed) && *attempt == 1;
        if is_unclaimed {
            continue;
        }
        if !begun.insert((job, task, *attempt)) {
            say(5, "begins again: two deliveries take it for theirs".to_owned());
        }
        let Some(claim) = book.claims.get(&(task.clone(), *attempt)) else {
            say(4, "begins, and was never claimed".to_owned());
            continue;
        };
        let records = book.records.get(task).map_or(&[][..], Vec::as_slice);
        if let Some(record) = records.iter().find(|it| it.from < *claim && played.after_commits < it.to) {
            say(3, format!("begins, was claimed by write {claim}, and the task was recorded by write {}", record.from));
        }
        let ended = played.ended.unwrap_or(now);
        let next = book.claims.get(&(task.clone(), attempt + 1)).and_then(|next| commits.get(*next));
        if let Some(next) = next.filter(|next| ended > next.at.plus(GOES_ON_MAX)) {
            say(4, format!("goes on until {ended}, and lost its task at {}", next.at));
        }
        let began_by = played.after_commits;
        let closed = book.closed.iter().find(|closed| **closed >= began_by).and_then(|closed| commits.get(*closed));
        let closed = closed.filter(|closed| finalizes(task).is_none() && ended > closed.at.plus(GOES_ON_CLOSED_MAX));
        if let Some(closed) = closed {
            say(7, format!("goes on until {ended}, and the job closed at {}", closed.at));
        }
    }
}

/// 1: a record's output is what its attempt wrote, made of its inputs' records; no key was written twice.
fn outputs(world: &World, id: &JobId, book: &Book, found: &mut Vec<Violation>) {
    let Some(job) = &book.job else { return };
    let mut say = |what: String| found.push(violation(1, Some(id), what));
    let parts = world.sim.parts(id);
    let stands = |there: &qsketch_core::Job| {
        (&there.done, &there.folded, there.status, there.closing, &there.closings)
            == (&job.done, &job.folded, job.status, job.closing, &job.closings)
    };
    if !parts.job.as_ref().is_some_and(stands) || parts.shards != book.shards {
        say("the table holds another job than its writes make".to_owned());
    }
    let mut records: BTreeMap<TaskId, &Done> = job.done.iter().map(|(task, done)| (task.clone(), done)).collect();
    let read = book.shards.iter().filter(|(shard, _)| job.folded.contains_key(*shard));
    for (shard, part) in read {
        records.extend(part.done.iter().map(|(at, done)| (TaskId::element(shard.step().clone(), *at), done)));
    }
    let keeps = |task: &TaskId| {
        let step = world.pipeline.steps().iter().find(|step| step.name == *task.step());
        step.is_some_and(|step| step.wait.is_none() && !step.is_unclaimed)
    };
    for (task, record) in records.iter().filter(|(task, _)| keeps(task)) {
        let of = |task: &TaskId, attempt| world.sim.bytes(&key(id.as_str(), task, attempt, OUTPUT));
        let Some(output) = of(task, record.attempt) else {
            say(format!("attempt {} of {task} is recorded and kept no output", record.attempt));
            continue;
        };
        let text = String::from_utf8_lossy(&output).into_owned();
        for line in text.lines().filter_map(|line| line.strip_prefix("in ")) {
            let words: Vec<&str> = line.split(' ').collect();
            let [input, attempt, nonce] = words[..] else { continue };
            let winner = input.parse::<TaskId>().ok().and_then(|input| Some((records.get(&input)?.attempt, input)));
            let is_right = winner.is_some_and(|(won, input)| {
                won.to_string() == attempt
                    && (nonce.is_empty() || of(&input, won).is_some_and(|output| nonce_of(&output) == nonce))
            });
            if !is_right {
                say(format!(
                    "attempt {} of {task} saw attempt {attempt} of {input}, which is not its record",
                    record.attempt
                ));
            }
        }
    }
    let ours = format!("jobs/{id}/");
    for refused in world.sim.refused_keys().into_iter().filter(|key| key.starts_with(&ours)) {
        say(format!("{refused} was to be written again with something else"));
    }
}

/// 6: each attempt that was claimed is the newest, is recorded, or has ended and was counted.
fn counts(id: &JobId, book: &Book, found: &mut Vec<Violation>) {
    for (task, part) in &book.tasks {
        let mut earlier: Option<&qsketch_core::Attempt> = None;
        for ended in &part.attempts {
            if earlier.is_some_and(|earlier| earlier.attempt >= ended.attempt) {
                let what = format!("attempt {} of {task} has ended twice", ended.attempt);
                found.push(violation(6, Some(id), what));
            }
            earlier = Some(ended);
        }
        let of_closing = part.attempts.iter().filter(|ended| ended.closing == part.closing);
        let failed = of_closing.filter(|ended| matches!(ended.outcome, Outcome::Failed | Outcome::TimedOut)).count();
        // The finalizer's charges are forgiven by the reconciler.
        if finalizes(task).is_none() && u32::try_from(failed).unwrap_or(u32::MAX) > part.charged {
            let what = format!("{failed} attempts of {task} failed, {} are charged", part.charged);
            found.push(violation(6, Some(id), what));
        }
    }
}

/// 7: each closing is notified by one event, however often.
fn notifications(world: &World, id: &JobId, book: &Book, rest: Rest, found: &mut Vec<Violation>) {
    let Some(job) = &book.job else { return };
    let mut say = |what: String| found.push(violation(7, Some(id), what));
    let sent = world.sim.messages(&QueueName::new(NOTIFICATIONS_QUEUE));
    let mut events: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for message in &sent {
        let event: serde_json::Value = serde_json::from_str(&message.body).unwrap_or_default();
        if event["job"].as_str() == Some(id.as_str()) {
            let key = event["idempotency_key"].as_str().unwrap_or_default().to_owned();
            events.entry(key).or_default().insert(&message.body);
        }
    }
    for (number, closing) in (0_u32..).zip(&job.closings) {
        let key = format!("{id}/{number}");
        let bodies = events.remove(&key).unwrap_or_default();
        if bodies.len() > 1 {
            say(format!("closing {number} has {} different events", bodies.len()));
        }
        let at = format!("\"closed_at\":\"{}\"", closing.at);
        if bodies.iter().any(|body| !body.contains(&at)) {
            say(format!("the event of closing {number} tells of another one"));
        }
        let told = TaskId::closing(world.pipeline.finalizer().name.clone(), number);
        let is_given_up = book.tasks.get(&told).is_some_and(|task| world.is_given_up(task));
        let is_last = number == job.closing;
        // The reconciler tries the last one anew until it is told.
        let is_excused = is_given_up && !(is_last && world.schedule.has_reconciler);
        let must_be_told = book.notified.contains(&number) || !is_excused && (!is_last || rest == Rest::Found);
        if must_be_told && bodies.is_empty() {
            say(format!("closing {number} has no event"));
        }
    }
    if let Some((key, _)) = events.first_key_value() {
        say(format!("the event {key} belongs to no closing"));
    }
}

/// 9: each submission is one job, whatever it was delivered; none was refused.
fn submissions(world: &World, books: &BTreeMap<JobId, Book>, found: &mut Vec<Violation>) {
    let expected = expected(world);
    for (id, book) in books {
        if !expected.contains(id.as_str()) {
            found.push(violation(9, Some(id), "no submission asks for this job".to_owned()));
        }
        if book.job.as_ref().is_some_and(|job| job.status == JobStatus::Rejected) {
            found.push(violation(9, Some(id), "a valid submission is refused".to_owned()));
        }
    }
    for id in expected.iter().filter(|id| !books.keys().any(|job| job.as_str() == id.as_str())) {
        found.push(violation(9, None, format!("submission {id} made no job")));
    }
}

/// 2: a signal that was accepted has been recorded by then.
fn signals(world: &World, commits: &[Committed], found: &mut Vec<Violation>) {
    let events = world.events.lock().unwrap_or_else(PoisonError::into_inner);
    for event in events.iter().filter(|event| event.kind == "signal") {
        let Some(job) = &event.job else { continue };
        let by_then = &commits[..event.after_commits.min(commits.len())];
        let is_recorded =
            by_then.iter().any(|commit| commit.job == *job && people::is_wait_record(world, &commit.write));
        if !is_recorded {
            found.push(violation(2, Some(job), "a signal was accepted, and is lost".to_owned()));
        }
    }
}

/// 11: at no time run more jobs than may. One that was redriven is not counted.
fn places(world: &World, commits: &[Committed], found: &mut Vec<Violation>) {
    let Some(most) = world.schedule.jobs_max else { return };
    let mut running: BTreeSet<&JobId> = BTreeSet::new();
    for commit in commits {
        match &commit.write {
            Write::Start(_) => {
                running.insert(&commit.job);
                if running.len() > most as usize {
                    let what = format!("it is started as one of {}, and {most} may run", running.len());
                    found.push(violation(11, Some(&commit.job), what));
                }
            }
            Write::Close { .. } | Write::Record { close: Some(_), .. } | Write::Fold { close: Some(_), .. } => {
                running.remove(&commit.job);
            }
            _ => {}
        }
    }
}

/// 10: the reconciler does not make a backlog.
fn resends(world: &World, found: &mut Vec<Violation>) {
    let mut sent: BTreeMap<(JobId, TaskId), Vec<Time>> = BTreeMap::new();
    for message in world.witness.seen().sent.iter().filter(|sent| sent.process.starts_with("reconciler")) {
        if let Ok(parsed) = Message::parse(&message.body) {
            sent.entry((parsed.job, parsed.task)).or_default().push(message.at);
        }
    }
    for ((job, task), times) in sent {
        let (span, most) = RESENDS;
        let is_many = times.windows(most + 1).any(|some| some[most].since(some[0]) <= span);
        if is_many {
            let what = format!("{task} was sent again over {most} times within {} s", span.as_secs());
            found.push(violation(10, Some(&job), what));
        }
    }
}

/// 2, or 8 where queues were purged: what stands still for ever.
fn unrest(world: &World, found: &mut Vec<Violation>) {
    let is_purged = world.counts().contains_key("purge");
    let invariant = if is_purged { 8 } else { 2 };
    for id in world.sim.jobs() {
        let Some(job) = world.sim.parts(&id).job else { continue };
        if job.status == JobStatus::Queued {
            found.push(violation(11, Some(&id), "the job never begins".to_owned()));
        } else if job.status == JobStatus::Running {
            found.push(violation(invariant, Some(&id), "the job never closes".to_owned()));
        } else if !is_over(world, &id) {
            found.push(violation(invariant, Some(&id), "the job is never notified".to_owned()));
        }
    }
    if !is_vacated(world) {
        found.push(violation(11, None, "a place is never given up".to_owned()));
    }
    for queue in world.queues() {
        let left = world.sim.messages(&queue);
        if let Some(first) = left.first() {
            let job = Message::parse(&first.body).ok().map(|message| message.job);
            let what = format!("{} messages stay in queue {queue}: {}", left.len(), first.body);
            found.push(violation(10, job.as_ref(), what));
        }
    }
}

/// 2: no message is given up, but a notification's whose attempts are used up, and one of a task that failed its job for good
/// by a panic.
fn dead_letters(world: &World, books: &BTreeMap<JobId, Book>, found: &mut Vec<Violation>) {
    for queue in world.queues() {
        for letter in world.sim.messages(&queue.dead()) {
            let message = Message::parse(&letter.body).ok();
            let attempts = message.as_ref().and_then(|message| books.get(&message.job)?.tasks.get(&message.task));
            let is_used_up = queue.as_str() == FINALIZER && attempts.is_some_and(|task| !task.attempts.is_empty());
            let is_poison = message.as_ref().is_some_and(|message| is_closed_by_panic(world, message));
            if !is_used_up && !is_poison {
                let what = format!("a message of queue {queue} is dead: {:?}", letter.attributes.get("reason"));
                found.push(violation(2, message.map(|message| message.job).as_ref(), what));
            }
        }
    }
}

fn is_closed_by_panic(world: &World, message: &Message) -> bool {
    let job = world.sim.parts(&message.job).job;
    let closings = job.map(|job| job.closings).unwrap_or_default();
    let closing = closings.get(message.closing as usize);
    closing
        .is_some_and(|entry| entry.task.as_ref() == Some(&message.task) && entry.error_type.as_deref() == Some(PANIC))
}
