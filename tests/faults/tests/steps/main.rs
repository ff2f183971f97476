//! The real handlers that write the script and speak it, with a fault at each call on the store and each run of the tool.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod faulty;
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use faulty::{Plan, StoreFault, ToolFault};
use stage::run;

/// How many jobs run at the same time: most of the time they wait for their next attempt.
const AT_ONCE: usize = 34;

/// The name under which the shell keeps the log of an attempt: its loss costs nothing.
const LOG: &str = "log.txt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_at_any_call_of_a_real_step_costs_its_attempt_and_the_job_completes() {
    let reference = run(Plan::default()).await;
    assert_eq!(reference.wrong(), None);
    assert!(reference.charged.is_empty(), "{:?}", reference.charged);
    let calls = reference.calls.clone();
    assert!(calls.len() > 5 && reference.spoken > 1, "{calls:?}, {} runs of the tool", reference.spoken);
    let mut plans = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        plans.extend(StoreFault::ALL.map(|fault| (call.clone(), Plan { store: Some((number, fault)), tool: None })));
    }
    for number in 0..reference.spoken {
        let plan = |fault| (format!("run {number} of the tool"), Plan { store: None, tool: Some((number, fault)) });
        plans.extend(ToolFault::ALL.map(plan));
    }
    println!("{} calls on the store, {} runs of the tool, {} jobs", calls.len(), reference.spoken, plans.len());
    let (gate, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (call, plan) in plans {
        let gate = Arc::clone(&gate);
        running.spawn(async move {
            let _turn = gate.acquire().await.expect("it is never closed");
            (call, plan, run(plan).await)
        });
    }
    let mut wrong = BTreeSet::new();
    for (call, plan, ran) in running.join_all().await {
        let costs = u32::from(plan.fails() && !call.ends_with(LOG));
        let mut say = |what: String| wrong.insert(format!("{plan:?} at {call}: {what}"));
        ran.wrong().map(&mut say);
        if !ran.is_met {
            say("the fault was never met".to_owned());
        }
        if ran.charged.values().sum::<u32>() != costs {
            say(format!("{:?} are charged, {costs} should be", ran.charged));
        }
        if let Some(expected) = plan.error_type().filter(|expected| !ran.error_types.contains(*expected)) {
            say(format!("it is told as {:?}, and not as {expected}", ran.error_types));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
