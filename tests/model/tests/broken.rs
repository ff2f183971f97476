//! What is broken on purpose is caught: each variant has a counterexample, and the shortest one is the one in `golden/`.
//!
//! `BLESS=1` writes those files anew, and only looks for the counterexamples; then `docs/protocol.md` is to be written anew
//! as well (`tests/page.rs`).

use qsketch_model::checker::{QUIET, check};
use qsketch_model::config::{Broken, Config, Fault, Graph, Symmetry};
use qsketch_model::explore::{CAN_END, explore};
use qsketch_model::golden::{Found, is_blessed};
use qsketch_model::promise::Promise;
use qsketch_model::protocol::Protocol;

/// Both searches find the variant; ours prints the shortest way there.
fn caught(broken: Broken, graph: Graph, processes: &[u8], faults: u8, kinds: &[Fault], promise: &str) {
    let name = format!("{broken:?}");
    let config = Config::new("broken", graph, faults, kinds).processes(processes).broken(broken);
    let ours = explore(&Protocol::new(config.clone()));
    assert!(ours.counterexample.is_some(), "{name} is not caught in {} states", ours.unique);
    let Some(found) = ours.counterexample else { return };
    println!("{name}: not true that {}, after {} states:\n  {}", found.promise, ours.unique, found.trace.join("\n  "));
    assert_eq!(found.promise, promise);
    Found::new(&config, broken, ours.unique, &found).check_golden();
    if is_blessed() {
        return;
    }
    let theirs = check(Protocol::new(config.clone()));
    let by_stateright = if promise == CAN_END { QUIET } else { promise };
    assert!(theirs.broken.contains(&by_stateright), "stateright finds {:?}", theirs.broken);
    is_sound(config);
}

/// The same model, not broken, keeps every promise.
fn is_sound(config: Config) {
    let sound = explore(&Protocol::new(Config { broken: None, symmetry: Symmetry::Merged, ..config }));
    assert!(sound.counterexample.is_none(), "{:?}", sound.counterexample);
}

#[test]
fn without_the_fence_two_drives_take_one_task() {
    caught(Broken::NoFence, Graph::One, &[0, 1], 1, &[Fault::Duplicate], Promise::LeaseStays.sentence());
}

#[test]
fn acknowledging_before_sending_loses_the_successor() {
    caught(Broken::AcknowledgeFirst, Graph::Line, &[0, 1], 1, &[Fault::Crash], CAN_END);
}

#[test]
fn recording_twice_changes_an_output() {
    let kinds = [Fault::LeaseLapse, Fault::VisibilityLapse];
    caught(Broken::RecordTwice, Graph::Line, &[0, 1], 2, &kinds, Promise::OutputStays.sentence());
}

#[test]
fn without_the_second_load_a_recorded_step_runs_again() {
    let kinds = [Fault::LeaseLapse, Fault::VisibilityLapse];
    caught(Broken::NoSecondLoad, Graph::Line, &[0, 1], 2, &kinds, Promise::NotRunAgain.sentence());
}

#[test]
fn a_closed_job_that_is_just_acknowledged_loses_its_notification() {
    caught(Broken::ClosedJustAcknowledged, Graph::One, &[0, 1], 1, &[Fault::Crash], CAN_END);
}

#[test]
fn a_recorded_task_that_is_just_acknowledged_loses_its_successor() {
    caught(Broken::RecordedJustAcknowledged, Graph::Line, &[0, 1], 1, &[Fault::Crash], CAN_END);
}

#[test]
fn one_owner_per_process_lets_two_deliveries_work_on_one_attempt() {
    let kinds = [Fault::VisibilityLapse];
    caught(Broken::OwnerPerProcess, Graph::One, &[0, 0], 1, &kinds, Promise::OneWorkerPerAttempt.sentence());
}

#[test]
fn a_join_that_is_decided_on_the_job_before_the_record_never_happens() {
    caught(Broken::StaleJoin, Graph::Diamond, &[0, 1], 0, &[], CAN_END);
}

#[test]
fn a_message_of_a_held_task_that_is_acknowledged_is_missing_when_the_holder_dies() {
    let kinds = [Fault::Crash, Fault::VisibilityLapse];
    caught(Broken::HeldJustAcknowledged, Graph::One, &[0, 1], 2, &kinds, CAN_END);
}

#[test]
fn a_release_that_is_charged_fails_a_job_in_which_nothing_failed() {
    caught(Broken::ReleaseCharged, Graph::One, &[0, 1], 2, &[Fault::Stop], Promise::FailsForCause.sentence());
}

#[test]
fn a_join_without_its_condition_begins_before_its_inputs() {
    caught(Broken::JoinWithoutCondition, Graph::Diamond, &[0, 1], 0, &[], Promise::InputsFirst.sentence());
}

#[test]
fn taking_the_first_attempt_s_output_is_not_taking_the_recorded_one() {
    let promise = Promise::SuccessorsSeeTheRecorded.sentence();
    caught(Broken::FirstAttemptTaken, Graph::Line, &[0, 1], 1, &[Fault::Failure], promise);
}

#[test]
fn failures_that_are_not_counted_let_a_task_begin_a_third_time() {
    caught(Broken::NothingCharged, Graph::One, &[0, 1], 2, &[Fault::Failure], Promise::AttemptsBounded.sentence());
}

#[test]
fn a_blind_closing_closes_a_closed_job_again() {
    caught(Broken::ClosedTwice, Graph::Fork, &[0, 1], 2, &[Fault::FinalFailure], Promise::ClosingStays.sentence());
}

