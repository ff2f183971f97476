//! What attempts do: each outcome is drawn from the seed, the job, the task and the attempt, so that a replay plays the same.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::ids::Which;
use qsketch_core::pipeline::CheckedStep;
use qsketch_core::refund::Secret;
use qsketch_core::{Failure, JobId, Pipeline, TaskId, Time};
use qsketch_notify::Notify;
use qsketch_runtime::{Attempt, Handler};
use qsketch_sim::{Random, Sim};

use crate::broken::Broken;
use crate::gallery::{FINALIZER, HOPELESS};
use crate::schedule::{Schedule, between, millis, secs};

/// What refund tokens are made from.
const SECRET: &str = "of the simulation alone, and long enough";

/// The name of every attempt's output.
pub const OUTPUT: &str = "out.txt";

/// The largest output that is read, in bytes: a line for each of a dozen inputs.
const OUTPUT_BYTES_MAX: u64 = 4_096;

/// The attempt from which on an attempt succeeds: a troubled task ends by its own attempts, and may be given up before.
const SUCCEEDS_FROM: u32 = 5;

/// How an attempt plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Play {
    /// It succeeds.
    Succeed,
    /// It fails, and may be tried again.
    Fail,
    /// What it needs has too much to do; half of the time with a delay to be kept.
    Overload,
    /// It fails for good, half of the time by its error's type.
    FailForGood,
    /// It panics.
    Panic,
    /// It never ends by itself.
    Hang,
}

/// What an attempt did.
#[derive(Clone, Debug)]
pub struct Played {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// In which process.
    pub process: String,
    /// How it was to play.
    pub play: Play,
    /// When it began.
    pub began: Time,
    /// How many writes had taken effect by then.
    pub after_commits: usize,
    /// When its future ended or was dropped; none while it runs.
    pub ended: Option<Time>,
    /// Whether it returned or panicked, and was not dropped.
    pub is_returned: bool,
}

/// All attempts of a world.
pub type Plays = Arc<Mutex<Vec<Played>>>;

/// The handler of every step in one process.
pub(crate) struct Player {
    pub(crate) sim: Sim,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) plays: Plays,
    pub(crate) process: String,
    pub(crate) broken: Option<Broken>,
}

/// How the attempt of this number plays, and how long it works.
#[must_use]
pub fn play(schedule: &Schedule, job: &JobId, task: &TaskId, attempt: u32) -> (Play, Duration) {
    let text = format!("{job} {task} {attempt}");
    // FNV-1a: any spread will do, as long as it stays the same.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut random = Random::new(schedule.seed ^ hash);
    let work = match random.under(10) {
        0..=4 => millis(random.under(400)),
        5..=8 => millis(random.under(4_000)),
        // Over a lease: it lives by its heartbeats.
        _ => secs(between(&mut random, (8, 20))),
    };
    let is_trouble = random.happens(schedule.trouble_permille) && attempt < SUCCEEDS_FROM;
    let is_finalizer = task.step().as_str() == FINALIZER;
    let play = match random.under(10) {
        _ if !is_trouble => Play::Succeed,
        0..=3 => Play::Fail,
        4..=5 => Play::Overload,
        6 => Play::Panic,
        7..=8 => Play::Hang,
        _ if is_finalizer => Play::Fail,
        _ => Play::FailForGood,
    };
    (play, work)
}

#[async_trait]
impl Handler for Player {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let (play, work) = match self.schedule.script {
            Some(script) => script(attempt.task(), attempt.job().closing, attempt.number()),
            None => play(&self.schedule, &attempt.job().job_id, attempt.task(), attempt.number()),
        };
        let mut seen = Seen::new(self, attempt, play);
        let result = self.act(attempt, play, work).await;
        seen.is_returned = true;
        drop(seen);
        match result {
            Some(result) => result,
            // Unlike `panic!`, it tells no hook: thousands of them are on purpose.
            None => std::panic::resume_unwind(Box::new("the step panicked on purpose")),
        }
    }
}

