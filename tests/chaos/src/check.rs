//! What must hold when everything has come to rest; what does not is told as sentences.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use qsketch_core::digest::sha256;
use qsketch_core::{Done, Job, JobId, JobStatus, TaskId, Verdict};
use qsketch_runtime::attempt::{LOG_FILE, key};
use qsketch_runtime::ports::Parts;
use serde_json::Value;

use crate::graph::{ATTEMPTS_MAX, CHECK, MAKE, Plan, TELL};
use crate::journal::{Journal, Tried};
use crate::stack::Deployment;
use crate::steps::{OUTPUT, OUTPUT_BYTES_MAX, PLANNED, PLANNED_FINAL, nonce_of};
use crate::watch::Seen;

/// Within which time a worker must have seen that its clock is off: a poll of a second, calls that go wrong meanwhile, and
/// a machine that has too much to do. A clock stays off for longer by as much.
pub const SEES_OFF: Duration = Duration::from_secs(8);

/// The most files of a job: two of each attempt.
const FILES_MAX: usize = 10_000;

/// What a run has left.
pub struct Found<'a> {
    /// The stack.
    pub deployment: &'a Deployment,
    /// The jobs that were submitted.
    pub submitted: &'a [String],
    /// What attempts did.
    pub journal: &'a Journal,
    /// What was written.
    pub seen: &'a Seen,
    /// When clocks were off.
    pub offs: &'a [Off],
}

