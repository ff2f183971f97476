//! Input that nobody wrote by hand: whatever comes, nothing panics, and every input is answered.
//!
//! Half of it is sound input that was damaged: a byte changed, dropped or doubled, a part of JSON replaced. The other half is
//! made of nothing.

mod damage;
mod samples;
mod targets;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub use targets::{TARGETS, Target};

/// How many bytes the seed of a run has.
const SEED_BYTES: usize = 32;

/// Runs a target with so many inputs; `tried` is told of each.
///
/// # Errors
/// The smallest input that was found to break a promise, and which promise.
pub fn fuzz(target: &Target, cases: u32, seed: u64, tried: &dyn Fn()) -> Result<(), String> {
    let mut bytes = [0; SEED_BYTES];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let cases = (cases / target.costs).max(1);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    (target.run)(&mut runner, tried).map_err(|error| format!("{}: {error}", target.name))
}
