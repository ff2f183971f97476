//! The refund token of an event: recorded before it leaves, and the same on every repetition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use qsketch_core::refund::{Secret, Token};
use qsketch_core::{Closing, Job, JobId, Message, Tenant, Time, Verdict, Write};
use qsketch_notify::{NOTIFICATIONS_QUEUE, Notify, SecretSource};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::ports::Receipt;
use qsketch_runtime::{Consumer, Delivery, Fate, QueueName, Worker, shutdown};
use qsketch_sim::{EPOCH, Fault, Sim};

fn secret() -> Secret {
    Secret::try_from("a secret of no less than thirty-two bytes").unwrap()
}

fn id() -> JobId {
    JobId::try_from("j1").unwrap()
}

/// A job that closed like this, and the message of its notification.
async fn closed(verdict: Verdict) -> (Sim, String) {
    let sim = Sim::new(3);
    let pipeline = qsketch_video::pipeline::pipeline(Duration::from_secs(30)).unwrap();
    let mut job = Job::begun(id(), Tenant::try_from("t").unwrap(), &pipeline, EPOCH);
    let (at, error_type) = (Time(EPOCH.0 + 1), None);
    job.status = verdict.status();
    job.closings.push(Closing {
        verdict,
        at,
        task: None,
        attempt: None,
        error_type,
        error: None,
        result: None,
        refund: None,
    });
    let table = sim.observer().table;
    table.keep_pipeline(&pipeline).await.unwrap();
    let body = Message::to_finalizer(&pipeline, &job).unwrap().body();
    table.commit(&id(), &Write::CreateJob(Box::new(job))).await.unwrap();
    (sim, body)
}

/// Delivers the message to ever new processes until one is done with it, as its queue does.
async fn deliver(sim: &Sim, body: &str, secrets: Option<Arc<dyn SecretSource>>) {
    for receives in 1..20 {
        let ports = sim.process("notify").ports();
        let outbox = Outbox::new(ports.queues.clone());
        let worker = Worker::new(ports, outbox, QueueName::new("notify"), Arc::new(Notify::new(secrets.clone())));
        let (message_id, receipt) = ("m".to_owned(), Receipt("r".to_owned()));
        let delivery = Delivery {
            message_id,
            receipt,
            receives,
            body: body.to_owned(),
            attributes: std::collections::BTreeMap::new(),
            group: None,
            sent_at: None,
            hidden_for: None,
        };
        if worker.consume(&delivery, &shutdown::pair().1).await == Fate::Delete {
            return;
        }
        // Longer than a lease and than any interval between attempts.
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    panic!("the notification was never done with");
}

/// The refunds of all events that left.
fn told(sim: &Sim) -> Vec<serde_json::Value> {
    let events = sim.messages(&QueueName::new(NOTIFICATIONS_QUEUE));
    let parsed = events.iter().map(|event| serde_json::from_str::<serde_json::Value>(&event.body).unwrap());
    parsed.map(|event| event["refund"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_repetition_tells_the_one_token_whose_hash_is_recorded() {
    let calls = {
        let (sim, body) = closed(Verdict::Failed).await;
        let before = sim.calls().len();
        deliver(&sim, &body, Some(Arc::new(secret()))).await;
        (sim.calls().len() - before) as u64
    };
    for fault in [Fault::Unavailable, Fault::LostReply] {
        for call in 0..calls {
            let (sim, body) = closed(Verdict::Failed).await;
            sim.fail_call(sim.calls().len() as u64 + call, fault);
            deliver(&sim, &body, Some(Arc::new(secret()))).await;
            let token = Token::new(&secret(), &id(), 0, Time(EPOCH.0 + 1));
            let told = told(&sim);
            let same: BTreeSet<_> = told.iter().map(ToString::to_string).collect();
            assert_eq!(same.len(), 1, "{fault:?} at {call}: {told:?}");
            assert_eq!(told[0]["token"], token.text(), "{fault:?} at {call}");
            let kept = sim.parts(&id()).job.unwrap().closings[0].refund.clone().unwrap();
            assert_eq!(kept.hash, token.hash(), "{fault:?} at {call}");
            assert_eq!(told[0]["expires_at"], kept.expires_at.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_fail_and_what_has_no_secret_tells_no_token() {
    let secrets = || -> Option<Arc<dyn SecretSource>> { Some(Arc::new(secret())) };
    for (verdict, secrets) in [(Verdict::Canceled, secrets()), (Verdict::Completed, secrets()), (Verdict::Failed, None)]
    {
        let (sim, body) = closed(verdict).await;
        deliver(&sim, &body, secrets).await;
        assert_eq!(told(&sim), [serde_json::Value::Null], "{verdict:?}");
        assert_eq!(sim.parts(&id()).job.unwrap().closings[0].refund, None);
    }
}
