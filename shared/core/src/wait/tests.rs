use super::*;
use crate::decide::entry::closing_completed;
use crate::ids::{JobId, StepName, Tenant};
use crate::parts::{Part, Pause};
use crate::pipeline::StepSpec;
use crate::reconcile::follow_up;
use crate::write::apply;

type Tried<T> = Result<T, Box<dyn std::error::Error>>;

const BORN: Time = Time(1_000_000);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A script, its approval, and what is made of it; beside them a wait that nothing follows.
fn pipeline() -> Tried<Pipeline> {
    Ok(Pipeline::builder("approved")
        .job_timeout(10 * DAY)
        .step(StepSpec::new("script"))
        .step(StepSpec::new("approve").after(["script"]).wait(Wait::signal("approve").timeout(2 * DAY)))
        .step(StepSpec::new("render").over("script").after(["approve"]))
        .step(StepSpec::new("rest").after(["script"]).wait(Wait::signal("hurry").or_after(DAY)))
        .finalizer(StepSpec::new("notify"))
        .build()?)
}

fn begun(pipeline: &Pipeline, recorded: &[(&str, u64, Option<u32>)]) -> Tried<Job> {
    let mut job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, pipeline, BORN);
    for (task, at, width) in recorded {
        let done = Done { attempt: 1, at: Time(*at), width: *width, payload: None };
        job.done.insert(task.parse()?, done);
    }
    Ok(job)
}

fn written(write: &Write, job: &Job) -> Tried<Job> {
    match apply(write, Some(&Part::Job(Box::new(job.clone())))) {
        Some(Part::Job(job)) => Ok(*job),
        other => Err(format!("{write:?} was refused: {other:?}").into()),
    }
}

fn signaled(pipeline: &Pipeline, job: &Job, name: &str, payload: Option<&str>) -> Tried<Job> {
    match signal(pipeline, job, name, payload, Time(2_000_000)) {
        Signaling::Write(write) => written(&write, job),
        other => Err(format!("no write: {other:?}").into()),
    }
}

fn tasks(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.task.to_string()).collect()
}

/// The messages that a signal brings which is sent again.
fn again(pipeline: &Pipeline, job: &Job, name: &str) -> Tried<Vec<String>> {
    match signal(pipeline, job, name, Some("\"another\""), Time(3_000_000)) {
        Signaling::Is { messages, .. } => Ok(tasks(&messages)),
        other => Err(format!("it is not recorded: {other:?}").into()),
    }
}

#[test]
fn a_signal_is_recorded_once_and_sent_again_it_sends_what_it_made_ready() -> Tried<()> {
    let pipeline = pipeline()?;
    let job =
        signaled(&pipeline, &begun(&pipeline, &[("script", 1_500_000, Some(2))])?, "approve", Some(" [1, \"a b\"]"))?;
    let done = job.done.get(&"approve".parse()?).ok_or("not recorded")?;
    assert_eq!((done.attempt, done.at, done.payload.as_deref()), (1, Time(2_000_000), Some("[1,\"a b\"]")));
    assert_eq!(again(&pipeline, &job, "approve")?, ["render#0", "render#1"]);
    let rendered = begun(&pipeline, &[("script", 1, Some(2)), ("approve", 2, None), ("render#0", 3, None)])?;
    assert_eq!(again(&pipeline, &rendered, "approve")?, ["render#1"], "what is recorded is not sent again");
    Ok(())
}

#[test]
fn a_signal_before_its_inputs_is_kept_and_whoever_records_them_sends_what_follows() -> Tried<()> {
    let pipeline = pipeline()?;
    let early = signaled(&pipeline, &begun(&pipeline, &[])?, "approve", None)?;
    assert!(again(&pipeline, &early, "approve")?.is_empty());
    let mut later = early;
    later.done.insert("script".parse()?, Done { attempt: 2, at: Time(5), width: Some(1), payload: None });
    let script = StepName::try_from("script")?;
    assert_eq!(route::successors(&pipeline, &script, &later), ["render#0".parse()?]);
    Ok(())
}

#[test]
fn a_paused_job_takes_the_signal_and_nothing_is_sent() -> Tried<()> {
    let pipeline = pipeline()?;
    let mut job = begun(&pipeline, &[("script", 1, Some(1))])?;
    job.paused = Some(Pause { changes: 1, since: Some(BORN), ..Pause::default() });
    let mut job = signaled(&pipeline, &job, "approve", None)?;
    assert!(again(&pipeline, &job, "approve")?.is_empty());
    job.paused = None;
    assert_eq!(tasks(&crate::redrive::messages(&pipeline, &job)), ["render#0"], "a resume sends it");
    Ok(())
}

