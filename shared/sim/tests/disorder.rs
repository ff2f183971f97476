//! The disorder itself: a check that can't fail shows nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use core::time::Duration;

use qsketch_core::{Commit, Input, Job, JobId, Pipeline, StepSpec, Tenant, Time, Write};
use qsketch_runtime::ports::{Hidden, Outgoing};
use qsketch_runtime::{PortErrorKind, Ports, QueueName};
use qsketch_sim::{Disorder, Fault, Order, Sim, Units};

const HIDE: Duration = Duration::from_secs(30);

fn queue() -> QueueName {
    QueueName::new("a")
}

fn create(sim: &Sim) -> (JobId, Write) {
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build().unwrap();
    let id = JobId::try_from("j").unwrap();
    let job = Job::begun(id.clone(), Tenant::try_from("t").unwrap(), &pipeline, sim.now());
    (id, Write::CreateJob(Box::new(job)))
}

async fn send(ports: &Ports, bodies: &[&str]) {
    for body in bodies {
        ports.queues.send(&queue(), &[Outgoing::new((*body).to_owned())]).await.unwrap()[0].as_ref().unwrap();
    }
}

async fn receive(ports: &Ports, most: usize) -> Vec<qsketch_runtime::Delivery> {
    ports.queues.receive(&queue(), most, Duration::from_secs(1), HIDE).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_takes_effect_and_an_error_does_not() {
    let sim = Sim::new(1);
    let (id, write) = create(&sim);
    sim.fail_call(0, Fault::Unavailable);
    sim.fail_call(1, Fault::LostReply);
    let ports = sim.ports();
    for was_written in [false, true] {
        let error = ports.table.commit(&id, &write).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Unavailable);
        assert_eq!(sim.parts(&id).job.is_some(), was_written);
    }
    assert!(matches!(ports.table.commit(&id, &write).await.unwrap(), Commit::Overtaken(Some(_))));
    let faults: Vec<_> = sim.calls().into_iter().map(|call| call.fault).collect();
    assert_eq!(faults, [Some(Fault::Unavailable), Some(Fault::LostReply), None]);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_process_is_silent_for_ever_and_others_are_not() {
    for (fault, was_written) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let sim = Sim::new(1);
        let (id, write) = create(&sim);
        sim.fail_call(0, fault);
        let process = sim.process("w");
        let ports = process.ports();
        tokio::select! {
            _ = ports.table.commit(&id, &write) => panic!("a dead process heard an answer"),
            () = process.crashed() => {}
        }
        assert!(process.is_crashed());
        assert_eq!(sim.parts(&id).job.is_some(), was_written);
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, ports.table.load_job(&id)).await.is_err());
        assert!(sim.ports().table.load_job(&id).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_takes_the_latency_that_was_set_and_stands_in_the_log() {
    let sim = Sim::new(1);
    let (id, write) = create(&sim);
    sim.set_latency(Duration::from_millis(10));
    let ports = sim.ports();
    ports.table.commit(&id, &write).await.unwrap();
    let (job, task) = (ports.table.load_job(&id), ports.table.load_input(&id));
    let (job, task) = tokio::join!(job, task);
    assert!(job.unwrap().is_some() && task.unwrap().is_none());
    let calls = sim.calls();
    let log: Vec<_> = calls.iter().map(|call| (call.kind, call.at.0 - calls[0].at.0)).collect();
    assert_eq!(log, [("create-job", 0), ("load-job", 10), ("load-input", 10)]);
    assert_eq!(sim.now().since(calls[0].at), Duration::from_millis(20));
    // The job enters both indexes; what is not there costs a unit to read as well.
    assert_eq!(sim.units(), Units { writes: 1, index_writes: 2, reads: 2, list_halves: 0 });
}

#[tokio::test(start_paused = true)]
async fn units_follow_the_items_refused_writes_and_empty_reads_included() {
    let sim = Sim::new(1);
    let (id, write) = create(&sim);
    let ports = sim.observer();
    let step = async |write: Write| {
        let before = sim.units();
        ports.table.commit(&id, &write).await.unwrap();
        let after = sim.units();
        (after.writes - before.writes, after.index_writes - before.index_writes)
    };
    let long = |bytes: usize| Write::CreateInput(Box::new(input(&id, sim.now(), bytes)));
    assert_eq!(step(long(2_000)).await, (3, 0), "over 2 KB with its other attributes, in no index");
    assert_eq!(step(long(10)).await, (3, 0), "refused, by the item that is there");
    assert_eq!(step(write.clone()).await, (1, 2));
    assert_eq!(step(write.clone()).await, (1, 0), "refused: no index hears of it");
    let before = sim.units().reads;
    ports.table.load_parts(&id).await.unwrap();
    assert_eq!(sim.units().reads - before, 1, "all parts are summed up and then rounded, once");
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build().unwrap();
    assert!(ports.table.load_pipeline(pipeline.hash()).await.unwrap().is_none());
    assert_eq!(sim.units().reads - before, 2);
}

fn input(id: &JobId, now: Time, bytes: usize) -> Input {
    Input {
        layout: 1,
        job_id: id.clone(),
        content_hash: String::new(),
        submission: "x".repeat(bytes).into(),
        received_at: now,
        expires_at: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_is_there_twice_where_duplicates_are_certain() {
    let sim = Sim::new(1);
    sim.set_disorder(Disorder { duplicate_permille: 1_000, ..Disorder::default() });
    send(&sim.ports(), &["one"]).await;
    let got = receive(&sim.ports(), 10).await;
    assert_eq!(got.iter().map(|d| (d.body.as_str(), d.receives)).collect::<Vec<_>>(), [("one", 1), ("one", 1)]);
    assert_ne!(got[0].receipt, got[1].receipt);
}

#[tokio::test(start_paused = true)]
async fn the_order_is_kept_unless_it_is_drawn_and_then_the_seed_decides() {
    let bodies = ["0", "1", "2", "3", "4", "5", "6", "7"];
    let order = |seed, order| async move {
        let sim = Sim::new(seed);
        sim.set_disorder(Disorder { order, ..Disorder::default() });
        send(&sim.ports(), &bodies).await;
        receive(&sim.ports(), 8).await.into_iter().map(|delivery| delivery.body).collect::<Vec<_>>()
    };
    assert_eq!(order(1, Order::Sent).await, bodies);
    let drawn = order(1, Order::Drawn).await;
    assert_ne!(drawn, bodies);
    assert_eq!(drawn, order(1, Order::Drawn).await);
    assert_ne!(drawn, order(2, Order::Drawn).await);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_poll_swallows_a_message_until_its_visibility_ends() {
    let sim = Sim::new(1);
    sim.set_latency(Duration::from_millis(2));
    let ports = sim.ports();
    let queue = queue();
    let poll = ports.queues.receive(&queue, 1, Duration::from_secs(20), HIDE);
    assert!(tokio::time::timeout(Duration::from_secs(1), poll).await.is_err());
    assert_eq!(sim.abandoned_polls(), 1);
    send(&ports, &["one"]).await;
    assert_eq!(receive(&ports, 1).await, []);
    tokio::time::sleep(HIDE).await;
    assert_eq!(receive(&ports, 1).await[0].receives, 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_batch_can_be_refused_alone() {
    let sim = Sim::new(3);
    sim.set_disorder(Disorder { partial_permille: 500, ..Disorder::default() });
    let batch: Vec<_> = (0..10).map(|n| Outgoing::new(n.to_string())).collect();
    let answers = sim.ports().queues.send(&queue(), &batch).await.unwrap();
    let sent: Vec<_> = (0..10).filter(|n| answers[*n].is_ok()).map(|n| n.to_string()).collect();
    assert!(!sent.is_empty() && sent.len() < 10);
    assert_eq!(sim.messages(&queue()).into_iter().map(|message| message.body).collect::<Vec<_>>(), sent);
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_neither_logged_nor_disturbed() {
    let sim = Sim::new(1);
    sim.set_disorder(Disorder { unavailable_permille: 1_000, ..Disorder::wild() });
    let observer = sim.observer();
    send(&observer, &["one"]).await;
    let got = receive(&observer, 1).await;
    assert_eq!(observer.queues.hide(&queue(), &got[0].receipt, HIDE).await.unwrap(), Hidden::Hidden);
    assert_eq!((sim.calls().len(), sim.messages(&queue()).len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_removed_is_missing() {
    let sim = Sim::new(1);
    sim.remove_queue(&queue());
    let error = sim.ports().queues.depth(&queue()).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Missing);
}
