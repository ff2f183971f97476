//! A service that can't work says so in one line at its start, and ends with an exit code that says so too.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qsketch_local_tests::{Stack, binaries, text};

const POLLING: [&str; 6] = ["intake", "generate-script", "render-manim", "generate-tts", "merge-upload", "notify"];

/// What a service started with these settings says before it ends with 2.
fn refusal(service: &str, settings: &BTreeMap<String, String>) -> Result<String> {
    let output = Command::new(binaries()?.join(service))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("QSKETCH_LOG", "off")
        .envs(settings)
        .output()?;
    ensure!(output.status.code() == Some(2), "{service}: {}", text(&output));
    let said = String::from_utf8(output.stderr)?;
    ensure!(said.lines().count() == 1, "{service} says one line: {said}");
    Ok(said)
}

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn missing_settings_are_named_all_at_once() -> Result<()> {
    for service in POLLING {
        let said = refusal(service, &BTreeMap::new())?;
        for name in ["QSKETCH_TABLE", "QSKETCH_BUCKET", "QSKETCH_QUEUE_URL_PREFIX"] {
            ensure!(said.contains(name), "{service}: {said}");
        }
    }
    Ok(())
}

#[test]
fn an_unreachable_endpoint_is_told_at_the_start() -> Result<()> {
    let settings = settings(&[
        ("QSKETCH_TABLE", "t"),
        ("QSKETCH_BUCKET", "b"),
        ("QSKETCH_QUEUE_URL_PREFIX", "http://127.0.0.1:9/q-"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]);
    let said = refusal("notify", &settings)?;
    ensure!(said.contains("can't be reached"), "{said}");
    Ok(())
}

#[test]
fn a_wrong_table_and_a_missing_tool_are_told_at_the_start() -> Result<()> {
    let stack = Stack::up("start")?;
    let with = |name: &str, value: &str| {
        let mut settings = stack.settings().clone();
        settings.insert(name.to_owned(), value.to_owned());
        settings
    };
    let said = refusal("notify", &with("QSKETCH_TABLE", "no-such-table"))?;
    ensure!(said.contains("no-such-table") && said.contains("does not exist"), "{said}");
    for (service, variable) in [
        ("render-manim", "QSKETCH_MANIM_PYTHON"),
        ("generate-tts", "QSKETCH_ESPEAK"),
        ("merge-upload", "QSKETCH_FFMPEG"),
    ] {
        let said = refusal(service, &with(variable, "/nowhere/tool"))?;
        ensure!(said.contains("/nowhere/tool"), "{service}: {said}");
    }
    let url = stack.setting("QSKETCH_QUEUE_URL_PREFIX").context("no prefix")?.replace("qsketch-", "elsewhere-");
    let said = refusal("notify", &with("QSKETCH_QUEUE_URL_PREFIX", &url))?;
    ensure!(said.contains("queue notify"), "{said}");
    Ok(())
}
