//! One golden file for each kind of document that outlives a release: a message, a pipeline, and the parts of a job.
//!
//! A release must write what stands in `golden/`, and read it: a message may wait in a queue for 14 days, and a part in
//! the table for a month. After a deliberate change of a layout, `BLESS=1 cargo test -p qsketch-core --test golden`
//! writes the files anew; the difference belongs in the same commit as the reason.
//!
//! Messages and parts are read with fields that this release does not know, so that a newer release may add some while
//! older workers still run. A pipeline's document is not: it refuses unknown fields, at every level, because a graph
//! that is understood by half would be run wrongly.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use qsketch_core::cancel::{Canceling, cancel};
use qsketch_core::ids::{JobId, Owner, Reference, StepName, TaskId, Tenant};
use qsketch_core::message::Message;
use qsketch_core::parts::{
    Attempt, Closing, Done, Input, Job, JobStatus, Lease, Outcome, Part, Progress, Refusal, Task, Verdict, expires_at,
};
use qsketch_core::pause::{Pausing, pause, resume};
use qsketch_core::pipeline::{Pipeline, PipelineError, RetryPolicy, StepSpec, Timeouts, Wait};
use qsketch_core::redrive::{Redriving, redrive};
use qsketch_core::refund::{Issuing, Redeeming, Secret, Token, issue, redeem};
use qsketch_core::shard::Shard;
use qsketch_core::tenant;
use qsketch_core::time::Time;
use qsketch_core::wait::{Signaling, signal};
use qsketch_core::write::{Write, apply};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

type Tried<T> = Result<T, Box<dyn Error>>;

/// 2026-11-22T09:30:00.000Z.
const BORN: Time = Time(1_795_339_800_000);

fn at(secs: u64) -> Time {
    BORN.plus(Duration::from_secs(secs))
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// Compares a value with its golden file, text by text, or writes the file where `BLESS=1`.
#[allow(clippy::disallowed_methods, reason = "a test has no main to be told by")]
fn is_as_kept(name: &str, value: &impl Serialize) -> Tried<String> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(file(name), &text)?;
    }
    let kept = std::fs::read_to_string(file(name))?;
    assert_eq!(text, kept, "golden/{name} is not what this release writes: BLESS=1 writes it anew");
    Ok(kept)
}

/// Every object in a document gets a field that no release has known yet, but for what is not ours to name: the maps of
/// records, of folded shards, of generations and of paused steps, whose keys are tasks, shards and steps, and the submission.
fn with_unknown_fields(document: &Value) -> Value {
    match document {
        Value::Object(fields) => {
            let known = fields.iter().map(|(name, field)| match (name.as_str(), field) {
                ("done", Value::Object(done)) => {
                    let done = done.iter().map(|(task, done)| (task.clone(), with_unknown_fields(done)));
                    (name.clone(), Value::Object(done.collect()))
                }
                ("folded" | "generations" | "steps", Value::Object(_)) => (name.clone(), field.clone()),
                ("submission", own) => (name.clone(), own.clone()),
                _ => (name.clone(), with_unknown_fields(field)),
            });
            let newer = ("from_a_newer_release".to_owned(), json!({"any": ["thing"]}));
            Value::Object(known.chain([newer]).collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(with_unknown_fields).collect()),
        other => other.clone(),
    }
}

/// A value is written as its golden file, which reads back as the value, and so does the file with unknown fields.
fn keeps<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) -> Tried<()> {
    let kept = is_as_kept(name, value)?;
    assert_eq!(serde_json::from_str::<T>(&kept)?, *value, "golden/{name} reads back as another value");
    let newer = with_unknown_fields(&serde_json::from_str(&kept)?);
    assert_ne!(newer, serde_json::from_str::<Value>(&kept)?);
    assert_eq!(serde_json::from_value::<T>(newer)?, *value, "golden/{name} with unknown fields");
    Ok(())
}

/// A document whose fields are written in the order of their names, whatever features `serde_json` was built with.
struct InOrder(Value);

impl Serialize for InOrder {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Object(fields) => {
                let ordered: BTreeMap<_, _> = fields.iter().map(|(name, field)| (name, Self(field.clone()))).collect();
                ordered.serialize(serializer)
            }
            Value::Array(elements) => serializer.collect_seq(elements.iter().map(|element| Self(element.clone()))),
            other => other.serialize(serializer),
        }
    }
}

