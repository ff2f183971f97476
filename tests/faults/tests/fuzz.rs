//! Some thousands of inputs for everything that reads input; `make fuzz` tries a million.

use std::cell::Cell;

use qsketch_faults::fuzz::{TARGETS, fuzz};

/// How many inputs the quickest targets get.
const CASES: u32 = 2_000;

#[test]
fn whatever_comes_nothing_panics_and_every_input_is_answered() {
    let mut wrong = Vec::new();
    for target in TARGETS {
        let tried = Cell::new(0);
        wrong.extend(fuzz(&target, CASES, 0, &|| tried.set(tried.get() + 1)).err());
        println!("{}: {} inputs", target.name, tried.get());
        assert!(tried.get() >= CASES / target.costs, "{} was not fuzzed", target.name);
    }
    assert_eq!(wrong, Vec::<String>::new());
}
