//! Submissions on the in-memory world: what each becomes, delivered any number of times, whatever breaks on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use core::time::Duration;

use qsketch_core::decide::start_message;
use qsketch_core::digest::sha256;
use qsketch_core::parts::{Closing, Done, JobStatus, Verdict};
use qsketch_core::{Job, JobId, Pipeline, Refusal, Tenant, Write};
use qsketch_intake::{Graphs, Intake, KEPT_BYTES_MAX, REJECTED_QUEUE};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::ports::{ORIGINAL_ID, Receipt};
use qsketch_runtime::{Consumer, Delivery, Fate, Ports, QueueName, shutdown};
use qsketch_sim::{BODY_BYTES_MAX, Fault, Sim, Waiting};
use qsketch_video::VideoRequest;
use qsketch_video::pipeline::APPROVAL_TIMEOUT;

const PROMPT: &str = r#"{"prompt": "why is the sky blue"}"#;
const NAMED: &str = r#"{"id": "sky", "prompt": "why is the sky blue"}"#;
const APPROVED: &str = r#"{"id": "sky", "prompt": "why is the sky blue", "approve": true}"#;
const NAMED_OTHER: &str = r#"{"id": "sky", "prompt": "why is grass green"}"#;
const INVALID: &str = r#"{"id": "sky", "prompt": "", "quality": "best", "colour": "blue"}"#;
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn pipeline() -> Pipeline {
    qsketch_video::pipeline::pipeline(Duration::from_secs(30)).unwrap()
}

fn intake(ports: Ports) -> Intake {
    let outbox = Outbox::new(ports.queues.clone());
    Intake::new(ports, outbox, Graphs::new(Duration::from_secs(30)).unwrap())
}

fn delivery(message_id: &str, body: &str) -> Delivery {
    Delivery {
        message_id: message_id.to_owned(),
        receipt: Receipt("r".to_owned()),
        receives: 1,
        body: body.to_owned(),
        attributes: std::collections::BTreeMap::new(),
        group: None,
        sent_at: None,
        hidden_for: None,
    }
}

fn id(text: &str) -> JobId {
    JobId::try_from(text).unwrap()
}

/// Consumes a delivery in a new process and expects it to be done with.
async fn take(sim: &Sim, message_id: &str, body: &str) {
    let fate = intake(sim.ports()).consume(&delivery(message_id, body), &shutdown::pair().1).await;
    assert_eq!(fate, Fate::Delete, "{message_id}");
}

/// Delivers a message to ever new processes until one is done with it, as its queue does.
async fn deliver(sim: &Sim, message_id: &str, body: &str) {
    for _ in 0..10 {
        let process = sim.process("intake");
        let consumer = intake(process.ports());
        let (_stopper, stop) = shutdown::pair();
        let delivery = delivery(message_id, body);
        let fate = tokio::select! {
            fate = consumer.consume(&delivery, &stop) => Some(fate),
            () = process.crashed() => None,
        };
        if fate == Some(Fate::Delete) {
            return;
        }
    }
    panic!("{message_id} was never done with");
}

fn job(sim: &Sim, name: &str) -> Job {
    sim.parts(&id(name)).job.unwrap_or_else(|| panic!("there is no job {name}"))
}

fn refusal(sim: &Sim, name: &str) -> Refusal {
    let job = job(sim, name);
    assert_eq!(job.status, JobStatus::Rejected);
    job.refusal.unwrap()
}

fn start_queue(sim: &Sim) -> Vec<Waiting> {
    sim.messages(&QueueName::new(qsketch_video::pipeline::GENERATE_SCRIPT))
}

fn set_aside(sim: &Sim) -> Vec<Waiting> {
    sim.messages(&QueueName::new(REJECTED_QUEUE))
}

fn created(sim: &Sim) -> Vec<JobId> {
    let jobs = sim.commits().into_iter().filter(|commit| matches!(commit.write, Write::CreateJob(_)));
    jobs.map(|commit| commit.job).collect()
}

/// There is one job, it runs, and every message that was sent for it begins it.
fn assert_begun(sim: &Sim, name: &str) {
    assert_eq!(created(sim), [id(name)]);
    let parts = sim.parts(&id(name));
    let job = parts.job.unwrap();
    assert_eq!(job.status, JobStatus::Running);
    let request = VideoRequest::parse(PROMPT).unwrap();
    assert_eq!(parts.input.unwrap().content_hash, request.content_hash());
    let start = start_message(&pipeline(), &job).body();
    let sent = start_queue(sim);
    assert!(!sent.is_empty(), "its first task was never sent");
    assert!(sent.iter().all(|message| message.body == start));
}

