//! Prompts become narrated videos through the deployed templates, as a person would do it.

use anyhow::{Context, Result, ensure};
use qsketch_local_tests::media::{Cue, WINDOW_MS, cues, longest_silence_ms, loudness, probe, windows};
use qsketch_local_tests::{Stack, readme, wait_for};
use serde_json::{Value, json};

/// A prompt for each built-in lesson, and one that fits none.
const PROMPTS: [(&str, &str); 6] = [
    ("pythagoras", "Explain the Pythagorean theorem for right triangles"),
    ("derivative", "What is a derivative? Show it as the slope of the tangent"),
    ("binary-search", "How does binary search find a number in a sorted list?"),
    ("fourier", "Explain Fourier series and how circles draw a square wave"),
    ("bubble-sort", "Show how bubble sort works"),
    ("general", "Why the sea looks blue, and why it is salty"),
];

/// The longest silence that a built-in lesson may have.
const SILENCE_MS_MAX: u64 = 3_000;

/// The pause between two sentences, at least.
const SENTENCE_GAP_MS: u64 = 200;

/// How long after its caption a sentence may begin.
const ONSET_MS_MAX: u64 = 300;

/// Under this many dB of full scale it is silent.
const QUIET: f64 = -45.0;

#[test]
fn prompts_become_videos_and_bad_input_gets_clear_answers() -> Result<()> {
    let stack = Stack::up("video")?;
    the_readme_s_lines_submit_and_query(&stack)?;
    for (name, prompt) in PROMPTS {
        stack.send(&json!({"id": name, "prompt": prompt, "quality": "480p15"}).to_string())?;
    }
    bad_submissions_are_answered_with_every_reason(&stack)?;
    the_same_submission_is_sent_again(&stack)?;
    let folder = tempfile::tempdir()?;
    for id in PROMPTS.map(|(name, _)| name).into_iter().chain(["by-hand"]) {
        stack.wait_for_status(id, "COMPLETED")?;
        let video = folder.path().join(format!("{id}.mp4"));
        let output = stack.qsketch(&["download", id, "--output", &video.to_string_lossy()])?.output()?;
        ensure!(output.status.success(), "download {id}: {}", qsketch_local_tests::text(&output));
        the_video_is_well(id, &video).with_context(|| format!("the video of {id}"))?;
        the_story_is_told(&stack, id).with_context(|| format!("the story of {id}"))?;
    }
    the_same_submission_sent_again_made_one_job(&stack)?;
    every_closing_is_notified_once(&stack)?;
    nothing_is_in_the_dead_letters(&stack)
}

fn the_readme_s_lines_submit_and_query(stack: &Stack) -> Result<()> {
    let submit = readme("submit by hand")?;
    let said = stack.shell(&submit)?;
    ensure!(said.contains("MessageId"), "{said}");
    wait_for("job by-hand to be there", || Ok(stack.job("by-hand")?.get("status").map(|_| ())))?;
    let query = readme("query by hand")?;
    let settings = submit.lines().next().context("no first line")?;
    let said = stack.shell(&format!("{settings}\n{query}"))?;
    ensure!(said.contains("\"RUNNING\"") || said.contains("\"COMPLETED\""), "{said}");
    ensure!(said.contains("\"submission\""), "the query shows every part: {said}");
    Ok(())
}

