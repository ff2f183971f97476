//! Natural batching: at most one call in flight per queue, and what comes meanwhile goes into the next one.
//!
//! No timer holds a send back: a single message leaves at once, and a busy queue fills its batches by itself. Nobody waits
//! for a delete, so that deletes are collected for a tenth of a second.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::ports::{BATCH_MAX, Outgoing, PortError, PortErrorKind, QueueName, Queues, Receipt, Remedy};

/// How many sends or deletes may wait for one queue before those who bring more have to wait.
const WAITING_MAX: usize = 1_024;

/// How often a failed send is repeated, beyond what the client itself repeats.
const SENDS_MAX: u32 = 5;

/// The wait before a failed send is repeated.
const SEND_PAUSE: Duration = Duration::from_millis(200);

/// For how long deletes are collected. What is deleted stays hidden for most of a lease of at least 3 s; a process that
/// dies meanwhile leaves messages that are acknowledged again.
const DELETE_PAUSE: Duration = Duration::from_millis(100);

const _: () =
    assert!(DELETE_PAUSE.as_millis() * 10 <= qsketch_core::pipeline::HEARTBEAT_MIN.as_millis(), "hidden until then");

/// Sends and deletes in natural batches.
#[derive(Clone)]
pub struct Outbox {
    queues: Arc<dyn Queues>,
    lanes: Arc<Mutex<BTreeMap<QueueName, Lane>>>,
    tracker: TaskTracker,
}

#[derive(Clone)]
struct Lane {
    sends: mpsc::Sender<Send>,
    deletes: mpsc::Sender<Receipt>,
}

struct Send {
    message: Outgoing,
    reply: oneshot::Sender<Result<(), PortError>>,
}

impl Outbox {
    /// An outbox on these queues.
    #[must_use]
    pub fn new(queues: Arc<dyn Queues>) -> Self {
        Self { queues, lanes: Arc::default(), tracker: TaskTracker::new() }
    }

    /// Sends a message and waits until the queue has it.
    ///
    /// # Errors
    /// [`PortError`] after all repetitions; whether it was sent is then not known.
    pub async fn send(&self, queue: &QueueName, message: Outgoing) -> Result<(), PortError> {
        let (reply, answer) = oneshot::channel();
        let closed = || PortError::new(format!("send to queue {queue}"), PortErrorKind::Unavailable);
        self.lane(queue).sends.send(Send { message, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Deletes a message, some time; nobody waits for it. Should it fail, the message comes back and is acknowledged
    /// again.
    pub async fn delete(&self, queue: &QueueName, receipt: Receipt) {
        if self.lane(queue).deletes.send(receipt).await.is_err() {
            tracing::warn!(%queue, "a message could not be deleted: it comes back and is acknowledged again");
        }
    }

    /// Waits until everything that was given to it is sent and deleted; nothing may be given to it afterwards.
    pub async fn flush(&self) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }

    fn lane(&self, queue: &QueueName) -> Lane {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(queue.clone()).or_insert_with(|| self.open(queue)).clone()
    }

    fn open(&self, queue: &QueueName) -> Lane {
        let (sends, sending) = mpsc::channel(WAITING_MAX);
        let (deletes, deleting) = mpsc::channel(WAITING_MAX);
        self.tracker.spawn(send_all(Arc::clone(&self.queues), queue.clone(), sending));
        self.tracker.spawn(delete_all(Arc::clone(&self.queues), queue.clone(), deleting));
        Lane { sends, deletes }
    }
}

async fn send_all(queues: Arc<dyn Queues>, queue: QueueName, mut waiting: mpsc::Receiver<Send>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (messages, replies): (Vec<_>, Vec<_>) = batch.drain(..).map(|send| (send.message, send.reply)).unzip();
        for (reply, answer) in replies.into_iter().zip(send_batch(&*queues, &queue, messages).await) {
            // Who no longer waits for the answer was told to stop: the message is repeatable.
            let _ = reply.send(answer);
        }
    }
}

/// Sends one batch, repeating what failed and may pass; an answer for each message.
async fn send_batch(queues: &dyn Queues, queue: &QueueName, messages: Vec<Outgoing>) -> Vec<Result<(), PortError>> {
    let mut answers: Vec<Option<Result<(), PortError>>> = messages.iter().map(|_| None).collect();
    for round in 1..=SENDS_MAX {
        let left: Vec<usize> = (0..messages.len()).filter(|index| !is_settled(answers[*index].as_ref())).collect();
        if left.is_empty() {
            break;
        }
        if round > 1 {
            tokio::time::sleep(SEND_PAUSE * (round - 1)).await;
        }
        let part: Vec<Outgoing> = left.iter().map(|index| messages[*index].clone()).collect();
        match queues.send(queue, &part).await {
            Ok(results) => {
                for (index, result) in left.into_iter().zip(results) {
                    answers[index] = Some(result);
                }
            }
            Err(error) if error.kind == PortErrorKind::TooLarge && part.len() > 1 => {
                for (index, message) in left.into_iter().zip(&part) {
                    let alone = queues.send(queue, core::slice::from_ref(message)).await;
                    answers[index] = Some(alone.and_then(|mut all| all.pop().unwrap_or(Ok(()))));
                }
            }
            Err(error) => {
                tracing::warn!(%queue, round, error = error.chain(), "a batch was not sent");
                for index in left {
                    let same = PortError::new(error.chain(), error.kind);
                    answers[index] = Some(Err(same));
                }
            }
        }
    }
    let unsent = || PortError::new(format!("send to queue {queue}"), PortErrorKind::Unavailable);
    answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unsent()))).collect()
}

fn is_settled(answer: Option<&Result<(), PortError>>) -> bool {
    match answer {
        None => false,
        Some(Ok(())) => true,
        Some(Err(error)) => error.remedy() != Remedy::Retry,
    }
}

async fn delete_all(queues: Arc<dyn Queues>, queue: QueueName, mut waiting: mpsc::Receiver<Receipt>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let pause = tokio::time::sleep(DELETE_PAUSE);
        tokio::pin!(pause);
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                biased;
                more = waiting.recv_many(&mut batch, room) => if more == 0 { break },
                () = &mut pause => break,
            }
        }
        if let Err(error) = queues.delete(&queue, &batch).await {
            tracing::warn!(%queue, error = error.chain(), "messages were not deleted: they come back and are acknowledged again");
        }
        batch.clear();
    }
}