async fn close(sim: &Sim, name: &str) {
    let entry = Closing {
        verdict: Verdict::Completed,
        at: sim.now(),
        task: None,
        attempt: None,
        error_type: None,
        error: None,
        result: None,
        refund: None,
    };
    sim.observer().table.commit(&id(name), &Write::Close { closing: 0, entry }).await.unwrap();
}

/// Runs a submission with every fault at every one of its calls, each time in a new world.
async fn with_every_fault(message_id: &str, body: &str, holds: impl Fn(&Sim)) {
    let calm = Sim::new(1);
    deliver(&calm, message_id, body).await;
    holds(&calm);
    let calls = calm.calls().len() as u64;
    assert!(calls >= 1);
    for number in 0..calls {
        for fault in Fault::ALL {
            let sim = Sim::new(1);
            sim.fail_call(number, fault);
            deliver(&sim, message_id, body).await;
            let faults: Vec<_> = sim.calls().into_iter().filter_map(|call| call.fault).collect();
            assert_eq!(faults, [fault], "call {number}");
            holds(&sim);
            deliver(&sim, message_id, body).await;
            holds(&sim);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_consumed_many_times_makes_one_job_and_repeats_its_start_until_that_is_recorded() {
    let sim = Sim::new(1);
    for times in 1..=5 {
        take(&sim, "m-1", PROMPT).await;
        assert_begun(&sim, "m-1");
        assert_eq!(start_queue(&sim).len(), times);
    }
    let task = qsketch_video::pipeline::GENERATE_SCRIPT.parse().unwrap();
    let done = Done { attempt: 1, at: sim.now(), width: Some(1), payload: None };
    let record = Write::Record { task, closing: 0, done, result: None, close: None };
    sim.observer().table.commit(&id("m-1"), &record).await.unwrap();
    take(&sim, "m-1", PROMPT).await;
    assert_eq!(start_queue(&sim).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn whatever_breaks_at_any_call_redelivery_ends_in_one_job_with_its_start() {
    with_every_fault("m-1", PROMPT, |sim| assert_begun(sim, "m-1")).await;
    with_every_fault("m-1", NAMED, |sim| assert_begun(sim, "sky")).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_and_content_by_two_messages_is_one_job() {
    let sim = Sim::new(1);
    take(&sim, "m-1", NAMED).await;
    take(&sim, "m-2", NAMED).await;
    assert_begun(&sim, "sky");
    close(&sim, "sky").await;
    take(&sim, "m-3", NAMED).await;
    assert_eq!(created(&sim), [id("sky")]);
    assert_eq!(start_queue(&sim).len(), 2, "a closed job is not begun again");
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_asks_for_an_approval_gets_the_graph_that_waits_for_it() {
    let graphs = Graphs::new(Duration::from_secs(30)).unwrap();
    with_every_fault("m-1", APPROVED, |sim| {
        let job = job(sim, "sky");
        assert_eq!((job.status, &job.pipeline_hash), (JobStatus::Running, graphs.approved.hash()));
        assert!(job.deadline.since(job.created_at) > APPROVAL_TIMEOUT, "its time covers the wait");
        let start = start_message(&graphs.approved, &job).body();
        assert!(start_queue(sim).iter().all(|message| message.body == start));
        assert_eq!(created(sim), [id("sky")]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_without_the_approval_is_another_content() {
    let sim = Sim::new(1);
    take(&sim, "m-1", APPROVED).await;
    let hash = job(&sim, "sky").pipeline_hash;
    assert!(sim.observer().table.load_pipeline(&hash).await.unwrap().is_some(), "its workers find its graph");
    take(&sim, "m-2", NAMED).await;
    assert_eq!(refusal(&sim, "m-2").requested_id.as_deref(), Some("sky"));
    assert_eq!(start_queue(&sim).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_other_content_is_refused_and_the_first_job_untouched() {
    let sim = Sim::new(1);
    take(&sim, "m-1", NAMED).await;
    let before = sim.parts(&id("sky"));
    for _ in 0..2 {
        take(&sim, "m-2", NAMED_OTHER).await;
        let reason = "id: sky was used before with another content; use a new id, or send the same again";
        let expected = Refusal { reasons: vec![reason.to_owned()], requested_id: Some("sky".to_owned()) };
        assert_eq!(refusal(&sim, "m-2"), expected);
    }
    assert_eq!(sim.parts(&id("sky")), before);
    assert_eq!(created(&sim), [id("sky"), id("m-2")]);
    assert_eq!(start_queue(&sim).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_submission_is_refused_once_with_every_reason() {
    with_every_fault("m-1", INVALID, |sim| {
        assert_eq!(created(sim), [id("m-1")]);
        let refusal = refusal(sim, "m-1");
        assert_eq!(refusal.requested_id.as_deref(), Some("sky"));
        for field in ["prompt: ", "quality: ", "colour: "] {
            assert!(refusal.reasons.iter().any(|reason| reason.starts_with(field)), "{field}: {refusal:?}");
        }
        assert_eq!(refusal.reasons.len(), 3);
        assert!(start_queue(sim).is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_names_a_refused_one_is_refused_and_not_lost() {
    let reason = "id: bad-1 names a refused submission; use a new id";
    let again = r#"{"id": "bad-1", "prompt": "why is the sky blue"}"#;
    let other = r#"{"id": "bad-1", "prompt": "why is grass green"}"#;
    let calm = Sim::new(1);
    take(&calm, "bad-1", INVALID).await;
    let start = calm.calls().len() as u64;
    take(&calm, "m-2", again).await;
    let end = calm.calls().len() as u64;
    for number in start..end {
        for fault in Fault::ALL {
            let sim = Sim::new(1);
            deliver(&sim, "bad-1", INVALID).await;
            let first = job(&sim, "bad-1");
            sim.fail_call(number, fault);
            for (message_id, body) in [("m-2", again), ("m-2", again), ("m-3", again), ("m-4", other)] {
                deliver(&sim, message_id, body).await;
                let expected = Refusal { reasons: vec![reason.to_owned()], requested_id: Some("bad-1".to_owned()) };
                assert_eq!(refusal(&sim, message_id), expected, "{message_id}, call {number}, {fault:?}");
            }
            assert_eq!(job(&sim, "bad-1"), first);
            assert_eq!(created(&sim), [id("bad-1"), id("m-2"), id("m-3"), id("m-4")]);
            assert!(start_queue(&sim).is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_input_has_expired_was_used_before() {
    let sim = Sim::new(1);
    let job_before = Job::begun(id("sky"), Tenant::try_from("t").unwrap(), &pipeline(), sim.now());
    sim.observer().table.commit(&id("sky"), &Write::CreateJob(Box::new(job_before))).await.unwrap();
    close(&sim, "sky").await;
    let before = job(&sim, "sky");
    tokio::time::advance(31 * DAY).await;
    for (message_id, body) in [("m-2", NAMED), ("m-2", NAMED), ("m-3", NAMED), ("m-4", NAMED_OTHER)] {
        take(&sim, message_id, body).await;
        let reason = "id: sky was used before; use a new id".to_owned();
        let expected = Refusal { reasons: vec![reason], requested_id: Some("sky".to_owned()) };
        assert_eq!(refusal(&sim, message_id), expected);
    }
    assert_eq!(job(&sim, "sky"), before);
    assert!(start_queue(&sim).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_stood_still_while_another_finished_the_job_refuses_nothing() {
    let sim = Sim::new(1);
    sim.set_latency(Duration::from_millis(10));
    let process = sim.process("slow");
    let consumer = intake(process.ports());
    let slow = tokio::spawn(async move { consumer.consume(&delivery("m-1", NAMED), &shutdown::pair().1).await });
    sim.until(|sim| sim.parts(&id("sky")).input.is_some()).await;
    process.freeze();
    take(&sim, "m-1", NAMED).await;
    close(&sim, "sky").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    process.thaw();
    assert_eq!(slow.await.unwrap(), Fate::Delete);
    assert_eq!(created(&sim), [id("sky")]);
    assert_eq!(start_queue(&sim).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_a_little_younger_than_its_job_is_its_own() {
    let sim = Sim::new(1);
    sim.trouble("create-input", None, Duration::from_secs(120));
    let consumer = intake(sim.ports());
    let slow = tokio::spawn(async move { consumer.consume(&delivery("m-1", NAMED), &shutdown::pair().1).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    sim.end_trouble();
    let process = sim.process("fast");
    sim.trouble("create-job", Some(Fault::CrashBefore), Duration::ZERO);
    let (consumer, again, (_stopper, stop)) = (intake(process.ports()), delivery("m-1", NAMED), shutdown::pair());
    tokio::select! {
        fate = consumer.consume(&again, &stop) => panic!("{fate:?}"),
        () = process.crashed() => {}
    }
    sim.end_trouble();
    assert_eq!(slow.await.unwrap(), Fate::Delete);
    let parts = sim.parts(&id("sky"));
    assert!(parts.input.unwrap().received_at > parts.job.unwrap().created_at);
    take(&sim, "m-1", NAMED).await;
    assert_begun(&sim, "sky");
}

#[tokio::test(start_paused = true)]
async fn a_message_redelivered_days_after_its_input_was_written_is_still_accepted() {
    let sim = Sim::new(1);
    let process = sim.process("intake");
    // The calls are: the pipeline, the input, the job.
    sim.fail_call(2, Fault::CrashBefore);
    let consumer = intake(process.ports());
    let first = delivery("m-1", NAMED);
    let (_stopper, stop) = shutdown::pair();
    tokio::select! {
        fate = consumer.consume(&first, &stop) => panic!("{fate:?}"),
        () = process.crashed() => {}
    }
    assert!(sim.parts(&id("sky")).input.is_some() && sim.parts(&id("sky")).job.is_none());
    tokio::time::advance(13 * DAY).await;
    take(&sim, "m-1", NAMED).await;
    take(&sim, "m-1", NAMED).await;
    assert_begun(&sim, "sky");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_set_aside_as_it_was_with_the_reason() {
    for body in ["no JSON", "[1, 2]", "{\"prompt\": "] {
        with_every_fault("m-1", body, |sim| {
            let messages = set_aside(sim);
            assert!(!messages.is_empty());
            for message in messages {
                assert_eq!(message.body, body);
                assert_eq!(message.attributes["message_id"], "m-1");
                assert!(message.attributes["reason"].starts_with("this is "), "{:?}", message.attributes);
                assert!(!message.attributes.contains_key("cut_from_bytes"));
            }
            assert!(created(sim).is_empty());
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_cut_only_where_a_message_ends_and_says_so() {
    let sim = Sim::new(1);
    let whole = "é".repeat(KEPT_BYTES_MAX / 2);
    take(&sim, "m-1", &whole).await;
    // The bound falls into the middle of a character.
    let long = format!("x{}", "é".repeat(BODY_BYTES_MAX / 2 - 1));
    take(&sim, "m-2", &long).await;
    let messages = set_aside(&sim);
    assert_eq!(messages[0].body, whole);
    assert!(!messages[0].attributes.contains_key("cut_from_bytes"));
    assert_eq!(messages[1].attributes["cut_from_bytes"], long.len().to_string());
    assert_eq!(messages[1].body.len(), KEPT_BYTES_MAX - 1);
    assert!(long.starts_with(&messages[1].body));
    for message in messages {
        let attributes: usize =
            message.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        assert!(message.body.len() + attributes <= BODY_BYTES_MAX);
    }
}

#[tokio::test(start_paused = true)]
async fn large_bodies_that_come_together_are_all_set_aside() {
    let sim = Sim::new(1);
    sim.set_latency(Duration::from_millis(10));
    let consumer = intake(sim.ports());
    let (_stopper, stop) = shutdown::pair();
    let body = "x".repeat(BODY_BYTES_MAX);
    let [a, b, c] = ["m-1", "m-2", "m-3"].map(|message_id| delivery(message_id, &body));
    let fates = tokio::join!(consumer.consume(&a, &stop), consumer.consume(&b, &stop), consumer.consume(&c, &stop));
    assert_eq!(fates, (Fate::Delete, Fate::Delete, Fate::Delete));
    assert_eq!(set_aside(&sim).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_id_that_is_no_job_id_is_hashed() {
    let sim = Sim::new(1);
    take(&sim, "a message/id", PROMPT).await;
    take(&sim, "a message/id", PROMPT).await;
    assert_begun(&sim, &sha256(b"a message/id"));
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_submission_that_names_no_id_makes_no_second_job() {
    let sim = Sim::new(1);
    let body = "{\"prompt\":\"Explain pi\"}";
    take(&sim, "m-1", body).await;
    let mut copy = delivery("m-2", body);
    copy.attributes.insert(ORIGINAL_ID.to_owned(), "m-1".to_owned());
    let fate = intake(sim.ports()).consume(&copy, &shutdown::pair().1).await;
    assert_eq!(fate, Fate::Delete);
    assert!(sim.parts(&id("m-1")).job.is_some());
    assert!(sim.parts(&id("m-2")).job.is_none(), "it is the same submission");
    take(&sim, "m-3", body).await;
    assert!(sim.parts(&id("m-3")).job.is_some(), "another message is another job");
}