#[test]
fn the_last_wait_closes_the_job_and_brings_its_notification_until_that_is_recorded() -> Tried<()> {
    let pipeline = pipeline()?;
    let most = begun(&pipeline, &[("script", 1, Some(1)), ("approve", 2, None), ("render#0", 3, None)])?;
    let mut closed = signaled(&pipeline, &most, "hurry", None)?;
    assert_eq!(closed.status, JobStatus::Completed);
    assert_eq!(again(&pipeline, &closed, "hurry")?, ["notify@0"]);
    closed.done.insert("notify@0".parse()?, Done { attempt: 1, at: Time(9), width: None, payload: None });
    assert!(again(&pipeline, &closed, "hurry")?.is_empty());
    Ok(())
}

#[test]
fn a_signal_that_was_recorded_early_lets_the_last_input_close_the_job() -> Tried<()> {
    let pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").after(["a"]).wait(Wait::signal("go")))
        .finalizer(StepSpec::new("z"))
        .build()?;
    let job = signaled(&pipeline, &begun(&pipeline, &[])?, "go", None)?;
    assert_eq!(job.status, JobStatus::Running, "its input is missing");
    let done = Done { attempt: 1, at: Time(5), width: None, payload: None };
    assert!(route::is_all_complete(&pipeline, &job, Also::Record(&"a".parse()?, &done)));
    Ok(())
}

#[test]
fn what_can_t_be_taken_says_why() -> Tried<()> {
    let pipeline = pipeline()?;
    let job = begun(&pipeline, &[])?;
    let why = |job: &Job, name: &str, payload: &str| match signal(&pipeline, job, name, Some(payload), BORN) {
        Signaling::Refused(refused) => refused.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(why(&job, "aprove", "1"), "no step of it waits for \"aprove\"; it has approve, hurry");
    assert_eq!(why(&job, "Approve!", "1"), "no step of it waits for \"Approve!\"; it has approve, hurry");
    assert!(
        why(&job, "approve", "yes").starts_with("its payload is not JSON (expected value at line 1 column 1); text")
    );
    let long = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX - 2));
    assert!(why(&job, "approve", &long).contains("Record"), "it fits");
    assert_eq!(
        why(&job, "approve", &format!("[{long}]")),
        "its payload has 1026 bytes: at most 1024 are kept; store it and send its location"
    );
    assert!(why(&job, "approve", &" ".repeat(PAYLOAD_READ_MAX + 1)).starts_with("its payload has 16385 bytes"));
    let none = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    let Signaling::Refused(refused) = signal(&none, &job, "go", None, BORN) else { return Err("taken".into()) };
    assert_eq!(refused.to_string(), "no step of it waits for \"go\"; it waits for no signal at all");
    let queued = Job { status: JobStatus::Queued, ..job.clone() };
    assert!(why(&queued, "approve", "1").starts_with("it is QUEUED, and waits for nothing yet"));
    for status in JobStatus::ALL.into_iter().filter(|status| status.is_closed()) {
        let closed = Job { status, ..job.clone() };
        assert_eq!(
            why(&closed, "approve", "1"),
            format!("it is {}: only a job that runs takes signals", status.as_str())
        );
    }
    Ok(())
}

