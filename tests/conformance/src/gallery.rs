//! Parts of a job for the table's cases: plain ones, and ones with everything in them.

use std::collections::BTreeMap;

use anyhow::Result;
use qsketch_core::limits::{ATTEMPTS_KEPT_MAX, ERROR_BYTES_MAX, PAYLOAD_BYTES_MAX, RESULT_BYTES_MAX};
use qsketch_core::parts::{Lease, Pause, Progress};
use qsketch_core::refund::{Issued, Redemption};
use qsketch_core::{
    Attempt, Closing, Done, ErrorText, Input, Job, JobId, JobStatus, Outcome, Owner, Pipeline, Reference, Refusal,
    StepSpec, Task, TaskId, Tenant, Time, Verdict,
};

/// A time of today, in milliseconds.
pub const NOW: Time = Time(1_795_382_157_042);

/// Text that has been mangled before: several planes, combining marks, right to left, quotes, a line break.
pub const UNICODE: &str =
    "Zażółć gęślą jaźń · 数学の映像 · فيديو · e\u{301} · 👩‍🔬🎬 · \"quoted\" 'n' \\back\\ \t tab\nline";

/// The pipeline of the jobs here.
pub fn pipeline() -> Result<Pipeline> {
    Ok(Pipeline::builder("conformance")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").over("a"))
        .step(StepSpec::new("c").after(["b"]))
        .finalizer(StepSpec::new("z"))
        .build()?)
}

/// A job as it begins.
pub fn job(id: &JobId) -> Result<Job> {
    Ok(Job::begun(id.clone(), Tenant::try_from("tenant")?, &pipeline()?, NOW))
}

/// A record.
pub const fn done(attempt: u32, width: Option<u32>) -> Done {
    Done { attempt, at: NOW, width, payload: None }
}

/// The record of a wait whose signal came with as much as it may.
pub fn signaled() -> Done {
    let room = PAYLOAD_BYTES_MAX - UNICODE.len();
    Done { payload: Some(format!("{UNICODE}{}", "x".repeat(room))), ..done(1, None) }
}

/// A closing with nothing optional in it.
pub const fn bare_closing(verdict: Verdict) -> Closing {
    Closing { verdict, at: NOW, task: None, attempt: None, error_type: None, error: None, result: None, refund: None }
}

/// A closing with everything in it.
pub fn full_closing(verdict: Verdict, task: &str) -> Result<Closing> {
    Ok(Closing {
        verdict,
        at: NOW,
        task: Some(task.parse()?),
        attempt: Some(u32::MAX),
        error_type: Some("RenderFailed".to_owned()),
        error: Some(long_error()),
        result: Some(format!("s3://bucket/{UNICODE}")),
        refund: Some(Box::new(issued())),
    })
}

/// What is kept of a refund token.
pub fn issued() -> Issued {
    Issued { hash: "0a".repeat(32), at: NOW, expires_at: Time(9_007_199_254_740_993) }
}

/// A redemption of the token of this closing, under this reference.
pub fn redemption(closing: u32, reference: &str) -> Result<Redemption> {
    Ok(Redemption { closing, at: NOW, reference: Reference::try_from(reference)? })
}

/// An error as long as an item keeps it, of characters of several bytes.
pub fn long_error() -> ErrorText {
    ErrorText::from("数学".repeat(ERROR_BYTES_MAX))
}

/// A job with every option present and its maps full.
pub fn full_job(id: &JobId) -> Result<Job> {
    let mut done_of = BTreeMap::new();
    for step in 0..32 {
        for element in 0..8 {
            done_of.insert(format!("step-{step}#{element}").parse()?, done(u32::MAX, Some(element)));
        }
    }
    done_of.insert("approve".parse::<TaskId>()?, signaled());
    done_of.insert("z@3".parse::<TaskId>()?, done(1, None));
    Ok(Job {
        status: JobStatus::TimedOut,
        done: done_of,
        closing: 3,
        closings: vec![
            bare_closing(Verdict::Completed),
            full_closing(Verdict::Failed, "step-1#7")?,
            full_closing(Verdict::TimedOut, "z@2")?,
        ],
        result: Some("r".repeat(RESULT_BYTES_MAX)),
        refusal: Some(Refusal {
            reasons: vec![UNICODE.to_owned(), String::new(), "x".repeat(4_000)],
            requested_id: Some("a/b \"c\"".to_owned()),
        }),
        generations: [("step-1".try_into()?, 1), ("step-2".try_into()?, u32::MAX)].into(),
        is_capped: true,
        started_at: Some(NOW),
        reopened_at: Some(NOW),
        refunded: Some(redemption(u32::MAX, "A-z_09")?),
        paused: Some(Pause {
            changes: u32::MAX,
            since: Some(NOW),
            steps: [("step-3".try_into()?, NOW)].into(),
            resumed_at: Some(NOW),
        }),
        // Above 2^53: a number that went through a float comes back as another.
        created_at: Time(9_007_199_254_740_993),
        deadline: Time(u64::MAX),
        expires_at: u64::MAX,
        ..job(id)?
    })
}

/// A job with every option absent and its maps empty.
pub fn bare_job(id: &JobId) -> Result<Job> {
    Ok(Job { check_shard: None, check_at: None, result: None, refusal: None, ..job(id)? })
}

/// A task of this attempt, held by this owner.
pub fn task(attempt: u32, owner: &str, until: Time) -> Result<Task> {
    Ok(Task {
        lease: Some(Lease { owner: Owner::try_from(owner)?, until }),
        ..Task::begun(attempt, 0, NOW, NOW.epoch_secs())
    })
}

/// The same task after its attempt ended.
pub fn ended(task: Task) -> Task {
    Task { lease: None, not_before: Some(NOW), charged: task.charged + 1, attempts: vec![attempt(1, false)], ..task }
}

/// A task with every option present and its list of attempts full.
pub fn full_task() -> Result<Task> {
    let attempts = (0..ATTEMPTS_KEPT_MAX).map(|number| attempt(number as u32, number % 2 == 0)).collect();
    Ok(Task {
        attempt: u32::MAX,
        closing: 7,
        not_before: Some(Time(9_007_199_254_740_993)),
        is_alone: true,
        progress: Some(Progress { permille: 1_000, note: UNICODE.to_owned() }),
        charged: 99,
        released: 100,
        overloaded: 7,
        crashed: 2,
        attempts,
        expires_at: u64::MAX,
        ..task(1, "A-z_09", Time(u64::MAX))?
    })
}

fn attempt(number: u32, is_final: bool) -> Attempt {
    let outcomes = [Outcome::Failed, Outcome::TimedOut, Outcome::Released, Outcome::Crashed];
    Attempt {
        attempt: number,
        closing: 0,
        started_at: NOW,
        ended_at: Time(NOW.0 + 1),
        outcome: outcomes[number as usize % outcomes.len()],
        error_type: "Heartbeat".to_owned(),
        error: if is_final { long_error() } else { ErrorText::from("") },
        is_final,
    }
}

/// A submission with every kind of value in it.
pub fn input(id: &JobId) -> Input {
    Input {
        layout: 1,
        job_id: id.clone(),
        content_hash: "0123456789abcdef".repeat(4),
        submission: serde_json::json!({
            "prompt": UNICODE, "empty": "", "none": null, "yes": true, "no": false, "list": [], "map": {},
            "nested": { "status": [1, -1, "two", { "three": [] }] }, "large": 9_007_199_254_740_993_u64,
            "long": "x".repeat(20_000), "S": "a name that DynamoDB uses", "#n": ":v",
        }),
        received_at: NOW,
        expires_at: NOW.epoch_secs(),
    }
}
