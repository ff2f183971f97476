//! A render worker dies, or is told to stop, in the middle of a render: the job goes on, and nothing is left over.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qsketch_local_tests::{Stack, wait_for};
use serde_json::{Value, json};

#[test]
fn a_render_worker_that_dies_or_is_told_to_stop_costs_no_job() -> Result<()> {
    let stack = Stack::up("kill")?;
    a_killed_worker_s_attempts_go_back_at_once_uncharged(&stack)?;
    a_worker_told_to_stop_gives_its_work_back_uncharged(&stack)
}

fn a_killed_worker_s_attempts_go_back_at_once_uncharged(stack: &Stack) -> Result<()> {
    let parent = worker(stack, "render-manim")?;
    let (child, renders) = submit_and_wait_for_a_render(stack, "killed", parent)?;
    signal(child, "KILL")?;

    wait_for("every render of the dead worker to be gone", || {
        Ok(renders.iter().all(|pid| !is_alive(*pid)).then_some(()))
    })?;
    wait_for("another worker to be started", || Ok(children(parent)?.into_iter().find(|pid| *pid != child)))?;
    stack.wait_for_status("killed", "COMPLETED")?;

    let tasks = tasks(stack, "killed")?;
    let second: Vec<&Value> =
        tasks.iter().filter(|task| task["step"] == "render-manim" && task["attempt"] == 2).collect();
    ensure!(!second.is_empty(), "no render has a second attempt: {tasks:?}");
    for task in second {
        let first = &task["attempts"][0];
        ensure!(first["outcome"] == "CRASHED" && first["error_type"] == "WorkerDied", "{task}");
        let (died, again) = (first["ended_at"].as_u64(), task["attempt_started_at"].as_u64());
        println!("{}: given back, and begun again {:?} ms later", task["task"], again.zip(died).map(|(a, d)| a - d));
    }
    the_script_was_generated_once(&tasks)?;
    nothing_is_left(stack, parent)
}

fn a_worker_told_to_stop_gives_its_work_back_uncharged(stack: &Stack) -> Result<()> {
    let parent = worker(stack, "render-manim")?;
    let (_, renders) = submit_and_wait_for_a_render(stack, "stopped", parent)?;
    signal(parent, "TERM")?;
    wait_for("the worker and its renders to be gone", || {
        Ok((!is_alive(parent) && renders.iter().all(|pid| !is_alive(*pid))).then_some(()))
    })?;
    let up = stack.script("up", &["--no-build"])?;
    ensure!(up.status.success(), "{}", qsketch_local_tests::text(&up));
    stack.wait_for_status("stopped", "COMPLETED")?;

    let tasks = tasks(stack, "stopped")?;
    let released = tasks.iter().filter(|task| task["attempts"][0]["outcome"] == "RELEASED").count();
    ensure!(released > 0, "no attempt was given back: {tasks:?}");
    let charged = tasks.iter().filter_map(|task| task["attempts"].as_array()).flatten();
    ensure!(charged.clone().all(|attempt| attempt["outcome"] == "RELEASED"), "an attempt was charged: {tasks:?}");
    the_script_was_generated_once(&tasks)?;
    nothing_is_left(stack, worker(stack, "render-manim")?)
}

#[test]
fn an_idle_worker_ends_cleanly_when_told_to_stop() -> Result<()> {
    let stack = Stack::up("stop")?;
    let mut worker = Command::new(qsketch_local_tests::binaries()?.join("merge-upload"))
        .envs(stack.settings())
        .env("QSKETCH_DIR", stack.folder())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(worker.stderr.take().context("no stderr")?).lines();
    let ready = said.by_ref().map_while(std::result::Result::ok).any(|line| line.contains("\"ready\""));
    ensure!(ready, "it never was ready");
    signal(i32::try_from(worker.id())?, "TERM")?;
    let code = wait_for("the worker to end", || Ok(worker.try_wait()?))?;
    ensure!(code.code() == Some(0), "{code}");
    Ok(())
}

/// Submits a job, and waits until the render worker's child has a render running: the child and its renders.
fn submit_and_wait_for_a_render(stack: &Stack, id: &str, parent: i32) -> Result<(i32, Vec<i32>)> {
    stack.send(&json!({"id": id, "prompt": "Explain the Pythagorean theorem", "quality": "720p30"}).to_string())?;
    wait_for("a render to run", || {
        let Some(child) = children(parent)?.into_iter().next() else { return Ok(None) };
        let renders: Vec<i32> = descendants(child)?.into_iter().filter(|pid| command(*pid).contains("manim")).collect();
        Ok((!renders.is_empty()).then_some((child, renders)))
    })
}

fn tasks(stack: &Stack, id: &str) -> Result<Vec<Value>> {
    let story = stack.json(&["show", id, "--json"])?;
    Ok(story["tasks"].as_array().context("no tasks")?.clone())
}

fn the_script_was_generated_once(tasks: &[Value]) -> Result<()> {
    let script: Vec<&Value> = tasks.iter().filter(|task| task["step"] == "generate-script").collect();
    ensure!(script.len() == 1 && script[0]["attempt"] == 1, "the script was generated once: {script:?}");
    Ok(())
}

fn nothing_is_left(stack: &Stack, parent: i32) -> Result<()> {
    wait_for("no render to be left", || {
        let left: Vec<i32> =
            descendants(parent)?.into_iter().filter(|pid| command(*pid).contains("manim render")).collect();
        Ok(left.is_empty().then_some(()))
    })?;
    let scratch = stack.folder().join("work").join("render-manim");
    wait_for("no scratch file to be left", || Ok((files(&scratch)? == 0).then_some(())))
}

fn signal(pid: i32, name: &str) -> Result<()> {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    ensure!(sent.success(), "process {pid} could not be sent {name}");
    Ok(())
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