fn pipeline() -> Result<Pipeline, PipelineError> {
    let patient = Timeouts {
        schedule_to_start: Some(Duration::from_secs(600)),
        start_to_close: Duration::from_secs(120),
        schedule_to_close: Duration::from_secs(1_800),
        heartbeat: Duration::from_millis(4_500),
    };
    let stubborn = RetryPolicy {
        initial_interval: Duration::from_secs(2),
        backoff_coefficient: 1.5,
        maximum_interval: Duration::from_secs(60),
        maximum_attempts: 5,
        non_retryable_error_types: vec!["BadScript".to_owned()],
    };
    Pipeline::builder("video")
        .job_timeout(Duration::from_secs(7_200))
        .step(StepSpec::new("generate-script"))
        .step(StepSpec::new("render-manim").over("generate-script").timeouts(patient).retry(stubborn))
        .step(StepSpec::new("generate-tts").over("generate-script"))
        .step(StepSpec::new("merge-upload").after(["render-manim", "generate-tts"]))
        .finalizer(StepSpec::new("notify"))
        .build()
}

/// The same graph, with a wait between the script and what is made of it.
fn approved_pipeline() -> Result<Pipeline, PipelineError> {
    let week = Duration::from_secs(7 * 24 * 3_600);
    Pipeline::builder("video")
        .job_timeout(week + Duration::from_secs(7_200))
        .step(StepSpec::new("generate-script"))
        .step(StepSpec::new("approve").after(["generate-script"]).wait(Wait::signal("approve").timeout(week)))
        .step(StepSpec::new("cool").after(["approve"]).wait(Wait::signal("hurry").or_after(Duration::from_secs(60))))
        .step(StepSpec::new("render-manim").over("generate-script").after(["approve"]))
        .step(StepSpec::new("merge-upload").after(["render-manim", "cool"]))
        .finalizer(StepSpec::new("notify"))
        .build()
}

fn id(text: &str) -> Tried<TaskId> {
    Ok(text.parse()?)
}

/// A job of two scenes; all but one of them is rendered and spoken.
fn running() -> Tried<Job> {
    let mut job = Job::begun(JobId::try_from("demo-1")?, Tenant::try_from("acme")?, &pipeline()?, BORN);
    let records = [
        ("generate-script", 1, 4, Some(2)),
        ("render-manim#0", 2, 95, None),
        ("generate-tts#0", 1, 7, None),
        ("generate-tts#1", 1, 9, None),
    ];
    for (task, attempt, secs, width) in records {
        job.done.insert(id(task)?, Done { attempt, at: at(secs), width, payload: None });
    }
    Ok(job)
}

fn task(attempt: u32) -> Task {
    Task::begun(attempt, 0, at(5), expires_at(at(7_200)))
}

fn ended(attempt: u32, outcome: Outcome, error_type: &str, error: &str) -> Attempt {
    let (started_at, ended_at) = (at(u64::from(attempt) * 40), at(u64::from(attempt) * 40 + 30));
    let (error_type, error) = (error_type.to_owned(), error.into());
    Attempt { attempt, closing: 0, started_at, ended_at, outcome, error_type, error, is_final: false }
}

#[test]
fn a_message_is_kept() -> Tried<()> {
    let message = Message {
        layout: 1,
        job: JobId::try_from("demo-1")?,
        task: id("render-manim#1")?,
        pipeline: pipeline()?.hash().clone(),
        closing: 0,
        generation: 0,
        deadline: at(7_200),
        known: None,
    };
    keeps("message.json", &message)?;
    keeps("message-redriven.json", &Message { closing: 2, generation: 1, ..message.clone() })?;
    let newer = with_unknown_fields(&serde_json::to_value(&message)?).to_string();
    assert_eq!(Message::parse(&newer)?, message);
    assert_eq!(serde_json::from_str::<Value>(&message.body())?, serde_json::to_value(&message)?);
    Ok(())
}

