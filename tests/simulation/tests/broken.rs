//! Each world that is broken on purpose breaks the invariant that it should, and a sound one with the same seeds none.

use qsketch_simulation::broken::Broken;
use qsketch_simulation::many::run_many;
use qsketch_simulation::run::{Trace, run};

/// Within how many seeds a variant must be caught.
const SEEDS: u64 = 2_000;

#[test]
fn every_variant_is_caught_by_the_invariant_that_it_breaks() {
    let mut missed = Vec::new();
    for broken in Broken::ALL {
        let sum = run_many(0, SEEDS, Some(broken), || {});
        let Some(outcome) = sum.failed else {
            missed.push(format!("{broken:?} is not caught in {} schedules", sum.tally.count("schedules")));
            continue;
        };
        println!("{broken:?}: caught after {} schedules, {}", sum.tally.count("schedules"), outcome.violations[0]);
        if !outcome.violations.iter().any(|violation| broken.breaks().contains(&violation.invariant)) {
            missed.push(format!("{broken:?} breaks {:?}", outcome.violations));
        }
        let sound = run(outcome.seed, None, Trace::Skipped);
        if !sound.violations.is_empty() {
            missed.push(format!("seed {} breaks {:?} in a sound world", outcome.seed, sound.violations));
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}
