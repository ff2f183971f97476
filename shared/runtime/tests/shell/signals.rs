//! Jobs that wait for a signal or for a time while workers are at them.

use core::time::Duration;

use qsketch_core::limits::PATIENCE;
use qsketch_core::wait::{Signaling, look_by, signal};
use qsketch_core::{Canceling, Commit, Job, JobId, JobStatus, Message, Part, TaskId, Wait, cancel};
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::reconcile::PERIOD;
use qsketch_runtime::{PortError, Ports, QueueName};
use qsketch_sim::Disorder;

use crate::disorder::run;
use crate::reconciled::Sweeping;
use crate::stage::{Play, Running, Stage, TASKS, status};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn stage(seed: u64) -> Stage {
    Stage::new(seed, |_, _| Play::Make(Duration::from_millis(300))).waiting(Wait::signal("go").timeout(7 * DAY))
}

/// Sends the signal as `qsketch signal` does, up to the messages.
async fn record(stage: &Stage, ports: &Ports, id: &JobId, payload: &str) -> Result<Vec<Message>, PortError> {
    let mut job = ports.table.load_job(id).await?.unwrap();
    loop {
        match signal(&stage.pipeline, &job, "go", Some(payload), ports.clock.now()) {
            Signaling::Is { messages, .. } => return Ok(messages),
            Signaling::Refused(refused) => panic!("{refused}"),
            Signaling::Write(write) => match ports.table.commit(id, &write).await? {
                Commit::Written(Part::Job(now)) | Commit::Overtaken(Some(Part::Job(now))) => job = *now,
                other => panic!("{other:?}"),
            },
        }
    }
}

