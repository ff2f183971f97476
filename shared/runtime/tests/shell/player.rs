//! How attempts play on the stage: what each does, and what was seen of it.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use qsketch_core::decide::Output;
use qsketch_core::{Failure, JobId, SignalName, StepName, TaskId, Time};
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::{Attempt, Handler, QueueName, Throttle};
use tokio::time::Instant;

/// How one attempt plays.
#[derive(Clone, Debug)]
pub enum Play {
    /// It works for this long and succeeds, without a call of its own.
    Work(Duration),
    /// It keeps an output made from its inputs' outputs; the finalizer notifies.
    Make(Duration),
    /// It fails.
    Fail(Failure),
    /// It takes so many turns at a provider, and makes a request at each.
    Ask(Arc<Throttle>, u32),
    /// It never ends.
    Hang,
    /// It panics.
    Panic,
}

/// What an attempt did, as the handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    pub job: JobId,
    pub task: TaskId,
    pub attempt: u32,
    pub began: Time,
    pub end: End,
}

/// How the handler's future ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has not.
    Open,
    /// It returned or panicked.
    Returned(Time),
    /// It was dropped.
    Dropped(Time),
}

pub type Script = dyn Fn(&TaskId, u32) -> Play + Send + Sync;

/// The name of every attempt's output.
pub const OUTPUT: &str = "out.txt";

/// How often the player repeats a call that fails: its own faults are not what is tested.
const TRIES: usize = 50;

/// The handler of every step: it plays each attempt as the script says, and notes it.
pub struct Player {
    /// Whether an attempt keeps an output.
    pub keeps: bool,
    /// How many elements the list of `a` has.
    pub width: u32,
    pub script: Arc<Script>,
    pub played: Arc<Mutex<Vec<Played>>>,
    /// When a provider was asked, by the true time.
    pub asked: Arc<Mutex<Vec<Instant>>>,
    /// The job and the task whose every attempt hangs.
    pub poison: Option<(String, String)>,
}

#[async_trait]
impl Handler for Player {
    async fn run(&self, attempt: &Attempt) -> Result<Output, Failure> {
        let mut seen = Seen::new(self, attempt);
        let of = (attempt.job().job_id.to_string(), attempt.task().to_string());
        let is_poison = self.poison.as_ref() == Some(&of);
        let play = if is_poison { Play::Hang } else { (self.script)(attempt.task(), attempt.number()) };
        let result = match play {
            Play::Work(span) => {
                tokio::time::sleep(span).await;
                Ok(output(attempt, self.width))
            }
            Play::Make(span) => {
                tokio::time::sleep(span).await;
                make(attempt, self.keeps).await.map(|()| output(attempt, self.width))
            }
            Play::Ask(throttle, turns) => {
                self.ask(attempt, &throttle, turns).await.map(|()| output(attempt, self.width))
            }
            Play::Fail(failure) => Err(failure),
            Play::Hang => core::future::pending().await,
            Play::Panic => {
                seen.end = End::Returned(attempt.now());
                panic!("the step panicked on purpose")
            }
        };
        seen.end = End::Returned(attempt.now());
        result
    }
}

impl Player {
    async fn ask(&self, attempt: &Attempt, throttle: &Throttle, turns: u32) -> Result<(), Failure> {
        let mut queue = attempt.turns(Some(throttle), turns).await?;
        for _ in 0..turns {
            queue.next().await?;
            self.asked.lock().unwrap().push(Instant::now());
        }
        Ok(())
    }
}

fn output(attempt: &Attempt, width: u32) -> Output {
    let is_start = attempt.task().step().as_str() == "a";
    let result = (attempt.task().to_string() == "c").then(|| attempt.ports().store.location("result"));
    Output { width: is_start.then_some(width), result }
}

/// Reads the inputs' outputs and keeps one of its own that names them; the finalizer notifies.
async fn make(attempt: &Attempt, keeps: bool) -> Result<(), Failure> {
    let mut text = format!("made {}\n", attempt.ports().clock.nonce());
    if let Some(payload) = attempt.signal(&SignalName::try_from("go").unwrap()) {
        text.push_str(&format!("signal {payload}\n"));
    }
    let inputs = match attempt.task().step().as_str() {
        "b" => "a",
        "c" => "b",
        _ => "",
    };
    if let Ok(step) = StepName::try_from(inputs)
        && keeps
    {
        // An element of a step that is mapped after another one reads the same element of that.
        let inputs = match attempt.index().filter(|_| inputs == "b") {
            Some(index) => {
                let task = TaskId::element(step, index);
                vec![(task.clone(), patiently(|| attempt.record_of(&task)).await?)]
            }
            None => patiently(|| attempt.records_of(&step)).await?,
        };
        for (input, done) in inputs {
            let bytes = patiently(|| attempt.get(&input, OUTPUT, 1_000)).await?;
            let made = String::from_utf8(bytes).unwrap();
            let nonce = made.lines().next().and_then(|line| line.strip_prefix("made ")).unwrap();
            text.push_str(&format!("in {input} {} {nonce}\n", done.attempt));
        }
    }
    if keeps {
        patiently(|| attempt.put(OUTPUT, text.clone().into_bytes(), "text/plain")).await?;
    }
    if let Some((number, closing)) = attempt.closing() {
        let event = serde_json::json!({ "job": attempt.job().job_id, "closing": number, "is": closing }).to_string();
        let queue = QueueName::new("notifications");
        patiently(|| attempt.send(&queue, Outgoing::new(event.clone()))).await?;
    }
    Ok(())
}

async fn patiently<T, F: Future<Output = Result<T, Failure>>>(mut call: impl FnMut() -> F) -> Result<T, Failure> {
    let mut last = None;
    for _ in 0..TRIES {
        match call().await {
            Ok(got) => return Ok(got),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap())
}

/// Notes that an attempt began, and how it ended, whichever way it did.
struct Seen<'a> {
    player: &'a Player,
    attempt: &'a Attempt,
    place: usize,
    end: End,
}

impl<'a> Seen<'a> {
    fn new(player: &'a Player, attempt: &'a Attempt) -> Self {
        let mut played = player.played.lock().unwrap();
        played.push(Played {
            job: attempt.job().job_id.clone(),
            task: attempt.task().clone(),
            attempt: attempt.number(),
            began: attempt.now(),
            end: End::Open,
        });
        Self { player, attempt, place: played.len() - 1, end: End::Open }
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let end = if self.end == End::Open { End::Dropped(self.attempt.now()) } else { self.end };
        self.player.played.lock().unwrap()[self.place].end = end;
    }
}
