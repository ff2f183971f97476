//! Every state of every model keeps every promise.

use std::time::Instant;

use qsketch_model::checker::check;
use qsketch_model::config::{Config, Fault, Graph};
use qsketch_model::explore::explore;
use qsketch_model::protocol::Protocol;

fn exhaust(config: Config) {
    let start = Instant::now();
    let protocol = Protocol::new(config.clone());
    let ours = explore(&protocol);
    let ours_secs = start.elapsed().as_secs_f64();
    let (decided, written) = protocol.book().questions();
    println!(
        "{:58} {:>9} states {:>10} reached, depth {:>3}, {:>6.1} s ({decided} decisions, {written} writes)",
        config.name, ours.unique, ours.states, ours.depth, ours_secs
    );
    if let Some(found) = ours.counterexample {
        panic!("{}:\n  {}", found.promise, found.trace.join("\n  "));
    }
    let start = Instant::now();
    let theirs = check(protocol);
    println!("{:58} {:>9} states, stateright {:.1} s", config.name, theirs.unique, start.elapsed().as_secs_f64());
    assert_eq!(theirs.broken, Vec::<&str>::new());
    assert_eq!((theirs.unique, theirs.states, theirs.depth), (ours.unique, ours.states, ours.depth));
}

#[test]
fn probe() {
    let n: u8 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    exhaust(Config::new("one", Graph::One, n, &Fault::ALL));
    exhaust(Config::new("line", Graph::Line, n, &Fault::ALL));
    exhaust(Config::new("fork", Graph::Fork, n, &Fault::ALL));
    exhaust(Config::new("diamond", Graph::Diamond, n, &Fault::ALL));
}