#[test]
fn a_pipeline_is_kept_with_its_hash() -> Tried<()> {
    let pipeline = pipeline()?;
    let kept = is_as_kept("pipeline.json", &InOrder(serde_json::from_str(pipeline.document())?))?;
    // The kept file is laid out for people, so its text has another hash; the graph is the same.
    let read = Pipeline::from_document(&kept)?;
    assert_eq!((read.name(), read.job_timeout()), (pipeline.name(), pipeline.job_timeout()));
    assert_eq!((read.steps(), read.finalizer()), (pipeline.steps(), pipeline.finalizer()));
    assert_eq!(Pipeline::from_document(pipeline.document())?, pipeline, "its own text reads back as another one");
    assert_eq!(pipeline.hash().as_str(), "541416d553ac72ef7f6fb1fe8294a26c", "a job finds its graph by this hash");
    Ok(())
}

#[test]
fn a_pipeline_is_kept_with_its_waits() -> Tried<()> {
    let pipeline = approved_pipeline()?;
    let kept = is_as_kept("pipeline-waits.json", &InOrder(serde_json::from_str(pipeline.document())?))?;
    let read = Pipeline::from_document(&kept)?;
    assert_eq!((read.steps(), read.job_timeout()), (pipeline.steps(), pipeline.job_timeout()));
    Ok(())
}

#[test]
fn a_job_is_kept_with_the_payload_of_its_signal() -> Tried<()> {
    let pipeline = approved_pipeline()?;
    let job = Job::begun(JobId::try_from("demo-1")?, Tenant::try_from("acme")?, &pipeline, BORN);
    let payload = Some(r#"{"by": "ada", "note": "為什麼 not?"}"#);
    let Signaling::Write(write) = signal(&pipeline, &job, "approve", payload, at(86_400)) else {
        return Err("no write".into());
    };
    keeps("job-signaled.json", &written(job, &write)?)
}

#[test]
fn a_pipeline_with_an_unknown_field_is_refused_at_every_level() -> Tried<()> {
    let document: Value = serde_json::from_str(pipeline()?.document())?;
    for level in ["", "/steps/0", "/steps/1/timeouts", "/steps/1/retry", "/finalizer"] {
        let mut newer = document.clone();
        let object = newer.pointer_mut(level).and_then(Value::as_object_mut).ok_or("no such level")?;
        object.insert("from_a_newer_release".to_owned(), Value::Bool(true));
        let refused = Pipeline::from_document(&newer.to_string()).map(|_| ()).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|error| error.contains("from_a_newer_release")), "{level:?}");
    }
    Ok(())
}

#[test]
fn a_wide_job_is_kept_with_its_folded_shards() -> Tried<()> {
    let mut job = running()?;
    job.done.retain(|task, _| task.step().as_str() == "generate-script");
    job.done.values_mut().for_each(|done| done.width = Some(70));
    job.folded.insert("render-manim@0/0".parse()?, at(95));
    job.folded.insert("render-manim@0/2".parse()?, at(99));
    keeps("job-wide.json", &job)
}

#[test]
fn a_shard_is_kept_with_its_records_and_tombstones() -> Tried<()> {
    let mut shard = Shard::new(1, expires_at(at(7_200)));
    for (element, attempt, secs) in [(32, 1, 30), (33, 3, 95), (63, 1, 31)] {
        shard.done.insert(element, Done { attempt, at: at(secs), width: None, payload: None });
    }
    shard.closed.insert(40, 0);
    keeps("shard.json", &shard)
}

#[test]
fn a_running_job_is_kept_with_its_records() -> Tried<()> {
    keeps("job-running.json", &running()?)
}

#[test]
fn a_completed_job_is_kept_with_its_result_and_without_a_check() -> Tried<()> {
    let mut job = running()?;
    for (task, secs) in [("render-manim#1", 120), ("merge-upload", 150), ("notify@0", 151)] {
        job.done.insert(id(task)?, Done { attempt: 1, at: at(secs), width: None, payload: None });
    }
    job.status = Verdict::Completed.status();
    job.result = Some("s3://media/jobs/demo-1/merge-upload/1/video.mp4".to_owned());
    job.closings.push(Closing {
        verdict: Verdict::Completed,
        at: at(150),
        task: None,
        attempt: None,
        error_type: None,
        error: None,
        result: job.result.clone(),
        refund: None,
    });
    (job.check_shard, job.check_at) = (None, None);
    keeps("job-completed.json", &job)
}

