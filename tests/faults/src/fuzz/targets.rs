//! What reads input, and what must hold of each answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use qsketch_core::{Input, Job, JobId, JobStatus, Message, Shard, Task, Tenant};
use qsketch_intake::{Graphs, Intake, REJECTED_QUEUE};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::config::Settings;
use qsketch_runtime::ports::Receipt;
use qsketch_runtime::{Consumer, Delivery, Fate, QueueName, shutdown};
use qsketch_sim::Sim;
use qsketch_simulation::gallery::LEASE;
use qsketch_video::captions::{self, Chapter, Spoken};
use qsketch_video::media::{Expected, check_audio};
use qsketch_video::{RequestError, Script, VideoRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{damage, samples};

/// Something that reads input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// How much longer one input takes than one of the quickest: so many times fewer are tried.
    pub costs: u32,
    pub(super) run: fn(&mut TestRunner, &dyn Fn()) -> Result<(), String>,
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target { name: "submissions", costs: 1, run: submissions },
    Target { name: "intake", costs: 4, run: intake },
    Target { name: "messages", costs: 1, run: messages },
    Target { name: "items", costs: 1, run: items },
    Target { name: "scripts", costs: 1, run: scripts },
    Target { name: "captions", costs: 1, run: read_captions },
    Target { name: "media", costs: 20, run: media },
    Target { name: "settings", costs: 1, run: settings },
];

type Verified = Result<(), TestCaseError>;

fn run<S: Strategy>(
    runner: &mut TestRunner,
    tried: &dyn Fn(),
    of: &S,
    holds: impl Fn(S::Value) -> Verified,
) -> Result<(), String> {
    let each = |input| {
        tried();
        holds(input)
    };
    runner.run(of, each).map_err(|error| error.to_string())
}

fn submissions(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    run(runner, tried, &damage::text(samples::submissions()), |text| {
        match VideoRequest::parse(&text) {
            Ok(request) => {
                prop_assert!(request.id().is_none_or(|id| JobId::try_from(id).is_ok()), "its id is none");
                prop_assert!(Tenant::try_from(request.tenant()).is_ok(), "its tenant is none");
                prop_assert!(!request.prompt().trim().is_empty());
            }
            Err(RequestError::Unreadable(reason)) => prop_assert!(!reason.to_string().is_empty()),
            Err(RequestError::Invalid { reasons, tenant, .. }) => {
                prop_assert!(!reasons.is_empty(), "it is refused without a reason");
                prop_assert!(!tenant.is_empty());
            }
        }
        Ok(())
    })
}

/// Every delivery becomes a job, a refusal, or is set aside whole, and its message is done with.
fn intake(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let graphs = Graphs::new(LEASE).map_err(|error| error.to_string())?;
    run(runner, tried, &damage::text(samples::submissions()), |text| {
        // A queue takes no other body.
        let body: String = text
            .chars()
            .filter(
                |c| !matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'),
            )
            .collect();
        if body.is_empty() {
            return Ok(());
        }
        let sim = Sim::new(1);
        let ports = sim.ports();
        let outbox = Outbox::new(Arc::clone(&ports.queues));
        let intake = Intake::new(ports, outbox, graphs.clone());
        let fate = runtime.block_on(intake.consume(&delivery(&body), &shutdown::pair().1));
        prop_assert_eq!(fate, Fate::Delete);
        let aside = sim.messages(&QueueName::new(REJECTED_QUEUE));
        let jobs = sim.jobs();
        prop_assert_eq!(jobs.len() + aside.len(), 1, "it became {:?} and {:?}", jobs, aside);
        prop_assert!(aside.iter().all(|message| message.body == body), "what is set aside is not what came");
        for job in jobs.iter().filter_map(|job| sim.parts(job).job) {
            let is_refused = job.refusal.as_ref().is_some_and(|refusal| !refusal.reasons.is_empty());
            prop_assert_eq!(is_refused, job.status == JobStatus::Rejected);
        }
        Ok(())
    })
}

fn delivery(body: &str) -> Delivery {
    Delivery {
        message_id: "m-1".to_owned(),
        receipt: Receipt("r".to_owned()),
        receives: 1,
        body: body.to_owned(),
        attributes: BTreeMap::new(),
        group: None,
        sent_at: None,
        hidden_for: None,
    }
}