/// When the clock of a slot was off by more than it may be.
#[derive(Clone, Copy, Debug)]
pub struct Off {
    /// The slot.
    pub slot: usize,
    /// Since when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

/// Everything that is wrong with it.
///
/// # Errors
/// The stack does not answer.
pub async fn check(found: &Found<'_>) -> Result<Vec<String>> {
    let mut wrong: Vec<String> = found.seen.contradictions.clone();
    let there: BTreeSet<String> = found.deployment.job_ids().await?.into_iter().collect();
    let asked: BTreeSet<String> = found.submitted.iter().cloned().collect();
    wrong.extend(there.difference(&asked).map(|id| format!("job {id}: nobody has submitted it")));
    let mut events = events(found, &mut wrong).await?;
    for id in found.submitted {
        let id = JobId::try_from(id.as_str())?;
        let parts = found.deployment.ports.table.load_parts(&id).await?;
        let mut of_job = Vec::new();
        match &parts.job {
            None => of_job.push("it is not in the table".to_owned()),
            Some(job) => {
                closed(job, &mut of_job);
                told(job, events.remove(id.as_str()).unwrap_or_default(), &mut of_job);
                outputs(found, job, &parts, &mut of_job).await?;
                attempts(found, &id, &parts, &mut of_job);
            }
        }
        wrong.extend(of_job.into_iter().map(|what| format!("job {id}: {what}")));
    }
    wrong.extend(events.keys().map(|job| format!("job {job}: it has an event, and nobody has submitted it")));
    order(found, &mut wrong);
    clocks(found, &mut wrong);
    for (queue, depth) in found.deployment.depths().await? {
        if depth.visible + depth.in_flight > 0 {
            wrong.push(format!("queue {queue} is not empty: {depth:?}"));
        }
    }
    match found.deployment.open_uploads().await? {
        0 => {}
        some => wrong.push(format!("{some} multipart uploads are open")),
    }
    Ok(wrong)
}

/// What is left of the processes and their files, once all were told to stop.
#[must_use]
pub fn left(processes: &[String], files: Vec<PathBuf>) -> Vec<String> {
    let processes = processes.iter().map(|command| format!("a process is left: {command}"));
    processes.chain(files.iter().map(|file| format!("a temporary file is left: {}", file.display()))).collect()
}

/// It closed as it is planned.
fn closed(job: &Job, wrong: &mut Vec<String>) {
    let plan = Plan::of(job.job_id.as_str());
    let status = match plan {
        Plan::Final | Plan::Weary => JobStatus::Failed,
        Plan::Plain | Plan::Wide | Plan::Eats | Plan::Long | Plan::Held => JobStatus::Completed,
    };
    let closing = job.closings.last();
    if job.status != status || job.closings.len() != 1 {
        let why = closing.and_then(|closing| closing.error.as_ref()).map(ToString::to_string).unwrap_or_default();
        return wrong.push(format!("it is {}, planned is {}: {why}", job.status.as_str(), status.as_str()));
    }
    let Some(closing) = closing.filter(|closing| closing.verdict == Verdict::Failed) else { return };
    let task = closing.task.as_ref().map(ToString::to_string).unwrap_or_default();
    let kind = closing.error_type.as_deref().unwrap_or_default();
    // The last attempt of one that always fails may have met something else.
    let is_planned = task == format!("{MAKE}#0") && (plan == Plan::Weary || kind == PLANNED_FINAL);
    if !is_planned {
        wrong.push(format!("it failed by {task} with {kind}, planned is {MAKE}#0 with {PLANNED_FINAL} or {PLANNED}"));
    }
}

/// Its closing was told by one event, and nothing else was.
fn told(job: &Job, events: BTreeMap<String, BTreeSet<String>>, wrong: &mut Vec<String>) {
    let expected: BTreeSet<String> = (0..job.closings.len()).map(|number| format!("{}/{number}", job.job_id)).collect();
    let have: BTreeSet<String> = events.keys().cloned().collect();
    if have != expected {
        wrong.push(format!("its events are {have:?}, expected are {expected:?}"));
    }
    for (key, bodies) in events.iter().filter(|(_, bodies)| bodies.len() > 1) {
        wrong.push(format!("event {key} was told in {} different ways", bodies.len()));
    }
    for body in events.values().flatten() {
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        let closing = job.closings.last();
        if event["closed_at"].as_str() != closing.map(|closing| closing.at.to_string()).as_deref() {
            wrong.push("its event tells of another closing".to_owned());
        }
    }
}

/// The different events of each job and key.
async fn events(
    found: &Found<'_>,
    wrong: &mut Vec<String>,
) -> Result<BTreeMap<String, BTreeMap<String, BTreeSet<String>>>> {
    let mut events: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for body in found.deployment.events().await? {
        let event: Value = serde_json::from_str(&body).unwrap_or_default();
        match (event["job"].as_str(), event["idempotency_key"].as_str()) {
            (Some(job), Some(key)) => {
                let of_job = events.entry(job.to_owned()).or_default();
                of_job.entry(key.to_owned()).or_default().insert(body.clone());
            }
            _ => wrong.push(format!("an event can't be read: {body}")),
        }
    }
    Ok(events)
}

/// Each recorded output is there, is what the attempt that won wrote, and was made from the records before it. No file is
/// there of an attempt that never was.
async fn outputs(found: &Found<'_>, job: &Job, parts: &Parts, wrong: &mut Vec<String>) -> Result<()> {
    let store = &found.deployment.ports.store;
    let id = &job.job_id;
    let mut records: BTreeMap<TaskId, &Done> = job.done.iter().map(|(task, done)| (task.clone(), done)).collect();
    for (shard, part) in &parts.shards {
        let of_shard = part.done.iter();
        records.extend(of_shard.map(|(at, done)| (TaskId::element(shard.step().clone(), *at), done)));
    }
    let mut bytes = BTreeMap::new();
    for (task, record) in records.iter().filter(|(task, _)| ![CHECK, TELL].contains(&task.step().as_str())) {
        let output = store.get(&key(id.as_str(), task, record.attempt, OUTPUT), OUTPUT_BYTES_MAX).await?;
        let tried = Tried { job: id.clone(), task: task.clone(), attempt: record.attempt };
        let wrote = found.journal.wrote.get(&tried).map_or(&[][..], Vec::as_slice);
        match &output {
            None => wrong.push(format!("attempt {} of {task} is recorded, and has no output", record.attempt)),
            Some(output) if *wrote != [sha256(output)] => {
                wrong.push(format!("the output of {task} is not what attempt {} wrote", record.attempt));
            }
            Some(_) => {}
        }
        bytes.insert(task.clone(), output.unwrap_or_default());
    }
    for (task, output) in &bytes {
        let text = String::from_utf8_lossy(output);
        for line in text.lines().filter_map(|line| line.strip_prefix("in ")) {
            let words: Vec<&str> = line.split(' ').collect();
            let [input, attempt, nonce] = words[..] else { continue };
            let input: TaskId = input.parse()?;
            let is_right = records.get(&input).is_some_and(|record| record.attempt.to_string() == attempt)
                && bytes.get(&input).is_some_and(|output| nonce_of(output) == nonce);
            if !is_right {
                wrong.push(format!("{task} was made from attempt {attempt} of {input}, which is not its record"));
            }
        }
    }
    for file in store.list(&format!("jobs/{id}/"), FILES_MAX).await? {
        let words: Vec<&str> = file.split('/').collect();
        let is_known = match words[..] {
            [_, _, task, attempt, OUTPUT | LOG_FILE] => {
                let (task, attempt) = (task.parse::<TaskId>()?, attempt.parse::<u32>()?);
                parts.tasks.get(&task).is_some_and(|part| attempt <= part.attempt)
            }
            _ => false,
        };
        if !is_known {
            wrong.push(format!("file {file} is of no attempt"));
        }
    }
    Ok(())
}

/// No task has more attempts than it may, and each that began was claimed, once.
fn attempts(found: &Found<'_>, id: &JobId, parts: &Parts, wrong: &mut Vec<String>) {
    for (task, part) in &parts.tasks {
        if part.charged > ATTEMPTS_MAX {
            wrong.push(format!("{task} is charged {} attempts, and may have {ATTEMPTS_MAX}", part.charged));
        }
        if part.attempts.windows(2).any(|two| two[0].attempt >= two[1].attempt) {
            wrong.push(format!("an attempt of {task} has ended twice: {:?}", part.attempts));
        }
    }
    for (tried, begun) in found.journal.begun.iter().filter(|(tried, _)| tried.job == *id) {
        let Tried { task, attempt, .. } = tried;
        // The first attempt at what is unclaimed may be made any number of times.
        if task.step().as_str() == CHECK && *attempt == 1 {
            continue;
        }
        if begun.len() > 1 {
            wrong.push(format!("attempt {attempt} of {task} began {} times", begun.len()));
        }
        if !found.seen.claims.contains_key(tried) {
            wrong.push(format!("attempt {attempt} of {task} began, and was never claimed"));
        }
        if parts.tasks.get(task).is_none_or(|part| part.attempt < *attempt) {
            wrong.push(format!("attempt {attempt} of {task} began, and its part does not know of it"));
        }
    }
}

/// Nothing began that was claimed after its task had been recorded.
fn order(found: &Found<'_>, wrong: &mut Vec<String>) {
    for tried in found.journal.begun.keys() {
        let record = found.seen.records.get(&(tried.job.clone(), tried.task.clone()));
        let claim = found.seen.claims.get(tried);
        if let (Some((record, _)), Some((claim, _))) = (record, claim)
            && record.to < claim.from
        {
            let Tried { job, task, attempt } = tried;
            wrong.push(format!("job {job}: attempt {attempt} of {task} was claimed after its record, and began"));
        }
    }
}

/// Nobody claimed by a clock that was off, once it could be seen.
fn clocks(found: &Found<'_>, wrong: &mut Vec<String>) {
    for Off { slot, from, to } in found.offs {
        let of_slot = found.seen.claims.iter().filter(|(_, (_, by))| by == slot);
        for (Tried { job, task, attempt }, (span, _)) in of_slot {
            if span.from > *from + SEES_OFF && span.to < *to {
                let after = span.from.saturating_duration_since(*from).as_secs_f64();
                wrong.push(format!(
                    "job {job}: attempt {attempt} of {task} was claimed by a clock that was off for {after:.1} s"
                ));
            }
        }
    }
}