fn bad_submissions_are_answered_with_every_reason(stack: &Stack) -> Result<()> {
    let long = "x".repeat(100_000);
    let cases: [(String, &[&str]); 7] = [
        (json!({"prompt": ""}).to_string(), &["prompt: is empty"]),
        (json!({"prompt": long}).to_string(), &["prompt: has 100000 characters"]),
        (json!({"prompt": 7}).to_string(), &["prompt:"]),
        (
            json!({"prompt": "x", "quality": "8k", "voice": "robot", "colour": 1}).to_string(),
            &["quality:", "voice:", "colour:"],
        ),
        (json!({"prompt": "x", "id": "a/b"}).to_string(), &["id:"]),
        (json!({"prompt": "another content", "id": "by-hand"}).to_string(), &["id: by-hand was used before"]),
        (json!({}).to_string(), &["prompt:"]),
    ];
    for (body, reasons) in cases {
        let message = stack.send(&body)?;
        let job = stack.wait_for_status(&message, "REJECTED")?;
        let told = job["refusal"]["M"]["reasons"].to_string();
        for reason in reasons {
            ensure!(told.contains(reason), "{reason:?} is missing in {told}");
        }
    }
    let mut sent = ["this is not JSON", "[1, 2]", "\"text\""];
    for body in sent {
        stack.send(body)?;
    }
    let rejected = stack.receive("rejected", sent.len())?;
    for message in &rejected {
        let reason = message["MessageAttributes"]["reason"]["StringValue"].as_str().unwrap_or_default();
        ensure!(reason.contains("JSON"), "no reason: {message}");
    }
    let mut kept: Vec<&str> = rejected.iter().filter_map(|message| message["Body"].as_str()).collect();
    kept.sort_unstable();
    sent.sort_unstable();
    ensure!(kept == sent, "kept in rejected: {kept:?}");
    Ok(())
}

fn the_same_submission_is_sent_again(stack: &Stack) -> Result<()> {
    let body = json!({"id": PROMPTS[0].0, "prompt": PROMPTS[0].1, "quality": "480p15"}).to_string();
    for _ in 0..3 {
        stack.send(&body)?;
    }
    Ok(())
}

/// It has the parts of one job, and its script was written by the first attempt.
fn the_same_submission_sent_again_made_one_job(stack: &Stack) -> Result<()> {
    let answer = stack.aws(&[
        "dynamodb",
        "query",
        "--consistent-read",
        "--table-name",
        stack.setting("QSKETCH_TABLE")?,
        "--key-condition-expression",
        "job_id = :job",
        "--expression-attribute-values",
        &json!({":job": {"S": PROMPTS[0].0}}).to_string(),
    ])?;
    let parts = answer["Items"].as_array().context("no items")?;
    let named = |name: &str| parts.iter().filter(|part| part["part"]["S"] == name).collect::<Vec<_>>();
    for name in ["input", "job"] {
        ensure!(named(name).len() == 1, "{} parts {name:?}: {answer}", named(name).len());
    }
    let scripts = named("task:generate-script");
    ensure!(scripts.len() == 1 && scripts[0]["attempt"]["N"] == "1", "the script's part: {scripts:?}");
    Ok(())
}

fn the_video_is_well(id: &str, video: &std::path::Path) -> Result<()> {
    let found = probe(video)?;
    let streams = found["streams"].as_array().context("no streams")?;
    let picture = streams.iter().find(|stream| stream["codec_type"] == "video").context("no picture")?;
    ensure!(picture["height"] == 480, "height {}", picture["height"]);
    ensure!(streams.iter().any(|stream| stream["codec_type"] == "audio"), "no sound");
    let seconds: f64 = found["format"]["duration"].as_str().context("no duration")?.parse()?;
    ensure!((20.0..300.0).contains(&seconds), "it takes {seconds} s");
    let measured = loudness(video)?;
    ensure!((-17.5..=-14.5).contains(&measured), "its loudness is {measured} LUFS");
    let sound = windows(video)?;
    let silence = longest_silence_ms(&sound, QUIET);
    ensure!(silence <= SILENCE_MS_MAX, "it is silent for {silence} ms");
    let captions = cues(&std::fs::read_to_string(video.with_extension("vtt"))?)?;
    captions_are_in_step(&captions, &sound)?;
    let last = captions.last().context("no captions")?;
    ensure!(last.end_ms as f64 <= seconds * 1_000.0 + 100.0, "the captions of {id} outlast it");
    ensure!(std::fs::metadata(video.with_extension("png"))?.len() > 1_000, "no poster");
    Ok(())
}