#[test]
fn a_finalizer_that_does_not_look_notifies_of_a_running_job() {
    caught(Broken::NotifiedEarly, Graph::Line, &[0, 1], 0, &[], Promise::FinalizerLast.sentence());
}

#[test]
fn a_finalizer_that_fails_for_good_goes_to_the_dead_letters() {
    caught(Broken::FinalizerFails, Graph::One, &[0, 1], 1, &[Fault::FinalFailure], Promise::NoDeadLetter.sentence());
}

#[test]
fn a_record_that_skips_the_fold_leaves_the_job_open() {
    caught(Broken::FoldSkipped, Graph::OneShard, &[0, 1], 0, &[], CAN_END);
}

#[test]
fn a_shard_that_is_folded_before_it_is_full_completes_a_job_that_is_not_done() {
    caught(Broken::FoldedEarly, Graph::OneShard, &[0, 1], 0, &[], Promise::CompletesWhole.sentence());
}

#[test]
fn a_shard_that_is_folded_before_it_is_full_begins_what_follows_before_its_inputs() {
    caught(Broken::FoldedEarly, Graph::OneShardJoin, &[0, 1], 0, &[], Promise::InputsFirst.sentence());
}

/// What lets an older attempt record after a newer one has failed for good.
const OVERTAKEN: [Fault; 3] = [Fault::LeaseLapse, Fault::VisibilityLapse, Fault::FinalFailure];

#[test]
fn without_the_tombstone_a_task_is_recorded_for_which_the_job_has_failed() {
    let promise = Promise::FailedStaysUnrecorded.sentence();
    caught(Broken::TombstoneSkipped, Graph::OneShard, &[0, 1], 3, &OVERTAKEN, promise);
}

#[test]
fn a_record_that_does_not_look_for_a_tombstone_is_made_for_a_task_for_which_the_job_has_failed() {
    let promise = Promise::FailedStaysUnrecorded.sentence();
    caught(Broken::RecordedOnTombstone, Graph::OneShard, &[0, 1], 3, &OVERTAKEN, promise);
}

#[test]
fn an_overload_that_is_charged_fails_a_job_in_which_nothing_failed() {
    caught(Broken::OverloadCharged, Graph::One, &[0, 1], 2, &[Fault::Overload], Promise::FailsForCause.sentence());
}

#[test]
fn a_crash_that_is_charged_fails_a_job_in_which_nothing_failed() {
    caught(Broken::CrashCharged, Graph::One, &[0, 1], 2, &[Fault::Crash], Promise::FailsForCause.sentence());
}

#[test]
fn an_attempt_that_must_be_alone_and_is_not_is_charged_for_its_neighbour_s_crash() {
    caught(Broken::NotAlone, Graph::Line, &[0, 0], 3, &[Fault::Crash], Promise::ChargedAlone.sentence());
}

#[test]
fn a_give_back_without_footing_takes_the_task_from_whoever_has_it_by_then() {
    caught(Broken::GivenBackBlindly, Graph::One, &[0, 1], 1, &[Fault::Crash], Promise::LeaseStays.sentence());
}

#[test]
fn a_cancellation_that_does_not_look_closes_a_closed_job_again() {
    caught(Broken::CanceledBlindly, Graph::One, &[0, 1], 1, &[Fault::Cancel], Promise::ClosingStays.sentence());
}

/// A job that fails, or is canceled, and is redriven while an attempt of before is still at work.
const REDRIVEN: [Fault; 4] = [Fault::Cancel, Fault::Redrive, Fault::RedriveFrom, Fault::VisibilityLapse];

#[test]
fn a_redrive_without_a_new_closing_leaves_the_second_closing_without_a_notification() {
    let promise = Promise::ClosingsNumbered.sentence();
    caught(Broken::RedriveWithoutClosing, Graph::One, &[0, 1], 2, &REDRIVEN, promise);
}

#[test]
fn a_record_that_does_not_compare_the_closing_counts_in_a_job_that_was_redriven() {
    let promise = Promise::ClosingFences.sentence();
    caught(Broken::RecordBlindToClosing, Graph::One, &[0, 1], 3, &REDRIVEN, promise);
}

#[test]
fn a_step_that_is_forgotten_without_a_new_generation_is_found_recorded_in_its_old_shard() {
    let kinds = [Fault::FinalFailure, Fault::RedriveFrom];
    let promise = Promise::ForgottenIsGone.sentence();
    caught(Broken::ForgottenWithoutGeneration, Graph::OneShard, &[0, 1], 2, &kinds, promise);
}

#[test]
fn a_heartbeat_that_looks_at_nothing_revives_an_attempt_that_is_over() {
    let kinds = [Fault::LeaseLapse, Fault::VisibilityLapse];
    caught(Broken::BeatRevives, Graph::One, &[0, 1], 2, &kinds, Promise::LeaseStays.sentence());
}

#[test]
fn a_job_that_is_resumed_without_a_word_stays_where_it_is() {
    caught(Broken::ResumedSilently, Graph::One, &[0, 1], 1, &[Fault::Pause], CAN_END);
}

#[test]
fn a_signal_that_is_taken_only_by_a_step_that_waits_already_is_lost_before_its_inputs() {
    caught(Broken::SignalAsks, Graph::Waits, &[0, 1], 0, &[], CAN_END);
}

#[test]
fn without_a_reconciler_a_timer_never_fires() {
    caught(Broken::NobodyLooks, Graph::Rests, &[0, 1], 0, &[], CAN_END);
}

#[test]
fn a_signal_that_is_recorded_without_a_word_leaves_the_job_where_it_is() {
    caught(Broken::SignaledSilently, Graph::Waits, &[0, 1], 0, &[], CAN_END);
}
