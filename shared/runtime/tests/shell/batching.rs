//! Natural batching: what comes while a call is in flight goes into the next one.

use core::time::Duration;

use futures_util::future::join_all;
use qsketch_runtime::QueueName;
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::ports::Outgoing;
use qsketch_sim::{Call, Disorder, Fault, Sim};

const LATENCY: Duration = Duration::from_millis(10);

fn outbox(sim: &Sim) -> Outbox {
    sim.set_latency(LATENCY);
    Outbox::new(sim.ports().queues)
}

fn sizes(calls: &[Call], kind: &str) -> Vec<usize> {
    calls.iter().filter(|call| call.kind == kind).map(|call| call.size).collect()
}

async fn send_all(outbox: &Outbox, queue: &QueueName, count: usize) -> Vec<bool> {
    let sends = (0..count).map(|number| outbox.send(queue, Outgoing::new(number.to_string())));
    join_all(sends).await.into_iter().map(|answer| answer.is_ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_message_alone_leaves_at_once_in_a_call_of_its_own() {
    let sim = Sim::new(1);
    let (outbox, queue, began) = (outbox(&sim), QueueName::new("q"), sim.now());
    assert_eq!(send_all(&outbox, &queue, 1).await, [true]);
    assert_eq!(sim.now().since(began), LATENCY, "it waits for nobody");
    assert_eq!(sizes(&sim.calls(), "send"), [1]);
}

#[tokio::test(start_paused = true)]
async fn twenty_five_sends_at_once_take_three_or_four_calls() {
    let sim = Sim::new(1);
    let (outbox, queue) = (outbox(&sim), QueueName::new("q"));
    assert_eq!(send_all(&outbox, &queue, 25).await, [true; 25]);
    let sizes = sizes(&sim.calls(), "send");
    assert!((3..=4).contains(&sizes.len()), "{sizes:?}");
    let bodies: Vec<_> = sim.messages(&queue).into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, (0..25).map(|number| number.to_string()).collect::<Vec<_>>(), "in their order, each once");
}

#[tokio::test(start_paused = true)]
async fn a_slow_queue_does_not_hold_up_another() {
    let sim = Sim::new(1);
    let (outbox, began) = (outbox(&sim), sim.now());
    let (first, second) = (QueueName::new("q1"), QueueName::new("q2"));
    let (_, alone) = tokio::join!(send_all(&outbox, &first, 100), async {
        send_all(&outbox, &second, 1).await;
        sim.now().since(began)
    });
    assert_eq!(alone, LATENCY);
}

#[tokio::test(start_paused = true)]
async fn deletes_travel_in_batches_too_and_a_flush_waits_for_them() {
    let sim = Sim::new(1);
    let (outbox, queue, observer) = (outbox(&sim), QueueName::new("q"), sim.observer());
    send_all(&outbox, &queue, 25).await;
    for _ in 0..3 {
        let wait = Duration::from_secs(1);
        for delivery in observer.queues.receive(&queue, 10, wait, Duration::from_secs(30)).await.unwrap() {
            outbox.delete(&queue, delivery.receipt).await;
        }
    }
    outbox.flush().await;
    assert_eq!(sim.messages(&queue), []);
    assert!((3..=4).contains(&sizes(&sim.calls(), "delete").len()), "{:?}", sizes(&sim.calls(), "delete"));
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_refuses_is_sent_again_alone() {
    let sim = Sim::new(3);
    let outbox = outbox(&sim);
    sim.set_disorder(Disorder { partial_permille: 300, ..Disorder::default() });
    let queue = QueueName::new("q");
    assert_eq!(send_all(&outbox, &queue, 10).await, [true; 10]);
    let sizes = sizes(&sim.calls(), "send");
    assert!(sizes.len() > 1 && sizes[1..].iter().all(|size| *size < 10), "{sizes:?}");
    assert_eq!(sim.messages(&queue).len(), 10, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_no_repetition_mends_is_refused_at_once_and_its_neighbours_are_sent() {
    let sim = Sim::new(1);
    let (outbox, queue) = (outbox(&sim), QueueName::new("q"));
    let bodies = ["one", "", "three"];
    let sends = bodies.iter().map(|body| outbox.send(&queue, Outgoing::new((*body).to_owned())));
    let answers: Vec<_> = join_all(sends).await.into_iter().map(|answer| answer.is_ok()).collect();
    assert_eq!(answers, [true, false, true]);
    assert_eq!(sizes(&sim.calls(), "send"), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_sent_again() {
    let sim = Sim::new(1);
    let (outbox, queue) = (outbox(&sim), QueueName::new("q"));
    sim.fail_call(0, Fault::LostReply);
    assert_eq!(send_all(&outbox, &queue, 1).await, [true]);
    assert_eq!(sim.messages(&queue).len(), 2, "twice is allowed, never is not");
}
