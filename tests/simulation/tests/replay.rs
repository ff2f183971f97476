//! A seed is a run: the same calls at the same times, whichever thread it is on and however often.

use std::collections::BTreeSet;

use qsketch_simulation::run::{Trace, run};

/// How many seeds are run twice.
const SEEDS: u64 = 60;

#[test]
fn a_seed_replays_call_by_call_and_another_seed_differs() {
    let hashes = |_| (0..SEEDS).map(|seed| run(seed, None, Trace::Hashed).trace.unwrap()).collect::<Vec<_>>();
    let threads = [0, 1].map(|thread| std::thread::spawn(move || hashes(thread)));
    let [first, second] = threads.map(|thread| thread.join().unwrap());
    assert_eq!(first, second);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), first.len());
}