fn messages(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    run(runner, tried, &damage::text(samples::messages()), |text| {
        match Message::parse(&text) {
            Ok(message) => {
                let again = Message::parse(&message.body()).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(again.body(), message.body());
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        Ok(())
    })
}

/// An item is read as a part, or refused; what was read is written and read again as the same.
fn items(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    let of = samples::items().map(damage::json);
    let [input, job, task, shard] = of;
    run(runner, tried, &(input, job, task, shard), |(input, job, task, shard)| {
        item::<Input>(&input)?;
        item::<Job>(&job)?;
        item::<Task>(&task)?;
        item::<Shard>(&shard)
    })
}

fn item<T: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug>(value: &serde_json::Value) -> Verified {
    let Ok(item) = serde_dynamo::to_item::<_, serde_dynamo::Item>(value) else { return Ok(()) };
    let Ok(part) = serde_dynamo::from_item::<_, T>(item) else { return Ok(()) };
    let fail = |error: serde_dynamo::Error| TestCaseError::fail(error.to_string());
    let again = serde_dynamo::to_item::<_, serde_dynamo::Item>(&part).map_err(fail)?;
    prop_assert_eq!(serde_dynamo::from_item::<_, T>(again).map_err(fail)?, part);
    Ok(())
}

fn scripts(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    run(runner, tried, &damage::text(samples::scripts()), |text| {
        match Script::parse(&text) {
            Ok(script) => prop_assert_eq!(Script::parse(&script.to_json()).ok(), Some(script)),
            Err(reasons) => prop_assert!(!reasons.is_empty(), "it is refused without a reason"),
        }
        Ok(())
    })
}

/// Caption files are read or refused; those that are made of any narration are read.
fn read_captions(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    let sentence = ("\\PC{1,120}", 0.0_f64..600.0, 0.0_f64..60.0);
    let made = prop::collection::vec(sentence, 0..6);
    run(runner, tried, &(damage::text(samples::captions()), made), |(text, sentences)| {
        if let Ok(cues) = captions::check(&text) {
            prop_assert!(cues.iter().all(|cue| cue.begin_ms < cue.end_ms), "{:?}", cues);
        }
        let spoken = |(text, begin, span): (String, f64, f64)| Spoken { text, begin, end: begin + span };
        let sentences = sentences.into_iter().map(spoken).collect();
        let cues = captions::cues(&[Chapter { title: "One".to_owned(), offset: 0.0, sentences }]);
        let file = captions::webvtt(&cues);
        let read = captions::check(&file).map_err(|error| TestCaseError::fail(format!("{error}\n{file}")))?;
        prop_assert_eq!(read.len(), cues.len());
        Ok(())
    })
}

fn media(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    run(runner, tried, &damage::damaged_bytes(samples::media()), |bytes| {
        match check_audio(&bytes, Expected::ANY) {
            Ok(report) => prop_assert!(report.secs.is_finite()),
            Err(bad) => prop_assert!(!bad.to_string().is_empty()),
        }
        Ok(())
    })
}

fn settings(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
    let names = [
        "QSKETCH_TABLE",
        "QSKETCH_BUCKET",
        "QSKETCH_QUEUE_URL_PREFIX",
        "QSKETCH_LEASE_SECS",
        "QSKETCH_POLL_WAIT_SECS",
        "QSKETCH_CONCURRENCY",
        "QSKETCH_DIR",
    ];
    let value = prop_oneof![any::<String>(), any::<i64>().prop_map(|number| number.to_string()), "[0-9]{1,4}"];
    let pairs = prop::collection::btree_map(prop::sample::select(names.map(str::to_owned).to_vec()), value, 0..8);
    run(runner, tried, &pairs, |environment| {
        match Settings::read(&environment) {
            Ok(settings) => prop_assert!(!settings.table.is_empty() && settings.dir.is_absolute()),
            Err(error) => prop_assert!(!error.mistakes.is_empty()),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    /// Reads a number of its length at a fixed byte, wherever a character ends.
    fn panics(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
        run(runner, tried, &damage::text(samples::submissions()), |text| {
            let at = text.len().min(24);
            prop_assert!(text[..at].len() == at);
            Ok(())
        })
    }

    /// Forgets a submission that it can't read.
    fn forgets(runner: &mut TestRunner, tried: &dyn Fn()) -> Result<(), String> {
        run(runner, tried, &damage::text(samples::submissions()), |text| {
            let is_kept = !matches!(VideoRequest::parse(&text), Err(RequestError::Unreadable(_)));
            prop_assert!(is_kept, "nothing became of it");
            Ok(())
        })
    }

    #[test]
    fn a_reader_that_panics_and_one_that_forgets_are_found() {
        for (name, run) in [("panics", panics as fn(&mut _, &dyn Fn()) -> _), ("forgets", forgets)] {
            assert!(fuzz(&Target { name, costs: 1, run }, 2_000, 0, &|| ()).is_err(), "{name} is not found");
        }
    }
}
