//! A fault at every outside call of every scene, and worlds that are broken on purpose.

use std::time::Instant;

use qsketch_core::Verdict;
use qsketch_faults::scenes::{all, prompt, scene, slow};
use qsketch_faults::{Sum, try_all};
use qsketch_sim::Fault;
use qsketch_simulation::broken::Broken;
use qsketch_simulation::gallery::Shape;

#[test]
fn at_every_call_every_fault_lets_the_job_close_rightly_and_charges_nobody_wrongly() {
    let mut sum = Sum::default();
    for scene in all() {
        let began = Instant::now();
        let tried = try_all(&scene, None, |_| true);
        println!("{}: {} calls, {} runs, {:?}", scene.name, tried.points, tried.all_runs(), began.elapsed());
        sum.add(tried);
    }
    println!("{} calls, {} runs\n{}", sum.points, sum.all_runs(), sum.table());
    let caught: Vec<String> = sum.caught.iter().map(ToString::to_string).collect();
    assert!(caught.is_empty(), "{} are wrong\n{}", caught.len(), caught.join("\n"));
    assert_eq!(sum.missed, 0, "a fault was not where it was planned");
}

#[test]
fn where_nobody_gives_back_a_crash_at_every_call_waits_for_the_lease_and_charges_once() {
    let mut sum = Sum::default();
    for scene in all().into_iter().filter(|scene| matches!(scene.name, "straight" | "map in shards" | "redrive")) {
        sum.add(try_all(&scene.without_parent(), None, |fault| {
            matches!(fault, Fault::CrashBefore | Fault::CrashAfter)
        }));
    }
    println!("{} calls, {} runs\n{}", sum.points, sum.all_runs(), sum.table());
    let caught: Vec<String> = sum.caught.iter().map(ToString::to_string).collect();
    assert!(caught.is_empty(), "{} are wrong\n{}", caught.len(), caught.join("\n"));
    assert_eq!(sum.missed, 0, "a fault was not where it was planned");
}

#[test]
fn worlds_that_are_broken_on_purpose_are_caught() {
    let completed: &[Verdict] = &[Verdict::Completed];
    let straight = || scene("straight", Shape::Line, completed, prompt, &[]);
    let mut missed = Vec::new();
    for (broken, scene) in [
        (Broken::AcknowledgeFirst, straight().without_reconciler()),
        (Broken::ClaimIgnoresLease, scene("heartbeats", Shape::Line, completed, slow, &[])),
        (Broken::SendsAfterDelete, straight().without_reconciler()),
    ] {
        let sum = try_all(&scene, Some(broken), |_| true);
        match sum.caught.first() {
            Some(caught) if caught.point.is_some() => println!("{broken:?} is caught at {caught}"),
            Some(caught) => missed.push(format!("{broken:?} shows without a fault: {caught}")),
            None => missed.push(format!("{broken:?} is not caught in {} runs", sum.all_runs())),
        }
        let sound = try_all(&scene, None, |_| true);
        missed.extend(sound.caught.first().map(|caught| format!("a sound world is caught: {caught}")));
    }
    assert_eq!(missed, Vec::<String>::new());
}