#[test]
fn a_failed_job_is_kept_with_its_closing() -> Tried<()> {
    let mut job = running()?;
    job.status = Verdict::Failed.status();
    job.closings.push(failed_closing()?);
    keeps("job-failed.json", &job)
}

fn failed_closing() -> Tried<Closing> {
    Ok(Closing {
        verdict: Verdict::Failed,
        at: at(400),
        task: Some(id("render-manim#1")?),
        attempt: Some(3),
        error_type: Some("RenderFailed".to_owned()),
        error: Some("scene 2: NameError: name 'Circel' is not defined".into()),
        result: None,
        refund: None,
    })
}

#[test]
fn a_canceled_job_is_kept_with_its_reason() -> Tried<()> {
    let mut job = running()?;
    let Canceling::Write(write) = cancel(&pipeline()?, &job, "the lesson was postponed", at(50)) else {
        return Err("a running job can be canceled".into());
    };
    job = written(job, &write)?;
    keeps("job-canceled.json", &job)
}

fn written(job: Job, write: &Write) -> Tried<Job> {
    match apply(write, Some(&Part::Job(Box::new(job)))) {
        Some(Part::Job(job)) => Ok(*job),
        other => Err(format!("{other:?}").into()),
    }
}

#[test]
fn a_redriven_job_is_kept_with_its_generations() -> Tried<()> {
    let pipeline = pipeline()?;
    let mut job = running()?;
    job.status = Verdict::Failed.status();
    job.closings.push(failed_closing()?);
    job.done.insert(id("notify@0")?, Done { attempt: 1, at: at(401), width: None, payload: None });
    let from = StepName::try_from("generate-tts")?;
    let Redriving::Write(write) = redrive(&pipeline, &job, None, Some(&from), at(900)) else {
        return Err("a failed job can be redriven".into());
    };
    keeps("job-redriven.json", &written(job, &write)?)
}

#[test]
fn a_refunded_job_is_kept_with_the_hash_of_its_token() -> Tried<()> {
    let secret = Secret::try_from("a secret of no less than thirty-two bytes")?;
    let mut job = running()?;
    job.status = Verdict::Failed.status();
    job.closings.push(failed_closing()?);
    let Issuing::Write(write) = issue(&secret, &job, 0, at(401)) else { return Err("no write".into()) };
    job = written(job, &write)?;
    let token = Token::new(&secret, &job.job_id, 0, at(400));
    let text = "qsr1.demo-1.0.b7f4167bf5f3b4637faf18fcc2fe28ab4230666ae7e83e7e7fd4c217bf49321e";
    assert_eq!(token.text(), text, "a token that was told stays good in every later release");
    let Redeeming::Write(write) = redeem(&job, &token, &Reference::try_from("payment-7")?, at(86_400)) else {
        return Err("a failed job is refunded".into());
    };
    keeps("job-refunded.json", &written(job, &write)?)
}

#[test]
fn a_paused_job_is_kept_with_what_is_paused() -> Tried<()> {
    let (pipeline, mut job) = (pipeline()?, running()?);
    let step = StepName::try_from("render-manim")?;
    for pausing in [
        |pipeline: &Pipeline, job: &Job, step: &StepName| pause(pipeline, job, Some(step), at(20)),
        |pipeline: &Pipeline, job: &Job, _: &StepName| pause(pipeline, job, None, at(21)),
        |pipeline: &Pipeline, job: &Job, _: &StepName| resume(pipeline, job, None, at(22)),
        |pipeline: &Pipeline, job: &Job, step: &StepName| pause(pipeline, job, Some(step), at(23)),
    ] {
        let Pausing::Write(write) = pausing(&pipeline, &job, &step) else { return Err("no write".into()) };
        job = written(job, &write)?;
    }
    keeps("job-paused.json", &job)
}

