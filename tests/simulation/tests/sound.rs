//! No schedule breaks an invariant, and everything that can go wrong did.

use std::time::Instant;

use qsketch_simulation::many::{report, run_many};

/// How many schedules every run of the tests has.
const SCHEDULES: u64 = 20_000;

#[test]
fn no_schedule_breaks_an_invariant_and_every_kind_of_fault_happens() {
    let began = Instant::now();
    let sum = run_many(0, SCHEDULES, None, || {});
    println!("{}", sum.tally);
    println!("{SCHEDULES} schedules took {:?}", began.elapsed());
    if let Some(outcome) = &sum.failed {
        panic!("{}", report(outcome, None));
    }
    assert_eq!(sum.tally.count("schedules"), SCHEDULES);
    assert_eq!(sum.tally.missing(), Vec::<&str>::new(), "these never happened");
}
