//! Clocks: within a second of each other every promise holds; beyond it nothing is claimed.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use qsketch_core::{JobStatus, Offset, Time};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::ports::PortErrorKind;
use qsketch_runtime::reconcile::{Mode, reconcile};
use qsketch_runtime::{Clock, Consumer, Delivery, Fate, QueueName, Stop, shutdown};
use qsketch_sim::{Disorder, EPOCH};

use crate::stage::{End, LEASE, Play, Stage, status};

/// What a worker claims while its clock is so many milliseconds ahead, and once it is right.
async fn claims(ahead: i64) -> (usize, usize) {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::ZERO));
    let worker = stage.worker("w");
    worker.process.set_clock(ahead);
    let id = stage.submit("j").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let before = stage.sim.commits().iter().filter(|committed| committed.write.claims().is_some()).count();
    worker.process.set_clock(0);
    let parts = stage.until_notified(&id).await;
    assert_eq!(status(&parts), JobStatus::Completed);
    worker.stop().await;
    stage.check_outputs(&id);
    assert!(parts.tasks.values().all(|task| task.charged == 0), "waiting for the clock charges nothing");
    (before, stage.sim.commits().iter().filter(|committed| committed.write.claims().is_some()).count())
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_clock_is_off_claims_nothing_until_it_is_set() {
    assert_eq!([claims(1_001).await, claims(-1_001).await, claims(-3_600_000).await], [(0, 6); 3]);
    assert_eq!([claims(1_000).await, claims(-1_000).await], [(6, 6); 2], "a second is allowed");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_clock_goes_wrong_ends_what_it_has_and_claims_nothing_more() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::from_secs(60)));
    let worker = stage.worker("w");
    let id = stage.submit("j").await;
    stage.until_begun("a", 1).await;
    worker.process.set_clock(1_500);
    stage.until("a is recorded", |sim| sim.parts(&id).job.is_some_and(|job| job.done.len() == 1)).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.sim.parts(&id).job.unwrap().done.len(), 1);
    assert_eq!(stage.played("b#0"), []);
    let other = stage.worker("sound");
    assert_eq!(status(&stage.until_notified(&id).await), JobStatus::Completed, "others go on");
    worker.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_by_a_clock_that_is_off_looks_at_nothing_and_says_why() {
    let stage = Stage::new(1, |_, _| Play::Make(Duration::ZERO));
    let id = stage.begin("j").await;
    let process = stage.sim.process("reconciler");
    process.set_clock(3_600_000);
    let before = stage.sim.commits().len();
    let error = reconcile(&process.ports(), Mode::Mend).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Invalid);
    assert!(error.chain().contains("3600.0 to 3600.0 s ahead, and at most 1 s is allowed"), "{}", error.chain());
    assert_eq!(stage.sim.commits().len(), before);
    assert_eq!(status(&stage.sim.parts(&id)), JobStatus::Running);
}

/// One world of two workers whose clocks are as far apart as two may be, one of which stands still for longer than its lease.
async fn apart(seed: u64) {
    let stage = Stage::new(seed, |task, _| match task.step().as_str() {
        "b" => Play::Make(Duration::from_secs(20)),
        _ => Play::Make(Duration::from_secs(1)),
    });
    stage.sim.set_disorder(Disorder {
        duplicate_permille: 200,
        latency: Duration::from_millis(20),
        ..Disorder::default()
    });
    let (fast, slow) = (stage.worker("fast"), stage.worker("slow"));
    fast.process.set_clock(500);
    slow.process.set_clock(-500);
    let id = stage.submit("j").await;
    stage.until("an element has begun", |_| !stage.played("b#0").is_empty()).await;
    let frozen = if seed.is_multiple_of(2) { &fast } else { &slow };
    frozen.process.freeze();
    tokio::time::sleep(LEASE + Duration::from_secs(2)).await;
    frozen.process.thaw();
    assert_eq!(status(&stage.until_notified(&id).await), JobStatus::Completed, "seed {seed}");
    fast.stop().await;
    slow.stop().await;
    stage.check_outputs(&id);
    for task in ["a", "b#0", "b#1", "b#2", "c"] {
        let returned = stage.played(task).iter().filter(|played| matches!(played.end, End::Returned(_))).count();
        assert!(returned >= 1, "seed {seed}: {task}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_clocks_a_second_apart_every_output_stays_its_winners() {
    for seed in 0..20 {
        apart(seed).await;
    }
}

/// A consumer whose clock replies narrow only from the fourth question on: to `told`.
struct Unsure {
    asked: AtomicU32,
    told: Offset,
    consumed: AtomicU32,
}

impl Clock for Unsure {
    fn now(&self) -> Time {
        EPOCH
    }

    fn draw(&self) -> u16 {
        0
    }

    fn nonce(&self) -> String {
        "nonce".to_owned()
    }

    fn offset(&self) -> Option<Offset> {
        let is_wide = self.asked.fetch_add(1, Ordering::SeqCst) < 3;
        Some(if is_wide { Offset { least: 200, most: 1_200 } } else { self.told })
    }
}

#[async_trait]
impl Consumer for Unsure {
    async fn consume(&self, _: &Delivery, _: &Stop) -> Fate {
        self.consumed.fetch_add(1, Ordering::SeqCst);
        Fate::Delete
    }

    fn clock(&self) -> Option<&dyn Clock> {
        Some(self)
    }
}

/// How many messages such a consumer has taken after a minute.
async fn taken(least: i64, most: i64) -> u32 {
    let stage = Stage::new(1, |_, _| Play::Hang);
    let queues = stage.sim.ports().queues;
    let (asked, consumed) = (AtomicU32::new(0), AtomicU32::new(0));
    let consumer = Arc::new(Unsure { asked, told: Offset { least, most }, consumed });
    stage.send("q", "x").await;
    let (stopper, stop) = shutdown::pair();
    let polling = Polling { queue: QueueName::new("q"), concurrency: 1, wait: Duration::from_secs(20), hide: LEASE };
    let outbox = Outbox::new(Arc::clone(&queues));
    let running = poll::run(&polling, queues, &outbox, Arc::clone(&consumer) as Arc<dyn Consumer>, &stop);
    tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            stopper.stop();
        },
        async { running.await.unwrap() }
    );
    consumer.consumed.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_can_not_tell_yet_asks_before_it_begins() {
    assert_eq!(taken(1_100, 1_200).await, 0, "it was off");
    assert_eq!(taken(800, 900).await, 1, "it was right");
    assert_eq!(taken(950, 1_050).await, 1, "it is at the very bound, and may begin");
}
