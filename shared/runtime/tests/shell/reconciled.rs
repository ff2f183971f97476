//! The reconciler: messages that are gone, jobs that nobody looks at, backlogs that only look like it, and what it costs.

use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;
use qsketch_core::decide::start_message;
use qsketch_core::limits::{ABOUT_EMPTY, PATIENCE, RESENDS_IN_BACKLOG_MAX};
use qsketch_core::pause::{Pausing, pause, resume};
use qsketch_core::pipeline::{RetryPolicy, Timeouts};
use qsketch_core::{Commit, Failure, JobId, JobStatus, Part, Pipeline, StepSpec, Write};
use qsketch_runtime::ports::{Delivery, Depth, Hidden, Outgoing, PortError, Receipt};
use qsketch_runtime::reconcile::{Mode, PERIOD, Swept, reconcile};
use qsketch_runtime::{Ports, QueueName, Queues};
use qsketch_sim::{Disorder, Fault, Sim, Units};

use crate::disorder::run;
use crate::stage::{LEASE, Play, Stage, status};

const QUEUES: [&str; 4] = ["a", "b", "c", "z"];

fn make(_: &qsketch_core::TaskId, _: u32) -> Play {
    Play::Make(Duration::from_millis(300))
}

/// Sweeps every period until it is dropped.
pub struct Sweeping(tokio::task::JoinHandle<()>);

impl Sweeping {
    pub fn every_minute(ports: Ports) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(PERIOD).await;
                // What fails is due again.
                let _ = reconcile(&ports, Mode::Mend).await;
            }
        }))
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn purge(stage: &Stage) {
    QUEUES.iter().for_each(|queue| stage.sim.purge(&QueueName::new(queue)));
}

async fn write(stage: &Stage, job: &JobId, write: &Write) {
    let commit = stage.sim.observer().table.commit(job, write).await.unwrap();
    assert!(matches!(commit, Commit::Written(Part::Job(_))), "{commit:?}");
}

async fn swept(ports: &Ports) -> Swept {
    reconcile(ports, Mode::Mend).await.unwrap()
}

#[test]
fn a_job_whose_every_message_is_lost_again_and_again_completes() {
    for seed in 0..30 {
        run(async {
            let stage = Stage::new(seed, make);
            stage.sim.set_disorder(Disorder::wild());
            let workers = [stage.worker("w1"), stage.worker("w2")];
            let sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
            let id = stage.submit("j").await;
            for secs in [0, 1 + seed, 150, 300] {
                tokio::time::sleep(Duration::from_secs(secs)).await;
                purge(&stage);
            }
            let parts = stage.until_notified(&id).await;
            assert_eq!(status(&parts), JobStatus::Completed, "seed {seed}\n{}", stage.log());
            stage.check_outputs(&id);
            assert_eq!(stage.notifications().len(), 1, "seed {seed}");
            drop(sweeping);
            for worker in workers {
                worker.stop().await;
            }
        });
    }
}

#[test]
fn without_the_reconciler_a_job_whose_messages_are_lost_stands_for_ever() {
    run(async {
        let stage = Stage::new(1, make);
        let id = stage.submit("j").await;
        purge(&stage);
        let worker = stage.worker("w");
        tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
        assert_eq!(status(&stage.sim.parts(&id)), JobStatus::Running);
        // And with it, from then on: it is closed, for its time is over, and that is notified.
        let report = swept(&stage.sim.process("reconciler").ports()).await;
        assert_eq!((report.looked, report.mended), (1, 1), "{report:?}");
        let parts = stage.until_notified(&id).await;
        assert_eq!(status(&parts), JobStatus::TimedOut);
        assert_eq!(parts.job.unwrap().check_at, None, "nobody looks after it any more");
        worker.stop().await;
    });
}

#[test]
fn a_lost_message_is_sent_again_after_patience_and_one_period() {
    run(async {
        let stage = Stage::new(2, make);
        let id = stage.begin("j").await;
        let worker = stage.worker("w");
        let _sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
        let began = stage.sim.now();
        stage.until_notified(&id).await;
        let first = stage.played("a")[0].began.since(began);
        assert!(first >= PATIENCE && first <= PATIENCE + PERIOD + Duration::from_secs(1), "{first:?}");
        worker.stop().await;
    });
}

