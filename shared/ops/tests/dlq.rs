//! What was set aside: listed, shown, sent back, dropped; whatever fails, no letter is lost.

use core::time::Duration;
use std::collections::BTreeMap;
use std::error::Error;

use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{JobId, Message};
use qsketch_ops::OpsError;
use qsketch_ops::dlq::{LOOKED_MAX, Letter, Which, discard, list, redrive, show};
use qsketch_runtime::QueueName;
use qsketch_runtime::ports::Outgoing;
use qsketch_sim::{Fault, Sim};

type Tried<T = ()> = Result<T, Box<dyn Error>>;

async fn put(sim: &Sim, queue: &str, body: &str, attributes: &[(&str, &str)]) -> Tried {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let message = Outgoing { body: body.to_owned(), attributes: attributes.collect(), group: None };
    sim.observer().queues.send(&QueueName::new(queue), &[message]).await?.into_iter().collect::<Result<(), _>>()?;
    Ok(())
}

fn task_message() -> Tried<String> {
    let message = Message {
        job: JobId::try_from("j1")?,
        task: "render-manim#2".parse()?,
        layout: 1,
        pipeline: PipelineHash::try_from("0".repeat(32))?,
        deadline: qsketch_core::Time(1_795_305_600_000),
        closing: 0,
        generation: 0,
        known: None,
    };
    Ok(message.body())
}

/// A render that panicked, a submission that panicked, and one that can't be read.
async fn world() -> Tried<Sim> {
    let sim = Sim::new(3);
    let death = [("reason", "it panicked"), ("queue", "render-manim"), ("message_id", "m-9"), ("receives", "5")];
    put(&sim, "render-manim-dead", &task_message()?, &[&death[..], &[("trace", "t-1")]].concat()).await?;
    put(&sim, "intake-dead", "{\"prompt\":\"pi\"}", &[]).await?;
    put(&sim, "rejected", "{nonsense", &[("reason", "it is no JSON object"), ("message_id", "m-8")]).await?;
    Ok(sim)
}

fn bodies(sim: &Sim, queue: &str) -> Vec<String> {
    sim.messages(&QueueName::new(queue)).into_iter().map(|message| message.body).collect()
}

const HOLDERS: [&str; 3] = ["render-manim-dead", "intake-dead", "rejected"];
const HOMES: [&str; 2] = ["render-manim", "intake"];