impl Player {
    /// None for a panic.
    async fn act(&self, attempt: &Attempt, play: Play, work: Duration) -> Option<Result<Output, Failure>> {
        if play == Play::Hang {
            return core::future::pending().await;
        }
        if !work.is_zero() {
            tokio::time::sleep(work).await;
        }
        let (number, even) = (attempt.number(), attempt.number().is_multiple_of(2));
        match play {
            Play::Succeed => Some(self.succeed(attempt).await),
            Play::Fail => Some(Err(Failure::retry("Flaky", "on purpose"))),
            Play::Overload => {
                let after = even.then(|| secs(u64::from(number) * 3));
                Some(Err(Failure::overload("Overloaded", "on purpose", after)))
            }
            Play::FailForGood if even => Some(Err(Failure::fail("Broken", "on purpose"))),
            Play::FailForGood => Some(Err(Failure::retry(HOPELESS, "on purpose"))),
            Play::Panic | Play::Hang => None,
        }
    }

    async fn succeed(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let name = attempt.task().step();
        if name.as_str() == FINALIZER {
            return match self.broken {
                Some(Broken::KeyPerNotification) => crate::broken::notify_with_a_new_key(attempt).await,
                _ => {
                    let secret = Secret::try_from(SECRET).map_err(|error| Failure::fail("BadSecret", error))?;
                    Notify::new(Some(Arc::new(secret))).run(attempt).await
                }
            };
        }
        let step = self.pipeline.step(name).ok_or_else(|| Failure::fail("NoStep", name))?;
        if !step.is_unclaimed {
            self.make(attempt, step).await?;
        }
        let is_last = self.pipeline.steps().last().is_some_and(|last| last.name == *name);
        let result = is_last.then(|| attempt.ports().store.location(&attempt.key(OUTPUT)));
        Ok(Output { width: self.pipeline.is_mapped_over(name).then_some(self.schedule.width), result })
    }

    /// Keeps an output that names its inputs, and what was in them.
    async fn make(&self, attempt: &Attempt, step: &CheckedStep) -> Result<(), Failure> {
        let mut text = format!("made {}\n", attempt.ports().clock.nonce());
        for input in &step.after {
            let of = self.pipeline.step(input).ok_or_else(|| Failure::fail("NoStep", input))?;
            let records = match attempt.task().which() {
                Which::Element(index) if of.over.is_some() => {
                    let task = TaskId::element(input.clone(), index);
                    vec![(task.clone(), attempt.record_of(&task).await?)]
                }
                _ => attempt.records_of(input).await?,
            };
            for (task, done) in records {
                let keeps = of.wait.is_none() && !of.is_unclaimed;
                let output = if keeps { attempt.get(&task, OUTPUT, OUTPUT_BYTES_MAX).await? } else { Vec::new() };
                let nonce = nonce_of(&output);
                text.push_str(&format!("in {task} {} {nonce}\n", done.attempt));
            }
        }
        attempt.put(OUTPUT, text.into_bytes(), "text/plain").await.map(drop)
    }
}

/// What tells an output from every other.
#[must_use]
pub fn nonce_of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().next().and_then(|line| line.strip_prefix("made ")).unwrap_or_default().to_owned()
}

/// Notes that an attempt began, and when it ended, whichever way it did.
struct Seen<'a> {
    player: &'a Player,
    place: usize,
    is_returned: bool,
}

impl<'a> Seen<'a> {
    fn new(player: &'a Player, attempt: &Attempt, play: Play) -> Self {
        let mut plays = player.plays.lock().unwrap_or_else(PoisonError::into_inner);
        plays.push(Played {
            job: attempt.job().job_id.clone(),
            task: attempt.task().clone(),
            attempt: attempt.number(),
            process: player.process.clone(),
            play,
            began: player.sim.now(),
            after_commits: player.sim.commits_made(),
            ended: None,
            is_returned: false,
        });
        Self { player, place: plays.len() - 1, is_returned: false }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let mut plays = self.player.plays.lock().unwrap_or_else(PoisonError::into_inner);
        // The clock is tokio's, which is gone when a whole runtime is dropped: by then nobody looks any more.
        if tokio::runtime::Handle::try_current().is_ok() {
            plays[self.place].ended = Some(self.player.sim.now());
            plays[self.place].is_returned = self.is_returned;
        }
    }
}
