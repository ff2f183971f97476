//! A render worker dies in the middle of a render: the job goes on, and nothing is left over.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qsketch_local_tests::{Stack, wait_for};
use serde_json::{Value, json};

#[test]
fn a_killed_render_worker_costs_an_attempt_and_not_the_job() -> Result<()> {
    let stack = Stack::up("kill")?;
    let parent = worker(&stack, "render-manim")?;
    stack.send(&json!({"id": "killed", "prompt": "Explain the Pythagorean theorem", "quality": "720p30"}).to_string())?;

    let (child, renders) = wait_for("a render to run", || {
        let Some(child) = children(parent)?.into_iter().next() else { return Ok(None) };
        let renders: Vec<i32> = descendants(child)?.into_iter().filter(|pid| command(*pid).contains("manim")).collect();
        Ok((!renders.is_empty()).then_some((child, renders)))
    })?;
    let killed = Command::new("kill").args(["-9", &child.to_string()]).status()?;
    ensure!(killed.success(), "the worker could not be killed");

    wait_for("every render of the dead worker to be gone", || Ok(renders.iter().all(|pid| !is_alive(*pid)).then_some(())))?;
    wait_for("another worker to be started", || Ok(children(parent)?.into_iter().find(|pid| *pid != child)))?;
    stack.wait_for_status("killed", "COMPLETED")?;

    let story = stack.json(&["show", "killed", "--json"])?;
    let tasks = story["tasks"].as_array().context("no tasks")?;
    let second: Vec<&Value> = tasks.iter().filter(|task| task["step"] == "render-manim" && task["attempt"] == 2).collect();
    ensure!(!second.is_empty(), "no render has a second attempt: {story}");
    for task in second {
        ensure!(task["attempts"][0]["outcome"] == "TIMED_OUT" && task["attempts"][0]["error_type"] == "Heartbeat", "{task}");
    }
    let script: Vec<&Value> = tasks.iter().filter(|task| task["step"] == "generate-script").collect();
    ensure!(script.len() == 1 && script[0]["attempt"] == 1, "the script was generated once: {script:?}");
    wait_for("no process of Manim to be left", || {
        let left: Vec<i32> = descendants(parent)?.into_iter().filter(|pid| command(*pid).contains("manim render")).collect();
        Ok(left.is_empty().then_some(()))
    })?;
    let work = stack.folder().join("work");
    wait_for("no scratch file to be left", || Ok((files(&work.join("render-manim"))? == 0).then_some(())))
}

/// The process id of a worker's parent, as the stack's scripts keep it.
fn worker(stack: &Stack, name: &str) -> Result<i32> {
    let kept = std::fs::read_to_string(stack.folder().join("run").join(format!("{name}.json")))?;
    let kept: Value = serde_json::from_str(&kept)?;
    Ok(i32::try_from(kept["pid"].as_i64().context("no pid")?)?)
}

fn children(parent: i32) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        if parent_and_state(pid).is_some_and(|(of, state)| of == parent && state != "Z") {
            found.push(pid);
        }
    }
    Ok(found)
}

fn descendants(parent: i32) -> Result<Vec<i32>> {
    let mut found = children(parent)?;
    let mut at = 0;
    while at < found.len() {
        found.extend(children(found[at])?);
        at += 1;
    }
    Ok(found)
}

fn parent_and_state(pid: i32) -> Option<(i32, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut after = stat.rsplit_once(')')?.1.split_whitespace();
    let state = after.next()?.to_owned();
    Some((after.next()?.parse().ok()?, state))
}

fn is_alive(pid: i32) -> bool {
    parent_and_state(pid).is_some_and(|(_, state)| state != "Z")
}

fn command(pid: i32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

fn files(folder: &Path) -> Result<usize> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(0) };
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { files(&entry.path())? } else { 1 };
    }
    Ok(count)
}