/// How often each body is anywhere.
fn everywhere(sim: &Sim) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for body in HOLDERS.iter().chain(&HOMES).flat_map(|queue| bodies(sim, queue)) {
        *found.entry(body).or_insert(0) += 1;
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_list_tells_what_was_set_aside_and_why_and_leaves_it_there() -> Tried {
    let sim = world().await?;
    let ports = sim.ports();
    for _ in 0..3 {
        let found = list(&ports, None).await?;
        assert!(!found.has_more);
        let told = |letter: &Letter| (letter.queue.clone(), letter.reason.clone());
        let told: Vec<_> = found.letters.iter().map(told).collect();
        assert_eq!(
            told,
            [
                ("intake", "no service set it aside: SQS did, after as many receives as it allows"),
                ("render-manim", "it panicked"),
                ("intake", "it is no JSON object"),
            ]
            .map(|(queue, reason)| (queue.to_owned(), reason.to_owned()))
        );
        let render = &found.letters[1];
        assert_eq!(render.task.as_ref().map(ToString::to_string).as_deref(), Some("render-manim#2"));
        assert_eq!(render.job.as_ref().map(JobId::as_str), Some("j1"));
        assert_eq!(show(&ports, &render.id, None).await?, *render, "it is visible again at once");
    }
    let of_one = list(&ports, Some("render-manim")).await?;
    assert_eq!((of_one.letters.len(), list(&ports, Some("rejected")).await?.letters.len()), (1, 1));
    let wrong = list(&ports, Some("nonsense")).await.err().ok_or("accepted")?;
    assert!(wrong.code() == "usage" && wrong.line().contains("use one of intake, generate-script"), "{}", wrong.line());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_back_without_its_death_and_with_its_first_id() -> Tried {
    let sim = world().await?;
    let ports = sim.ports();
    let id = list(&ports, Some("render-manim")).await?.letters[0].id.clone();
    let handled = redrive(&ports, &Which::These(vec![id.clone()]), None).await?;
    assert_eq!((handled.letters.len(), handled.missing.len()), (1, 0));
    assert_eq!(bodies(&sim, "render-manim-dead"), Vec::<String>::new());
    let back = &sim.messages(&QueueName::new("render-manim"))[0];
    let expected = [("original_message_id", "m-9"), ("trace", "t-1")];
    assert_eq!(
        (&back.body, &back.attributes),
        (&task_message()?, &expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    );
    let again = redrive(&ports, &Which::These(vec![id]), None).await;
    assert!(matches!(again, Err(OpsError::NotFound { .. })), "{again:?}");
    assert_eq!(list(&ports, None).await?.letters.len(), 2, "the others stay, and are visible");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn all_go_back_or_away_and_what_is_not_found_is_told() -> Tried {
    let sim = world().await?;
    let ports = sim.ports();
    let id = list(&ports, Some("rejected")).await?.letters[0].id.clone();
    let dropped = discard(&ports, &Which::These(vec![id, "nobody".to_owned()]), None).await?;
    assert_eq!((dropped.letters.len(), dropped.missing), (1, vec!["nobody".to_owned()]));
    assert_eq!(redrive(&ports, &Which::All, None).await?.letters.len(), 2);
    assert_eq!((bodies(&sim, "intake").len(), bodies(&sim, "render-manim").len()), (1, 1));
    assert_eq!(list(&ports, None).await?.letters, []);
    assert_eq!(redrive(&ports, &Which::All, None).await?.letters, [], "nothing is no mistake where all are meant");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_letter_whose_end_is_not_kept_stays() -> Tried {
    let sim = Sim::new(3);
    put(&sim, "rejected", "{\"prompt\":\"pi", &[("cut_from_bytes", "900000")]).await?;
    let ports = sim.ports();
    let handled = redrive(&ports, &Which::All, None).await?;
    assert_eq!((handled.letters.len(), handled.refused.len()), (0, 1));
    assert_eq!(handled.refused[0].1, "its end is not kept: it had 900000 bytes");
    assert_eq!(list(&ports, None).await?.letters.len(), 1, "it is visible again");
    assert_eq!(discard(&ports, &Which::All, None).await?.letters.len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_loses_no_letter_and_the_same_command_again_ends_it() -> Tried {
    let before = everywhere(&world().await?);
    let calls = {
        let sim = world().await?;
        redrive(&sim.ports(), &Which::All, None).await?;
        sim.calls().len() as u64
    };
    assert!(calls >= 16, "{calls}: 7 polls, 3 with a second, 3 sends and 3 deletes");
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::LostReply] {
        for call in 0..calls {
            let sim = world().await?;
            sim.fail_call(call, fault);
            assert!(redrive(&sim.ports(), &Which::All, None).await.is_err(), "{fault:?} at {call} is told");
            let now = everywhere(&sim);
            assert!(before.keys().all(|body| now.contains_key(body)), "{fault:?} at {call}: {now:?}");
            // What was received with a lost reply is hidden for two minutes.
            tokio::time::advance(Duration::from_secs(121)).await;
            redrive(&sim.ports(), &Which::All, None).await?;
            assert!(HOLDERS.iter().all(|queue| bodies(&sim, queue).is_empty()), "{fault:?} at {call}");
            assert!(everywhere(&sim).values().all(|count| (1..=2).contains(count)), "{fault:?} at {call}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_list_is_bounded_and_says_that_there_is_more() -> Tried {
    let sim = Sim::new(3);
    for number in 0..=LOOKED_MAX {
        put(&sim, "notify-dead", &format!("letter {number}"), &[]).await?;
    }
    let found = list(&sim.ports(), None).await?;
    assert_eq!((found.letters.len(), found.has_more), (LOOKED_MAX, true));
    let gone = show(&sim.ports(), "nobody", None).await.err().ok_or("found")?;
    assert!(gone.line().contains("not among the 1000 letters"), "{}", gone.line());
    Ok(())
}