async fn send(ports: &Ports, messages: &[Message]) -> Result<(), PortError> {
    for message in messages {
        let queue = QueueName::new(message.task.step().as_str());
        ports.queues.send(&queue, &[Outgoing::new(message.body())]).await?.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

async fn try_signal(stage: &Stage, ports: &Ports, id: &JobId, payload: &str) -> Result<(), PortError> {
    let messages = record(stage, ports, id, payload).await?;
    send(ports, &messages).await
}

/// Sends the signal again until it is taken without an error.
async fn signal_patiently(stage: &Stage, ports: &Ports, id: &JobId, payload: &str) {
    for _ in 0..50 {
        if try_signal(stage, ports, id, payload).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the signal was never taken\n{}", stage.log());
}

fn job_of(stage: &Stage, id: &JobId) -> Job {
    stage.sim.parts(id).job.unwrap()
}

async fn until_recorded(stage: &Stage, id: &JobId, task: &str) {
    let task: TaskId = task.parse().unwrap();
    let is_recorded = |sim: &qsketch_sim::Sim| sim.parts(id).job.is_some_and(|job| job.done.contains_key(&task));
    stage.until("it is recorded", is_recorded).await;
}

/// How many messages wait anywhere, hidden ones included.
fn waiting(stage: &Stage) -> usize {
    stage.sim.queue_names().iter().map(|queue| stage.sim.messages(queue).len()).sum()
}

/// The job completed as it should, and no message was ever sent for its wait.
async fn completes(stage: &Stage, id: &JobId) {
    let parts = stage.until_notified(id).await;
    assert_eq!(status(&parts), JobStatus::Completed, "{}", stage.log());
    stage.check_outputs(id);
    let done = parts.job.unwrap().done;
    assert!(TASKS.iter().all(|task| done.contains_key(&task.parse().unwrap())), "{done:?}");
    let sent = |step: &str| stage.sim.calls().iter().filter(|call| call.kind == "send" && call.target == step).count();
    assert!(sent("w") == 0 && sent("c") > 0, "a wait has no message\n{}", stage.log());
    assert_eq!(done[&"w".parse().unwrap()].attempt, 1);
}

#[test]
fn a_job_waits_for_days_without_a_message_and_goes_on_by_its_signal() {
    run(async {
        let stage = stage(1);
        let worker = stage.worker("w1");
        let id = stage.submit("j").await;
        until_recorded(&stage, &id, "a").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = stage.sim.commits().len();
        tokio::time::sleep(3 * DAY).await;
        assert_eq!((waiting(&stage), stage.sim.commits().len()), (0, before), "waiting costs no message and no write");
        signal_patiently(&stage, &stage.sim.observer(), &id, r#"{"by":"ada"}"#).await;
        completes(&stage, &id).await;
        let key = qsketch_runtime::attempt::key("j", &"b#1".parse().unwrap(), 1, "out.txt");
        let made = String::from_utf8(stage.sim.bytes(&key).unwrap()).unwrap();
        assert!(made.contains("signal {\"by\":\"ada\"}\n"), "the steps that follow read what came with it: {made}");
        worker.stop().await;
    });
}

#[test]
fn a_signal_before_its_inputs_is_kept_and_the_job_never_waits() {
    run(async {
        let stage = stage(1);
        let id = stage.submit("j").await;
        signal_patiently(&stage, &stage.sim.observer(), &id, "1").await;
        assert!(job_of(&stage, &id).done.contains_key(&"w".parse().unwrap()));
        let worker = stage.worker("w1");
        completes(&stage, &id).await;
        worker.stop().await;
    });
}

#[test]
fn a_signal_that_is_sent_twice_counts_once() {
    run(async {
        let stage = stage(1);
        let worker = stage.worker("w1");
        let id = stage.submit("j").await;
        until_recorded(&stage, &id, "a").await;
        let (one, other) = (stage.sim.observer(), stage.sim.observer());
        let (first, second) = (try_signal(&stage, &one, &id, "1"), try_signal(&stage, &other, &id, "2"));
        tokio::try_join!(first, second).unwrap();
        completes(&stage, &id).await;
        let payload = job_of(&stage, &id).done[&"w".parse().unwrap()].payload.clone();
        try_signal(&stage, &one, &id, "3").await.unwrap();
        assert_eq!(job_of(&stage, &id).done[&"w".parse().unwrap()].payload, payload, "the first one stays");
        worker.stop().await;
    });
}

#[test]
fn a_signal_that_races_the_last_input_is_never_lost_whatever_breaks() {
    let mut orders = [0, 0];
    for seed in 0..60 {
        run(async {
            let stage = stage(seed);
            stage.sim.set_disorder(Disorder::wild());
            let workers = [stage.worker("w1"), stage.worker("w2")];
            let id = stage.submit("j").await;
            let sender = stage.sim.process("sender").ports();
            stage.until_begun("a", 1).await;
            tokio::time::sleep(Duration::from_millis(200 + seed * 5)).await;
            signal_patiently(&stage, &sender, &id, "1").await;
            completes(&stage, &id).await;
            let done = job_of(&stage, &id).done;
            let is_early = done[&"w".parse().unwrap()].at < done[&"a".parse().unwrap()].at;
            orders[usize::from(is_early)] += 1;
            for worker in workers {
                worker.stop().await;
            }
        });
    }
    assert!(orders.iter().all(|count| *count >= 5), "both orders are tried: {orders:?}");
}

#[test]
fn a_sender_that_dies_between_the_record_and_the_messages_is_mended_by_sending_again() {
    run(async {
        let stage = stage(1);
        let worker = stage.worker("w1");
        let id = stage.submit("j").await;
        until_recorded(&stage, &id, "a").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let unsent = record(&stage, &stage.sim.observer(), &id, "1").await.unwrap();
        assert_eq!(unsent.len(), 3);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(stage.played("b#0").is_empty(), "nobody else knows");
        try_signal(&stage, &stage.sim.observer(), &id, "2").await.unwrap();
        completes(&stage, &id).await;
        assert_eq!(job_of(&stage, &id).done[&"w".parse().unwrap()].payload.as_deref(), Some("1"));
        worker.stop().await;
    });
}

#[test]
fn what_a_dead_sender_lost_is_sent_by_the_reconciler() {
    run(async {
        let stage = stage(1);
        let (worker, _sweeping, id) = on_wait(&stage).await;
        tokio::time::sleep(DAY).await;
        let at = stage.sim.now();
        record(&stage, &stage.sim.observer(), &id, "1").await.unwrap();
        completes(&stage, &id).await;
        let lost = stage.played("b#0")[0].began.since(at);
        assert!(lost <= PATIENCE + 2 * PERIOD, "after {lost:?}, though it had rested for hours");
        worker.stop().await;
    });
}

#[test]
fn a_job_that_waits_and_whose_cancellation_was_cut_off_is_notified_by_the_reconciler() {
    run(async {
        let stage = stage(1);
        let (worker, _sweeping, id) = on_wait(&stage).await;
        tokio::time::sleep(DAY).await;
        let canceling = cancel(&stage.pipeline, &job_of(&stage, &id), "not needed", stage.sim.now());
        let Canceling::Write(write) = canceling else { panic!("{canceling:?}") };
        stage.sim.observer().table.commit(&id, &write).await.unwrap();
        let parts = stage.until_notified(&id).await;
        assert_eq!((status(&parts), stage.notifications().len()), (JobStatus::Canceled, 1));
        worker.stop().await;
    });
}

/// A job whose first step is recorded, with a worker at it and a reconciler that sweeps.
async fn on_wait(stage: &Stage) -> (Running, Sweeping, JobId) {
    let sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
    let (worker, id) = (stage.worker("w1"), stage.submit("j").await);
    until_recorded(stage, &id, "a").await;
    (worker, sweeping, id)
}

#[test]
fn a_timer_fires_within_one_period_of_the_reconciler() {
    run(async {
        let stage = stage(1).waiting(Wait::after(2 * DAY));
        let (worker, _sweeping, id) = on_wait(&stage).await;
        let fires = look_by(&stage.pipeline, &job_of(&stage, &id)).unwrap();
        tokio::time::sleep(2 * DAY - Duration::from_secs(3_600)).await;
        completes(&stage, &id).await;
        let late = job_of(&stage, &id).done[&"w".parse().unwrap()].at.since(fires);
        assert!(late <= PERIOD, "{late:?}");
        let writes = stage.sim.commits().iter().filter(|committed| committed.write.kind() == "look").count();
        assert!(writes <= 20, "{writes} looks in two days");
        worker.stop().await;
    });
}

#[test]
fn a_wait_without_time_closes_the_job_within_one_period_and_a_signal_comes_too_late() {
    run(async {
        let stage = stage(1);
        let (worker, _sweeping, id) = on_wait(&stage).await;
        let over = look_by(&stage.pipeline, &job_of(&stage, &id)).unwrap();
        tokio::time::sleep(7 * DAY - Duration::from_secs(3_600)).await;
        let job = stage.until_notified(&id).await.job.unwrap();
        assert_eq!((job.status, stage.notifications().len()), (JobStatus::TimedOut, 1));
        let late = job.closings[0].at.since(over);
        assert!(late <= PERIOD, "{late:?}");
        let refused = signal(&stage.pipeline, &job, "go", None, stage.sim.now());
        assert!(matches!(refused, Signaling::Refused(_)), "{refused:?}");
        worker.stop().await;
    });
}
