//! A job that must fail: a provider of the test's own writes a scene that raises.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use qsketch_generate_script::GenerateScript;
use qsketch_local_tests::{Stack, wait_for};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::config::Settings;
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::{QueueName, Worker, shutdown};
use qsketch_video::script::{LAYOUT, Scene};
use qsketch_video::{Script, ScriptError, ScriptProvider, VideoRequest};
use serde_json::{Value, json};

/// Writes one scene, which raises.
struct Raising;

#[async_trait]
impl ScriptProvider for Raising {
    fn name(&self) -> &'static str {
        "raising"
    }

    async fn write(&self, request: &VideoRequest) -> Result<Script, ScriptError> {
        let code = "from manim import *\n\n\nclass Broken(Scene):\n    def construct(self):\n        raise ValueError(\"the scene is broken on purpose\")\n";
        let scene = Scene {
            title: "Broken".to_owned(),
            narration: "This scene never shows anything.".to_owned(),
            class_name: "Broken".to_owned(),
            code: code.to_owned(),
        };
        Ok(Script {
            layout: LAYOUT,
            title: "Broken".to_owned(),
            prompt: request.prompt().to_owned(),
            quality: request.quality(),
            voice: request.voice(),
            language: request.voice().language(),
            provider: self.name().to_owned(),
            lesson: None,
            notes: Vec::new(),
            scenes: vec![scene],
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scene_that_raises_fails_the_job_with_step_attempt_and_reason_and_one_notification() -> Result<()> {
    let stack = tokio::task::spawn_blocking(|| Stack::up("fail")).await??;
    take_over_generate_script(&stack)?;

    let settings = Settings::read(stack.settings())?;
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(stack.setting("AWS_ENDPOINT_URL")?)
        .region("us-east-1")
        .test_credentials()
        .load()
        .await;
    let ports = qsketch_aws::connect(&settings, &sdk);
    let outbox = Outbox::new(Arc::clone(&ports.queues));
    let queue = QueueName::new("generate-script");
    let worker =
        Worker::new(ports.clone(), outbox.clone(), queue.clone(), Arc::new(GenerateScript::new(Arc::new(Raising))));
    let (stopper, stop) = shutdown::pair();
    let polling = Polling { queue, concurrency: 1, wait: Duration::from_secs(1), hide: settings.lease };
    let polled = tokio::spawn(async move { poll::run(&polling, ports.queues, &outbox, Arc::new(worker), &stop).await });

    let looked = tokio::task::spawn_blocking(move || look(&stack)).await?;
    stopper.stop();
    polled.await??;
    looked
}

/// Stops the deployed function from receiving, so that the test's own consumer takes its messages.
fn take_over_generate_script(stack: &Stack) -> Result<()> {
    let function = format!("qsketch-{}-generate-script", stack.name);
    let list = || stack.aws(&["lambda", "list-event-source-mappings", "--function-name", &function]);
    let found = list()?;
    let id = found["EventSourceMappings"][0]["UUID"].as_str().context("the function has no mapping")?.to_owned();
    stack.aws(&["lambda", "update-event-source-mapping", "--uuid", &id, "--no-enabled"])?;
    wait_for("the mapping to be disabled", || {
        Ok((list()?["EventSourceMappings"][0]["State"] == "Disabled").then_some(()))
    })
}

fn look(stack: &Stack) -> Result<()> {
    stack.send(&json!({"id": "broken", "prompt": "Anything", "quality": "480p15"}).to_string())?;
    let job = stack.wait_for_status("broken", "FAILED")?;
    let closing = &job["closings"]["L"][0]["M"];
    ensure!(closing["task"]["S"] == "render-manim#0" && closing["attempt"]["N"] == "3", "{closing}");
    let error = closing["error"]["S"].as_str().unwrap_or_default();
    ensure!(error.contains("the scene is broken on purpose"), "{closing}");

    let events = stack.receive("notifications", 1)?;
    ensure!(events.len() == 1, "one notification: {events:?}");
    let event: Value = serde_json::from_str(events[0]["Body"].as_str().context("no body")?)?;
    ensure!(event["type"] == "generation.failed", "{event}");
    let failure = &event["failure"];
    ensure!(failure["step"] == "render-manim" && failure["attempt"] == 3, "{event}");
    ensure!(failure["error"].as_str().is_some_and(|error| error.contains("broken on purpose")), "{event}");

    let story = stack.json(&["show", "broken", "--json"])?;
    let tasks = story["tasks"].as_array().context("no tasks")?;
    let render = tasks.iter().find(|task| task["task"] == "render-manim#0").context("no render")?;
    ensure!(render["status"] == "FAILED", "{render}");
    let attempts = render["attempts"].as_array().context("no attempts")?;
    ensure!(attempts.len() == 3 && attempts.iter().all(|attempt| attempt["outcome"] == "FAILED"), "{render}");
    let times: Vec<u64> = attempts.iter().filter_map(|attempt| attempt["started_at"].as_u64()).collect();
    let ends: Vec<u64> = attempts.iter().filter_map(|attempt| attempt["ended_at"].as_u64()).collect();
    ensure!(times[1] - ends[0] >= 10_000 && times[2] - ends[1] >= 20_000, "it backed off 10 s and 20 s: {render}");
    let followed =
        stack.qsketch(&["submit", "Anything", "--id", "broken", "--quality", "480p15", "--follow"])?.output()?;
    ensure!(
        followed.status.code() == Some(10),
        "a failed job has its exit code: {}",
        qsketch_local_tests::text(&followed)
    );
    refunds(stack, &event)
}

/// The event's token is good once, and a job that was refunded is redriven only by whoever says so.
fn refunds(stack: &Stack, event: &Value) -> Result<()> {
    let token = event["refund"]["token"].as_str().context("the event has no token")?;
    let run = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = stack.qsketch(arguments)?.output()?;
        Ok((output.status.code(), qsketch_local_tests::text(&output)))
    };
    let table = stack.aws(&["dynamodb", "scan", "--table-name", stack.setting("QSKETCH_TABLE")?])?;
    ensure!(!table.to_string().contains(token), "the table keeps a hash, never the token");
    let guessed = format!("{}{}", &token[..token.len() - 8], "00000000");
    let (code, text) = run(&["refund", "redeem", &guessed, "--reference", "p-0"])?;
    ensure!(code == Some(4), "a guess is no token: {text}");
    let children = ["p-1", "p-2"].map(|reference| {
        let mut command = stack.qsketch(&["refund", "redeem", token, "--reference", reference])?;
        Ok(command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?)
    });
    let mut codes = Vec::new();
    for child in children {
        let child: Result<std::process::Child> = child;
        codes.push(child?.wait()?.code());
    }
    codes.sort_unstable();
    ensure!(codes == [Some(0), Some(1)], "of two at the same moment one wins: {codes:?}");
    let (code, text) = run(&["redrive", "broken", "--dry-run"])?;
    ensure!(code == Some(1) && text.contains("--after-refund"), "{text}");
    let (code, text) = run(&["redrive", "broken", "--after-refund", "--dry-run"])?;
    ensure!(code == Some(0), "{text}");
    let (_, text) = run(&["show", "broken"])?;
    ensure!(text.contains("Refund") && !text.contains(token), "{text}");
    Ok(())
}