#[test]
fn the_notification_of_a_job_that_closed_while_it_was_paused_is_sent() {
    run(async {
        let stage = Stage::new(3, make);
        let id = stage.submit("j").await;
        let worker = stage.worker_of("w", &["a", "b", "c"]);
        stage.until("it has closed", |sim| status(&sim.parts(&id)) == JobStatus::Completed).await;
        // As if whoever closed it had died, and every other delivery had been acknowledged while it was paused.
        purge(&stage);
        worker.stop().await;
        let worker = stage.worker("w2");
        let _sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
        stage.until_notified(&id).await;
        assert_eq!(stage.notifications().len(), 1);
        worker.stop().await;
    });
}

#[test]
fn a_job_whose_resumer_died_before_it_sent_goes_on_and_a_paused_one_does_not() {
    run(async {
        let stage = Stage::new(4, make);
        let id = stage.submit("j").await;
        let job = stage.sim.parts(&id).job.unwrap();
        let Pausing::Write(paused) = pause(&stage.pipeline, &job, None, stage.sim.now()) else { panic!("no write") };
        write(&stage, &id, &paused).await;
        let worker = stage.worker("w");
        let _sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
        tokio::time::sleep(Duration::from_secs(400)).await;
        assert!(stage.played("a").is_empty(), "it is paused");
        let job = stage.sim.parts(&id).job.unwrap();
        let Pausing::Write(resumed) = resume(&stage.pipeline, &job, None, stage.sim.now()) else { panic!("no write") };
        write(&stage, &id, &resumed).await;
        let parts = stage.until_notified(&id).await;
        assert_eq!(status(&parts), JobStatus::Completed);
        worker.stop().await;
    });
}

#[test]
fn a_notification_whose_attempts_were_used_up_is_told_once_the_trouble_is_over() {
    run(async {
        let is_mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let known = Arc::clone(&is_mended);
        let stage = Stage::new(5, move |id, attempt| {
            if id.to_string() == "z@0" && !known.load(std::sync::atomic::Ordering::SeqCst) {
                return Play::Fail(Failure::retry("Unreachable", "on purpose"));
            }
            make(id, attempt)
        });
        let id = stage.submit("j").await;
        let worker = stage.worker("w");
        let _sweeping = Sweeping::every_minute(stage.sim.process("reconciler").ports());
        let dead = QueueName::new("z").dead();
        stage.until("it is given up", |sim| !sim.messages(&dead).is_empty()).await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert!(stage.played("z@0").len() > 3, "it is tried anew");
        is_mended.store(true, std::sync::atomic::Ordering::SeqCst);
        let parts = stage.until_notified(&id).await;
        assert_eq!(parts.job.unwrap().check_at, None);
        worker.stop().await;
    });
}

