//! Short runs of the chaos: one that must leave nothing wrong, and broken deployments that must be found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output};

/// What the faults of these runs are drawn from.
const SEED: &str = "1";

#[test]
fn nothing_is_lost() {
    let output = chaos(&["--jobs", "20"]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn messages_alone_bring_every_job_to_its_end_where_none_is_purged() {
    let output = chaos(&["--jobs", "12", "--without-purges", "--broken", "no-reconciler"]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_message_that_is_acknowledged_before_it_is_worked_on_is_missed() {
    found("acknowledges-first", "it did not come to rest");
}

#[test]
fn a_tool_that_outlives_its_worker_is_found() {
    found("no-parent", "a process is left");
}

/// The run says so, where the deployment is broken in this way.
fn found(broken: &str, words: &str) {
    let output = chaos(&["--jobs", "12", "--without-purges", "--broken", broken]);
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains(words), "{broken}: {said}");
}

/// Each run is a process of its own: what its dead workers leave behind becomes its child.
fn chaos(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(["--seed", SEED]).args(arguments).output().expect("the program is built")
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}