#[test]
fn a_rejected_job_is_kept_with_every_reason() -> Tried<()> {
    let reasons = [
        "prompt: it is empty: write what the video should explain",
        "quality: \"4k\" is not one of 480p15, 720p30, 1080p60",
    ];
    let refusal = Refusal { reasons: reasons.map(str::to_owned).to_vec(), requested_id: Some("demo/1".to_owned()) };
    let (id, tenant) = (JobId::try_from("m-0a1b2c3d")?, Tenant::try_from("acme")?);
    keeps("job-rejected.json", &Job::rejected(id, tenant, &pipeline()?, refusal, BORN))
}

#[test]
fn a_held_task_is_kept_with_its_lease_and_progress() -> Tried<()> {
    let mut held = task(1);
    held.lease = Some(Lease { owner: Owner::try_from("3f9c2a71d08e4b65")?, until: at(40) });
    held.progress = Some(Progress { permille: 425, note: "animation 3 of 7".to_owned() });
    keeps("task-held.json", &held)
}

#[test]
fn a_task_is_kept_with_its_ended_attempts() -> Tried<()> {
    let mut resting = task(4);
    resting.not_before = Some(at(220));
    (resting.charged, resting.released) = (3, 1);
    let mut last = ended(4, Outcome::Failed, "BadScript", "scene 2 has no code");
    last.is_final = true;
    resting.attempts = vec![
        ended(1, Outcome::TimedOut, "Heartbeat", "no heartbeat for 30 s: its worker died, hung or lost its network"),
        ended(2, Outcome::Released, "WorkerStopped", "its worker was told to stop and gave it back"),
        ended(3, Outcome::TimedOut, "StartToClose", "ended after 300 s by its StartToClose timeout"),
        last,
    ];
    keeps("task-ended.json", &resting)
}

#[test]
fn a_task_is_kept_with_the_overloads_that_it_met() -> Tried<()> {
    let mut resting = task(3);
    resting.not_before = Some(at(190));
    resting.overloaded = 3;
    let error = "the model's provider answered 529: it has too much to do";
    resting.attempts =
        (1..=3).map(|attempt| ended(attempt, Outcome::Overloaded, "ProviderOverloaded", error)).collect();
    keeps("task-overloaded.json", &resting)
}

#[test]
fn a_task_is_kept_with_the_crashes_of_its_workers_and_alone_in_the_next() -> Tried<()> {
    let mut held = task(4);
    held.lease = Some(Lease { owner: Owner::try_from("3f9c2a71d08e4b65")?, until: at(40) });
    held.is_alone = true;
    (held.charged, held.crashed) = (1, 2);
    let together = "its worker died, and every attempt in it: not charged";
    let alone =
        "its worker died while nothing else was at work in it: look at its memory limit and the log of the worker";
    held.attempts = vec![
        ended(1, Outcome::Crashed, "WorkerDied", together),
        ended(2, Outcome::Crashed, "WorkerDied", together),
        ended(3, Outcome::Crashed, "WorkerDied", alone),
    ];
    keeps("task-crashed.json", &held)
}

#[test]
fn an_input_is_kept() -> Tried<()> {
    let input = Input {
        layout: 1,
        job_id: JobId::try_from("demo-1")?,
        content_hash: "9f86d081884c7d659a2feaa0c55ad015".to_owned(),
        submission: json!({"prompt": "Why is a² + b² = c²? 為什麼", "quality": "480p15", "tenant": "acme"}),
        received_at: BORN,
        expires_at: expires_at(at(7_200)),
    };
    keeps("input.json", &input)
}

#[test]
fn a_queued_job_and_its_tenant_s_roster_are_kept() -> Tried<()> {
    let tenant = Tenant::try_from("acme")?;
    let queued = Job::queued(JobId::try_from("demo-1")?, tenant.clone(), &pipeline()?, BORN);
    keeps("job-queued.json", &queued)?;
    let Write::Start(started) = tenant::start(&pipeline()?, &queued, at(60)) else { return Err("no start".into()) };
    let started =
        Job { status: JobStatus::Running, started_at: Some(started.at), deadline: started.deadline, ..queued };
    keeps("job-started.json", &started)?;
    let entered = tenant::apply(&tenant, &tenant::enter(&started.job_id, 20, at(60)), None).ok_or("refused")?;
    keeps("tenant.json", &tenant::apply(&tenant, &tenant::queue(20, at(61)), Some(&entered)).ok_or("refused")?)
}