/// Speech begins where a sentence's first cue does, and goes on under every cue of a second or more.
fn captions_are_in_step(captions: &[Cue], sound: &[f64]) -> Result<()> {
    ensure!(captions.len() >= 6, "only {} captions", captions.len());
    for pair in captions.windows(2) {
        ensure!(pair[0].end_ms <= pair[1].start_ms, "captions overlap: {pair:?}");
    }
    let mut said_until = 0;
    for cue in captions {
        let at = |ms: u64| usize::try_from(ms / WINDOW_MS);
        let part =
            sound.get(at(cue.start_ms)?..at(cue.end_ms)?.min(sound.len())).context("a caption outlasts the sound")?;
        let loud = part.iter().filter(|window| **window > QUIET).count();
        // A long sentence's cues share its time by their length: where one ends within it is an estimate.
        let is_whole = cue.start_ms >= said_until + SENTENCE_GAP_MS || said_until == 0;
        if is_whole {
            let onset = part.iter().position(|window| *window > QUIET).context("nothing is said")? as u64 * WINDOW_MS;
            ensure!(onset <= ONSET_MS_MAX, "speech begins {onset} ms after {cue:?}");
        }
        if cue.end_ms - cue.start_ms >= 1_000 {
            ensure!(loud * 2 >= part.len(), "little is said under {cue:?}: {loud} of {} windows", part.len());
        }
        said_until = cue.end_ms;
    }
    Ok(())
}

fn the_story_is_told(stack: &Stack, id: &str) -> Result<()> {
    let story = stack.json(&["show", id, "--json"])?;
    ensure!(story["status"] == "COMPLETED", "{story}");
    let tasks = story["tasks"].as_array().context("no tasks")?;
    let scenes = tasks.iter().filter(|task| task["step"] == "render-manim").count();
    ensure!((3..=6).contains(&scenes), "{scenes} scenes");
    // The finalizer may still be on its way: it runs once the job has closed.
    for task in tasks.iter().filter(|task| task["step"] != "notify") {
        ensure!(task["status"] == "COMPLETED", "{task}");
    }
    let scripts: Vec<&Value> = tasks.iter().filter(|task| task["step"] == "generate-script").collect();
    ensure!(scripts.len() == 1 && scripts[0]["attempt"] == 1, "the script was generated once: {scripts:?}");
    let list = stack.json(&["list", "--status", "completed", "--since", "1d", "--limit", "100", "--json"])?;
    let listed = list["jobs"].as_array().context("no jobs")?.iter().filter(|row| row["job"] == id).count();
    ensure!(listed == 1, "{id} is listed {listed} times: {list}");
    let output = stack.qsketch(&["logs", id, "render-manim#0"])?.output()?;
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(log.contains("manim"), "the log of a render: {log}");
    let output = stack.qsketch(&["show", id])?.output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(told.contains("template"), "the story says that a template wrote the script: {told}");
    Ok(())
}

fn every_closing_is_notified_once(stack: &Stack) -> Result<()> {
    let mut keys: Vec<String> = Vec::new();
    for message in stack.receive("notifications", PROMPTS.len() + 1)? {
        let event: Value = serde_json::from_str(message["Body"].as_str().context("no body")?)?;
        ensure!(event["type"] == "video.completed", "{event}");
        ensure!(event["result"].as_str().is_some_and(|result| result.starts_with("s3://")), "{event}");
        keys.push(event["idempotency_key"].as_str().context("no key")?.to_owned());
    }
    keys.sort();
    let mut expected: Vec<String> = PROMPTS.iter().map(|(name, _)| format!("{name}/0")).collect();
    expected.push("by-hand/0".to_owned());
    expected.sort();
    ensure!(keys == expected, "notified: {keys:?}");
    Ok(())
}

fn nothing_is_in_the_dead_letters(stack: &Stack) -> Result<()> {
    for queue in ["intake", "generate-script", "render-manim", "generate-tts", "merge-upload", "notify"] {
        let url = format!("{}{queue}-dead", stack.setting("QSKETCH_QUEUE_URL_PREFIX")?);
        let answer = stack.aws(&[
            "sqs",
            "get-queue-attributes",
            "--queue-url",
            &url,
            "--attribute-names",
            "ApproximateNumberOfMessages",
        ])?;
        ensure!(answer["Attributes"]["ApproximateNumberOfMessages"] == "0", "{queue}-dead: {answer}");
    }
    Ok(())
}
