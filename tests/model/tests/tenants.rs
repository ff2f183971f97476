//! The cap on a tenant's jobs keeps its promises in every state, and each broken variant breaks one.

use std::collections::BTreeSet;
use std::time::Instant;

use qsketch_model::tenants::{BEGINS, Broken, CAP, STAYS, Tenants};
use stateright::{Checker, Model};

fn exhaust(model: Tenants) {
    let began = Instant::now();
    let checker = model.checker().threads(1).spawn_bfs().join();
    let (unique, depth, secs) = (checker.unique_state_count(), checker.max_depth(), began.elapsed().as_secs_f64());
    let told: Vec<String> =
        checker.discoveries().into_iter().map(|(name, path)| format!("{name}: {:?}", path.into_actions())).collect();
    assert_eq!(told, Vec::<String>::new(), "{model:?}");
    println!("{model:?}: {unique} states, depth {depth}, {secs:.1} s");
}

#[test]
fn one_place_for_two_jobs_and_a_crash() {
    exhaust(Tenants { jobs: 2, jobs_max: 1, crashes: 1, broken: None });
}

#[test]
fn every_broken_variant_breaks_a_promise_that_is_named() {
    let mut broken = BTreeSet::new();
    for variant in Broken::ALL {
        let (jobs_max, crashes) = (1, 1);
        let checker = Tenants { jobs: 2, jobs_max, crashes, broken: Some(variant) }.checker().threads(1);
        let found = checker.finish_when(stateright::HasDiscoveries::Any).spawn_bfs().join().discoveries();
        let (name, path) = found.into_iter().next().unwrap_or_else(|| panic!("{variant:?} is not caught"));
        let actions = path.into_actions();
        println!("{variant:?}: not true that {name}, after {} steps: {actions:?}", actions.len());
        // Where two promises break at the same depth, either may be met first.
        let expected: &[&str] = match variant {
            Broken::QueuedLeaves | Broken::EntersBlindly => &[CAP, BEGINS],
            Broken::StartsBlindly => &[STAYS, CAP],
            Broken::QueuesSilently | Broken::UnqueuesAtOnce | Broken::LookEndsBlindly | Broken::AdmitsUnseen => {
                &[BEGINS]
            }
        };
        assert!(expected.contains(&name), "{variant:?} breaks {name}");
        broken.insert(name);
    }
    assert!(broken.contains(CAP) && broken.contains(BEGINS), "a promise that nothing breaks: {broken:?}");
}