#[test]
fn whichever_call_of_a_sweep_fails_or_is_its_last_the_next_sweep_mends_what_is_missing() {
    for fault in [Fault::Unavailable, Fault::LostReply, Fault::CrashBefore, Fault::CrashAfter] {
        let mut number = 0;
        loop {
            let was_made = std::cell::Cell::new(true);
            run(async {
                let stage = Stage::new(6, make);
                let lost = stage.begin("lost").await;
                let over = stage.begin("over").await;
                tokio::time::sleep(Duration::from_secs(130)).await;
                let mut job = stage.sim.parts(&over).job.unwrap();
                job.deadline = stage.sim.now();
                stage.sim.remove_job(&over);
                stage.sim.observer().table.commit(&over, &Write::CreateJob(Box::new(job))).await.unwrap();
                let before = stage.sim.calls().len() as u64;
                stage.sim.fail_call(before + number, fault);
                let process = stage.sim.process("r1");
                let ports = process.ports();
                tokio::select! {
                    _ = reconcile(&ports, Mode::Mend) => {}
                    () = process.crashed() => {}
                }
                was_made.set(stage.sim.calls().iter().any(|call| call.fault.is_some()));
                if !was_made.get() {
                    return;
                }
                let worker = stage.worker("w");
                let _sweeping = Sweeping::every_minute(stage.sim.process("r2").ports());
                assert_eq!(status(&stage.until_notified(&lost).await), JobStatus::Completed, "{fault:?} at {number}");
                assert_eq!(status(&stage.until_notified(&over).await), JobStatus::TimedOut, "{fault:?} at {number}");
                worker.stop().await;
            });
            if !was_made.get() {
                break;
            }
            number += 1;
        }
        assert!(number >= 22, "{fault:?}: only {number} calls were tried");
    }
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_a_sweep_would_do() {
    run(async {
        let stage = Stage::new(7, make);
        let (lost, over) = (stage.begin("lost").await, stage.begin("over").await);
        tokio::time::sleep(Duration::from_secs(200)).await;
        let ports = stage.sim.process("reconciler").ports();
        let before = (stage.sim.parts(&lost), stage.sim.commits().len());
        let report = reconcile(&ports, Mode::DryRun).await.unwrap();
        assert_eq!((report.looked, report.resent.get("a")), (2, Some(&2)), "{report:?}");
        assert_eq!((stage.sim.parts(&lost), stage.sim.commits().len()), before);
        assert!(stage.sim.messages(&QueueName::new("a")).is_empty());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let report = reconcile(&ports, Mode::DryRun).await.unwrap();
        let deed = report.deeds.iter().find(|deed| deed.job == over).unwrap();
        assert!(deed.what.starts_with("close it as TIMED_OUT for a: "), "{deed:?}");
        assert_eq!(stage.sim.commits().len(), before.1);
    });
}

#[test]
fn of_two_sweeps_at_once_one_moves_each_job_and_both_together_send_at_most_twice() {
    run(async {
        let stage = Stage::new(8, make);
        stage.sim.set_latency(Duration::from_millis(20));
        for n in 0..50 {
            stage.begin(&format!("j{n}")).await;
        }
        tokio::time::sleep(Duration::from_secs(130)).await;
        let (one, two) = (stage.sim.process("r1").ports(), stage.sim.process("r2").ports());
        tokio::join!(swept(&one), swept(&two));
        let moves = stage.sim.commits().into_iter().filter(|it| matches!(it.write, Write::Look { .. })).count();
        assert_eq!(moves, 50);
        assert!(stage.sim.messages(&QueueName::new("a")).len() <= 100);
    });
}

/// A pipeline of one step that may wait for a day, and its finalizer.
fn patient(seed: u64) -> Stage {
    let timeouts = Timeouts { heartbeat: LEASE, schedule_to_close: Duration::from_secs(86_400), ..Timeouts::default() };
    let mut stage = Stage::with(seed, timeouts.clone(), RetryPolicy::default(), |id, _| {
        Play::Work(Duration::from_millis(if id.step().as_str() == "a" { 2_400 } else { 0 }))
    });
    let step = |name| StepSpec::new(name).timeouts(timeouts.clone());
    let builder = Pipeline::builder("p").job_timeout(Duration::from_secs(86_400)).step(step("a"));
    stage.pipeline = builder.finalizer(step("z")).build().unwrap();
    stage
}

/// Queues that say that they are empty.
struct SaysEmpty(Arc<dyn Queues>);

#[async_trait]
impl Queues for SaysEmpty {
    async fn receive(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        self.0.receive(queue, most, wait, hide).await
    }
    async fn send(&self, queue: &QueueName, messages: &[Outgoing]) -> Result<Vec<Result<(), PortError>>, PortError> {
        self.0.send(queue, messages).await
    }
    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), PortError> {
        self.0.delete(queue, receipts).await
    }
    async fn hide(&self, queue: &QueueName, receipt: &Receipt, hide: Duration) -> Result<Hidden, PortError> {
        self.0.hide(queue, receipt, hide).await
    }
    async fn depth(&self, _: &QueueName) -> Result<Depth, PortError> {
        Ok(Depth::default())
    }
}

