//! Every state of every model keeps every promise.

use std::time::Instant;

use qsketch_model::checker::check;
use qsketch_model::config::{Config, Fault, Graph};
use qsketch_model::explore::explore;
use qsketch_model::protocol::Protocol;

fn exhaust(config: Config) {
    let start = Instant::now();
    let protocol = Protocol::new(config.clone());
    let ours = explore(&protocol);
    let ours_secs = start.elapsed().as_secs_f64();
    let (decided, written) = protocol.book().questions();
    println!(
        "{:58} {:>9} states {:>10} reached, depth {:>3}, {:>6.1} s ({decided} decisions, {written} writes)",
        config.name, ours.unique, ours.states, ours.depth, ours_secs
    );
    let told = ours.counterexample.map(|found| {
        format!(
            "{}:
  {}",
            found.promise,
            found.trace.join(
                "
  "
            )
        )
    });
    assert!(told.is_none(), "{}", told.unwrap_or_default());
    let start = Instant::now();
    let theirs = check(protocol);
    println!("{:58} {:>9} states, stateright {:.1} s", config.name, theirs.unique, start.elapsed().as_secs_f64());
    assert_eq!(theirs.broken, Vec::<&str>::new());
    assert_eq!((theirs.unique, theirs.states, theirs.depth), (ours.unique, ours.states, ours.depth));
}

/// What the network and the machines do; the work itself does not fail.
const OUTSIDE: [Fault; 4] = [Fault::Crash, Fault::LeaseLapse, Fault::VisibilityLapse, Fault::LostReply];

#[test]
fn one_step_keeps_every_promise_through_any_three_faults() {
    exhaust(Config::new("a, any 3 faults", Graph::One, 3, &Fault::ALL));
}

#[test]
fn a_line_keeps_every_promise_through_any_three_faults() {
    exhaust(Config::new("a → b, any 3 faults", Graph::Line, 3, &Fault::ALL));
}

#[test]
fn a_fork_without_a_join_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → (b ∥ c), any 2 faults", Graph::Fork, 2, &Fault::ALL));
}

#[test]
fn a_diamond_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → (b ∥ c) → d, any 2 faults", Graph::Diamond, 2, &Fault::ALL));
}

#[test]
fn a_diamond_keeps_every_promise_through_three_faults_from_outside() {
    exhaust(Config::new("a → (b ∥ c) → d, 3 faults from outside", Graph::Diamond, 3, &OUTSIDE));
}

#[test]
fn a_mapped_step_at_the_end_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → b#0..1, any 2 faults", Graph::Mapped, 2, &Fault::ALL));
}

#[test]
fn a_mapped_step_with_a_join_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → b#0..1 → c, any 2 faults", Graph::MappedJoin, 2, &Fault::ALL));
}

#[test]
fn two_deliveries_in_one_process_keep_every_promise_through_any_three_faults() {
    exhaust(
        Config::new("a → b, both drives in one process, any 3 faults", Graph::Line, 3, &Fault::ALL).processes(&[0, 0]),
    );
}

#[test]
fn three_drives_in_two_processes_keep_every_promise_through_any_two_faults() {
    exhaust(
        Config::new("a → b, drives in processes 0 0 1, any 2 faults", Graph::Line, 2, &Fault::ALL)
            .processes(&[0, 0, 1]),
    );
}

#[test]
#[ignore = "minutes and gigabytes: run it after a change of the protocol"]
fn a_diamond_keeps_every_promise_through_any_three_faults() {
    exhaust(Config::new("a → (b ∥ c) → d, any 3 faults", Graph::Diamond, 3, &Fault::ALL));
}
