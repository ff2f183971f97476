//! `docs/protocol.md` is what the code says now: its pictures, its writes and its counterexamples.

#![allow(clippy::expect_used, clippy::panic, reason = "a page that can't be made must stop")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use qsketch_core::JobStatus;
use qsketch_model::config::{Config, Fault, Graph};
use qsketch_model::golden::{Found, check};
use qsketch_model::moves::Moves;
use qsketch_model::promise::Promise;

/// What a person does to a job, and what ends it.
const PEOPLE: [Fault; 5] = [Fault::FinalFailure, Fault::Late, Fault::Cancel, Fault::Redrive, Fault::RedriveFrom];

/// Models that have every move of a status, small enough to be looked through in seconds.
fn moves() -> Moves {
    let mut moves = Moves::default();
    for (graph, faults, kinds) in [
        (Graph::One, 2, &Fault::ALL[..]),
        (Graph::Line, 1, &Fault::ALL[..]),
        (Graph::OneShardJoin, 1, &Fault::ALL[..]),
        (Graph::Waits, 1, &Fault::ALL[..]),
        (Graph::Rests, 1, &Fault::ALL[..]),
        (Graph::WaitsLast, 1, &Fault::ALL[..]),
        (Graph::Line, 2, &PEOPLE[..]),
        (Graph::Waits, 2, &PEOPLE[..]),
        (Graph::OneShard, 2, &[Fault::FinalFailure, Fault::RedriveFrom][..]),
        (Graph::Line, 1, &[Fault::Pause][..]),
    ] {
        moves.collect(Config::new("moves", graph, faults, kinds));
    }
    // Intake makes this one, outside of the model: a job that is refused is closed from its birth.
    moves.job.begin(JobStatus::Rejected.as_str());
    moves
}

#[test]
fn the_page_is_what_the_code_says_now() {
    let template = std::fs::read_to_string(own("protocol.md")).expect("the template");
    let writes = std::fs::read_to_string(own("../conformance/golden/writes.md")).expect("the writes' expressions");
    let (moves, found) = (moves(), Found::all());
    let mut mentioned = Vec::new();
    let mut page = String::new();
    let mut rest = template.as_str();
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("what is opened is closed");
        page.push_str(text);
        match name.split_once(' ') {
            Some(("without", broken)) => {
                page.push_str(&without(&found, broken));
                mentioned.push(broken.to_owned());
            }
            _ => page.push_str(&match name {
                "job" => moves.job.drawn(),
                "task" => moves.task.drawn(),
                "wait" => moves.wait.drawn(),
                "finalizer" => moves.finalizer.drawn(),
                "states of the pictures" => thousands(moves.states),
                "writes" => writes.trim_end().to_owned(),
                "promises" => promises(),
                "number of counterexamples" => found.len().to_string(),
                "counterexamples" => counterexamples(&found, &mentioned),
                other => panic!("the template asks for {other:?}, which nobody knows"),
            }),
        }
        rest = after;
    }
    page.push_str(rest);
    let all: BTreeSet<&str> = found.iter().map(Found::broken).collect();
    let told: BTreeSet<&str> = mentioned.iter().map(String::as_str).collect();
    assert_eq!(told, all, "each counterexample has its rule, and each rule's counterexample is there");
    check(&own("../../docs/protocol.md"), &page);
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The link to a counterexample, and how many states it took to find it.
fn without(found: &[Found], broken: &str) -> String {
    let states: Vec<_> =
        found.iter().filter(|found| found.broken() == broken).map(|found| thousands(found.states)).collect();
    assert!(!states.is_empty(), "no counterexample is named {broken}");
    format!("[{broken}](#{}), {} states", broken.to_lowercase(), states.join(" and "))
}

fn promises() -> String {
    let sentences = Promise::ALL.iter().map(|promise| format!("- {}", promise.sentence()));
    sentences.collect::<Vec<_>>().join("\n")
}

/// The counterexamples, in the order in which the page tells of them.
fn counterexamples(found: &[Found], mentioned: &[String]) -> String {
    let mut text = String::new();
    let mut told = BTreeSet::new();
    for broken in mentioned.iter().filter(|broken| told.insert(broken.as_str())) {
        text.push_str(&format!("### {broken}\n"));
        for found in found.iter().filter(|found| found.broken() == *broken) {
            let Found { model, promise, states, trace, .. } = found;
            let states = thousands(*states);
            text.push_str(&format!(
                "\nModel: {model}. After {states} states it is not true that {promise}:\n\n```text\n{}\n",
                trace.join("\n")
            ));
            text.push_str("```\n");
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// A number with a comma between thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}
