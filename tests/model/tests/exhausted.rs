//! Every state of every model keeps every promise.

use std::time::Instant;

use qsketch_model::checker::check;
use qsketch_model::config::{Config, Fault, Graph};
use qsketch_model::explore::explore;
use qsketch_model::protocol::Protocol;

/// Visits every state with both searches and prints a line: how many states, how many times one was reached, the
/// longest of the shortest ways, how often the real functions were asked, and the time of ours and of stateright.
fn exhaust(config: Config) {
    let name = config.name;
    let start = Instant::now();
    let protocol = Protocol::new(config);
    let ours = explore(&protocol);
    let our_secs = start.elapsed().as_secs_f64();
    let told = ours.counterexample.map(|found| format!("{}:\n  {}", found.promise, found.trace.join("\n  ")));
    assert!(told.is_none(), "{name}: not true that {}", told.unwrap_or_default());
    let (decisions, writes) = protocol.book().questions();
    let start = Instant::now();
    let theirs = check(protocol);
    let their_secs = start.elapsed().as_secs_f64();
    println!(
        "{name}: {} states, reached {} times, depth {}, {decisions} decisions, {writes} writes, \
         {our_secs:.1} s + stateright {their_secs:.1} s",
        ours.unique, ours.states, ours.depth
    );
    assert_eq!(theirs.broken, Vec::<&str>::new(), "stateright finds the same: nothing");
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
fn elements_of_one_shard_keep_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → b#0..1 in one shard, any 2 faults", Graph::OneShard, 2, &Fault::ALL));
}

#[test]
fn elements_of_one_shard_with_a_join_keep_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → b#0..1 in one shard → c, any 2 faults", Graph::OneShardJoin, 2, &Fault::ALL));
}

#[test]
fn elements_of_two_shards_keep_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → b#0..1 in two shards, any 2 faults", Graph::TwoShards, 2, &Fault::ALL));
}

#[test]
fn elements_of_two_shards_with_a_join_keep_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → b#0..1 in two shards → c, any 2 faults", Graph::TwoShardsJoin, 2, &Fault::ALL));
}

#[test]
fn two_deliveries_in_one_process_keep_every_promise_through_any_three_faults() {
    exhaust(
        Config::new("a → b, both drives in one process, any 3 faults", Graph::Line, 3, &Fault::ALL).processes(&[0, 0]),
    );
}

#[test]
fn a_task_whose_process_dies_again_and_again_keeps_every_promise() {
    exhaust(Config::new("a, both drives in one process, 5 crashes", Graph::One, 5, &[Fault::Crash]).processes(&[0, 0]));
}

#[test]
fn a_line_in_a_process_that_dies_four_times_keeps_every_promise() {
    exhaust(
        Config::new("a → b, both drives in one process, 4 crashes", Graph::Line, 4, &[Fault::Crash]).processes(&[0, 0]),
    );
}

#[test]
fn three_drives_in_two_processes_keep_every_promise_through_any_two_faults() {
    exhaust(
        Config::new("a → b, drives in processes 0 0 1, any 2 faults", Graph::Line, 2, &Fault::ALL)
            .processes(&[0, 0, 1]),
    );
}

/// What ends a job or an attempt, or comes late to a job that was redriven.
const AROUND_A_REDRIVE: [Fault; 8] = [
    Fault::FinalFailure,
    Fault::Cancel,
    Fault::Redrive,
    Fault::RedriveFrom,
    Fault::Crash,
    Fault::LeaseLapse,
    Fault::VisibilityLapse,
    Fault::Dropped,
];

/// What may happen around a pause. Not that a message is delivered twice: of two drives one may acknowledge on a job that it
/// read paused and unrecorded, while the other records and dies; then only the reconciler finds the job.
const AROUND_A_PAUSE: [Fault; 6] =
    [Fault::Pause, Fault::Crash, Fault::LostReply, Fault::Failure, Fault::FinalFailure, Fault::Stop];

#[test]
fn a_line_that_is_paused_keeps_every_promise() {
    exhaust(Config::new("a → b, paused, 3 faults", Graph::Line, 3, &AROUND_A_PAUSE));
}

#[test]
fn a_diamond_that_is_paused_keeps_every_promise() {
    exhaust(Config::new("a → (b ∥ c) → d, paused, 2 faults", Graph::Diamond, 2, &AROUND_A_PAUSE));
}

#[test]
fn a_line_with_a_wait_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → w → b, any 2 faults", Graph::Waits, 2, &Fault::ALL));
}

#[test]
fn a_line_with_a_timer_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → w → b, w a timer, any 2 faults", Graph::Rests, 2, &Fault::ALL));
}

#[test]
fn a_wait_that_nothing_follows_keeps_every_promise_through_any_two_faults() {
    exhaust(Config::new("a → (b ∥ w), any 2 faults", Graph::WaitsLast, 2, &Fault::ALL));
}

#[test]
fn a_wait_in_a_job_that_is_paused_keeps_every_promise() {
    exhaust(Config::new("a → w → b, paused, 2 faults", Graph::Waits, 2, &AROUND_A_PAUSE));
}

#[test]
fn a_wait_in_a_job_that_is_redriven_keeps_every_promise() {
    exhaust(Config::new("a → w → b, failed or canceled, then redriven, w forgotten", Graph::Waits, 2, &REDRIVEN));
}

/// A closing and a redrive, late completions of the attempts before it included, and nothing else.
const REDRIVEN: [Fault; 4] = [Fault::FinalFailure, Fault::Cancel, Fault::Redrive, Fault::RedriveFrom];

#[test]
fn one_step_that_is_redriven_keeps_every_promise() {
    exhaust(Config::new("a, redriven, 3 faults", Graph::One, 3, &AROUND_A_REDRIVE));
}

#[test]
fn a_line_that_is_redriven_keeps_every_promise() {
    exhaust(Config::new("a → b, redriven, 3 faults", Graph::Line, 3, &AROUND_A_REDRIVE));
}

#[test]
fn a_fork_that_is_redriven_keeps_every_promise() {
    exhaust(Config::new("a → (b ∥ c), failed or canceled, then redriven", Graph::Fork, 2, &REDRIVEN));
}

#[test]
fn elements_of_one_shard_that_are_redriven_keep_every_promise() {
    let name = "a → b#0..1 in one shard, failed, then redriven from b";
    exhaust(Config::new(name, Graph::OneShard, 2, &[Fault::FinalFailure, Fault::RedriveFrom]));
}

#[test]
#[ignore = "minutes and gigabytes: run it after a change of the protocol"]
fn a_diamond_keeps_every_promise_through_any_three_faults() {
    exhaust(Config::new("a → (b ∥ c) → d, any 3 faults", Graph::Diamond, 3, &Fault::ALL));
}