/// How many messages the sweeps sent while a backlog drained, and how many sweeps there were.
async fn drain(stage: &Stage, backlog: u32, change: impl FnOnce(Ports) -> Ports) -> (usize, usize) {
    stage.sim.observer().table.keep_pipeline(&stage.pipeline).await.unwrap();
    for n in 0..backlog {
        let id = stage.begin(&format!("j{n}")).await;
        let job = stage.sim.parts(&id).job.unwrap();
        stage.send("a", &start_message(&stage.pipeline, &job).body()).await;
    }
    let worker = stage.worker("w");
    let ports = change(stage.sim.process("reconciler").ports());
    let (mut sent, mut sweeps) = (0, 0);
    let is_open = |sim: &Sim| {
        (0..backlog).any(|n| {
            let job = sim.parts(&JobId::try_from(format!("j{n}").as_str()).unwrap()).job.unwrap();
            job.check_at.is_some()
        })
    };
    while is_open(&stage.sim) {
        tokio::time::sleep(PERIOD).await;
        let report = swept(&ports).await;
        sent += report.resent.values().sum::<usize>();
        sweeps += 1;
        assert!(sweeps < 1_000, "it never drains");
    }
    worker.stop().await;
    (sent, sweeps)
}

#[test]
fn a_backlog_of_ten_thousand_tasks_does_not_grow_by_looks_and_does_where_all_queues_count_as_empty() {
    run(async {
        let backlog = 10_000;
        let stage = patient(9);
        let (sent, sweeps) = drain(&stage, backlog, |ports| ports).await;
        // While the backlog stands a few a sweep; when it is about empty what is left of it, once.
        let most = RESENDS_IN_BACKLOG_MAX * sweeps + usize::try_from(ABOUT_EMPTY).unwrap();
        println!(
            "a backlog of {backlog} drained in {sweeps} min; {sent} messages were sent again, at most {most} may be"
        );
        assert!(sent <= most, "{sent} in {sweeps} sweeps");
        assert_eq!(stage.played("a").len(), usize::try_from(backlog).unwrap(), "no task was done twice");
    });
    run(async {
        let backlog = 1_000;
        let stage = patient(10);
        let naive = |ports: Ports| Ports { queues: Arc::new(SaysEmpty(Arc::clone(&ports.queues))), ..ports };
        let (sent, _) = drain(&stage, backlog, naive).await;
        println!("a backlog of {backlog} where every queue counts as empty: {sent} messages were sent again");
        assert!(sent > usize::try_from(backlog).unwrap(), "the broken variant was not caught: {sent}");
    });
}

/// What one sweep costs in which all of so many open jobs are due, each at work.
async fn cost(open: u32) -> (usize, Units) {
    let stage = patient(11);
    stage.sim.observer().table.keep_pipeline(&stage.pipeline).await.unwrap();
    for n in 0..open {
        stage.begin(&format!("j{n}")).await;
    }
    tokio::time::sleep(PATIENCE).await;
    let (calls, units) = (stage.sim.calls().len(), stage.sim.units());
    let report = swept(&stage.sim.process("reconciler").ports()).await;
    assert_eq!(report.looked, u64::from(open), "{report:?}");
    let now = stage.sim.units();
    let units = Units {
        writes: now.writes - units.writes,
        index_writes: now.index_writes - units.index_writes,
        reads: now.reads - units.reads,
        list_halves: now.list_halves - units.list_halves,
    };
    (stage.sim.calls().len() - calls, units)
}

#[test]
fn a_sweep_costs_sixteen_small_reads_and_for_each_job_that_is_due_one_read_and_three_write_units() {
    println!("open jobs    calls  index reads  reads  writes  index writes   (units)");
    for open in [0, 1_000, 100_000] {
        run(async {
            let (calls, units) = cost(open).await;
            let Units { writes, index_writes, reads, list_halves } = units;
            println!(
                "{open:>9} {calls:>8} {:>12.1} {reads:>6} {writes:>7} {index_writes:>13}",
                list_halves as f64 / 2.0
            );
            let jobs = u64::from(open);
            assert_eq!((writes, index_writes), (jobs, 2 * jobs));
            assert!(reads <= jobs + 1, "the graph is read once: {reads}");
            // An empty page costs half a unit; a hundred entries of an index fill less than three.
            assert!(list_halves <= 16 + jobs / 100 * 6 + 16 * 6, "{list_halves}");
        });
    }
}