#[test]
fn white_space_is_cut_between_the_parts_of_a_payload_and_nowhere_else() -> Tried<()> {
    for (given, kept) in [
        (" { \"a\" : [ 1.50 , true ] }\n", "{\"a\":[1.50,true]}"),
        (r#""a \" b\\" "#, r#""a \" b\\""#),
        (r#"["\\", " x "]"#, r#"["\\"," x "]"#),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
    ] {
        assert_eq!(compact(given)?, kept);
    }
    Ok(())
}

#[test]
fn nobody_looks_before_a_wait_is_ready_and_then_by_its_earliest_time() -> Tried<()> {
    let pipeline = pipeline()?;
    assert_eq!(look_by(&pipeline, &begun(&pipeline, &[])?), None);
    let ready = begun(&pipeline, &[("script", 1_500_000, Some(0))])?;
    let since = Time(1_500_000);
    assert_eq!(look_by(&pipeline, &ready), Some(since.plus(DAY)), "the timer of `rest`");
    let rested = begun(&pipeline, &[("script", 1_500_000, Some(0)), ("rest", 1_600_000, None)])?;
    assert_eq!(look_by(&pipeline, &rested), Some(since.plus(2 * DAY)), "the time-out of `approve`");
    let mut closed = rested.clone();
    closed.status = JobStatus::Canceled;
    assert_eq!(look_by(&pipeline, &closed), None);
    let both = begun(&pipeline, &[("script", 1, Some(0)), ("rest", 2, None), ("approve", 3, None)])?;
    assert_eq!(look_by(&pipeline, &both), None);
    let mut redriven = rested;
    redriven.reopened_at = Some(Time(9_000_000));
    assert_eq!(look_by(&pipeline, &redriven), Some(Time(9_000_000).plus(2 * DAY)), "a redrive gives it its time anew");
    Ok(())
}

#[test]
fn a_timer_fires_at_its_time_and_a_time_out_closes_the_job() -> Tried<()> {
    let pipeline = pipeline()?;
    let job = begun(&pipeline, &[("script", 1_500_000, Some(1))])?;
    let fires = Time(1_500_000).plus(DAY);
    assert_eq!(due(&pipeline, &job, Time(fires.0 - 1)), None);
    let first = due(&pipeline, &job, fires).ok_or("nothing is due")?;
    let rested = written(&first, &job)?;
    assert_eq!(rested.done.get(&"rest".parse()?).map(|done| done.at), Some(fires));
    assert!(follow_up(&pipeline, &first, &rested).is_empty(), "nothing follows it");
    assert_eq!(due(&pipeline, &rested, fires), None);
    let over = Time(1_500_000).plus(2 * DAY);
    let second = due(&pipeline, &rested, over).ok_or("nothing is due")?;
    let closed = written(&second, &rested)?;
    let closing = closed.closings.last().ok_or("no closing")?;
    assert_eq!((closed.status, closing.error_type.as_deref()), (JobStatus::TimedOut, Some("WaitTimeout")));
    assert_eq!(closing.task.as_ref(), Some(&"approve".parse()?));
    let words = closing.error.as_ref().map(ErrorText::as_str);
    assert_eq!(words, Some("it waited for the signal approve longer than its time-out of 172800 s"));
    assert_eq!(tasks(&follow_up(&pipeline, &second, &closed)), ["notify@0"]);
    assert_eq!(due(&pipeline, &closed, Time(u64::MAX)), None);
    Ok(())
}

#[test]
fn a_wait_without_a_time_out_has_the_job_s_deadline() -> Tried<()> {
    let pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").after(["a"]).wait(Wait::signal("go")))
        .finalizer(StepSpec::new("z"))
        .build()?;
    let job = begun(&pipeline, &[("a", 1_000_000, None)])?;
    assert_eq!(look_by(&pipeline, &job), Some(job.deadline));
    assert_eq!(due(&pipeline, &job, Time(job.deadline.0 - 1)), None);
    let due = due(&pipeline, &job, job.deadline).ok_or("nothing is due")?;
    let closed = written(&due, &job)?;
    let closing = closed.closings.last().ok_or("no closing")?;
    assert_eq!((closed.status, closing.error_type.as_deref()), (JobStatus::TimedOut, Some("JobDeadline")));
    let words = "it waited for the signal go longer than the job's deadline allows";
    assert_eq!(closing.error.as_ref().map(ErrorText::as_str), Some(words));
    Ok(())
}

#[test]
fn a_signal_moves_a_far_look_near_before_it_is_recorded() -> Tried<()> {
    let pipeline = pipeline()?;
    let mut job = begun(&pipeline, &[("script", 1, Some(1))])?;
    let (now, far) = (Time(2_000_000), Time(2_000_000).plus(DAY));
    job.check_at = Some(far);
    let Signaling::Write(first) = signal(&pipeline, &job, "approve", None, now) else { return Err("no write".into()) };
    assert_eq!(first, Write::Look { seen: far, next: Some(now.plus(PATIENCE)) });
    let near = written(&first, &job)?;
    assert!(signaled(&pipeline, &near, "approve", None)?.done.contains_key(&"approve".parse()?));
    Ok(())
}

#[test]
fn a_signal_that_came_in_time_keeps_a_late_look_from_closing_the_job() -> Tried<()> {
    let pipeline = pipeline()?;
    let job = begun(&pipeline, &[("script", 1, Some(1)), ("rest", 2, None)])?;
    let late = due(&pipeline, &job, Time(u64::MAX)).ok_or("nothing is due")?;
    let approved = signaled(&pipeline, &job, "approve", None)?;
    assert_eq!(apply(&late, Some(&Part::Job(Box::new(approved)))), None);
    Ok(())
}

#[test]
fn of_two_timers_the_last_closes_the_job() -> Tried<()> {
    let pipeline = Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").after(["a"]).wait(Wait::after(Duration::from_secs(5))))
        .step(StepSpec::new("c").after(["a"]).wait(Wait::after(Duration::from_secs(5))))
        .finalizer(StepSpec::new("z"))
        .build()?;
    let (mut job, mut fired) = (begun(&pipeline, &[("a", 1_000_000, None)])?, Vec::new());
    while let Some(due) = due(&pipeline, &job, Time(1_005_000)) {
        job = written(&due, &job)?;
        let Write::Record { task, .. } = due else { return Err("it was no record".into()) };
        fired.push(task.to_string());
    }
    assert_eq!((fired, job.status), (vec!["b".to_owned(), "c".to_owned()], JobStatus::Completed));
    Ok(())
}

#[test]
fn a_redrive_from_a_wait_forgets_its_record_and_a_time_out_gives_it_its_time_anew() -> Tried<()> {
    use crate::redrive::{Redriving, redrive};
    let pipeline = pipeline()?;
    let mut job = begun(&pipeline, &[("script", 1, Some(1)), ("approve", 2, None), ("notify@0", 9, None)])?;
    (job.status, job.closings) = (JobStatus::Failed, vec![closing_completed(None, Time(8))]);
    let reopened = |from: Option<&StepName>| match redrive(&pipeline, &job, None, from, Time(2_000_000)) {
        Redriving::Write(write) => written(&write, &job),
        other => Err(format!("no write: {other:?}").into()),
    };
    let approve = StepName::try_from("approve")?;
    let forgotten = reopened(Some(&approve))?;
    assert!(!forgotten.done.contains_key(&"approve".parse()?));
    assert!(crate::redrive::messages(&pipeline, &forgotten).is_empty(), "it waits, and a wait has no message");
    assert_eq!(look_by(&pipeline, &forgotten), Some(Time(2_000_000).plus(DAY)));
    assert_eq!(tasks(&crate::redrive::messages(&pipeline, &reopened(None)?)), ["render#0"]);
    Ok(())
}

#[test]
fn of_a_signal_and_a_rejection_at_one_instant_one_wins() -> Tried<()> {
    let pipeline = pipeline()?;
    let job = begun(&pipeline, &[("script", 1, Some(1))])?;
    let Rejecting::Write(rejection) = reject(&pipeline, &job, "approve", "off topic", Time(5)) else {
        return Err("no write".into());
    };
    let approved = signaled(&pipeline, &job, "approve", None)?;
    assert_eq!(apply(&rejection, Some(&Part::Job(Box::new(approved.clone())))), None);
    let at = Time(2_000_000);
    let taken = Rejecting::Refused(Refused::Taken { signal: "approve".to_owned(), at });
    assert_eq!(reject(&pipeline, &approved, "approve", "off topic", Time(6)), taken);
    let rejected = written(&rejection, &job)?;
    let closing = rejected.closings.last().ok_or("no closing")?;
    assert_eq!(
        (rejected.status, closing.error.as_ref().map(ErrorText::as_str)),
        (JobStatus::Canceled, Some("off topic"))
    );
    let refused = signal(&pipeline, &rejected, "approve", None, Time(7));
    assert_eq!(refused, Signaling::Refused(Refused::Closed(JobStatus::Canceled)));
    let Rejecting::Notify(Some(message)) = reject(&pipeline, &rejected, "approve", "again", Time(8)) else {
        return Err("no notification".into());
    };
    assert_eq!(message.task.to_string(), "notify@0");
    Ok(())
}

#[test]
fn what_can_t_be_rejected_says_why() -> Tried<()> {
    let pipeline = pipeline()?;
    let job = begun(&pipeline, &[])?;
    let known = vec!["approve".to_owned(), "hurry".to_owned()];
    let unknown = Refused::NoSuchSignal { signal: "go".to_owned(), known };
    assert_eq!(reject(&pipeline, &job, "go", "", BORN), Rejecting::Refused(unknown));
    for status in [JobStatus::Completed, JobStatus::Failed, JobStatus::TimedOut, JobStatus::Rejected] {
        let closed = Job { status, ..job.clone() };
        let refused = Rejecting::Refused(Refused::Closed(status));
        assert_eq!(reject(&pipeline, &closed, "approve", "", BORN), refused);
    }
    Ok(())
}
