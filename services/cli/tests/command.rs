//! The command as a process: its answers to wrong arguments, settings and endpoints, and its docs.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory;
use qsketch_cli::arguments::{Arguments, EXIT_CODES};

type Tried<T = ()> = Result<T, Box<dyn Error>>;

fn qsketch(arguments: &[&str], environment: &[(&str, &str)]) -> Tried<(i32, String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qsketch"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    told(command.output()?)
}

fn told(output: Output) -> Tried<(i32, String, String)> {
    let code = output.status.code().ok_or("ended by a signal")?;
    Ok((code, String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

/// Settings that lead to a port of this machine on which nobody listens.
fn unreachable() -> Tried<Vec<(&'static str, String)>> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let endpoint = format!("http://127.0.0.1:{port}");
    Ok(vec![
        ("QSKETCH_TABLE", "t".to_owned()),
        ("QSKETCH_BUCKET", "b".to_owned()),
        ("QSKETCH_QUEUE_URL_PREFIX", format!("{endpoint}/0/q-")),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "x".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "x".to_owned()),
    ])
}

#[test]
fn wrong_arguments_end_with_2_and_say_what_is_allowed() -> Tried {
    for arguments in [
        &["bogus"][..],
        &[],
        &["submit"],
        &["show", "a/b"],
        &["list", "--status", "done"],
        &["list", "--since", "yesterday"],
        &["list", "--cursor", "x"],
        &["list", "--tenant", "a/b"],
        &["list", "--limit", "many"],
        &["logs", "j", "Render"],
        &["logs", "j", "--attempt", "1"],
        &["logs", "j", "merge-upload", "--attempt", "x"],
        &["submit", "x", "--nonsense"],
        &["dlq"],
        &["dlq", "redrive"],
        &["dlq", "redrive", "x", "--all"],
        &["dlq", "drop", "--all"],
    ] {
        let (code, out, err) = qsketch(arguments, &[])?;
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn a_bad_submission_ends_with_2_and_every_reason_before_any_setting_is_asked_for() -> Tried {
    let (code, out, err) = qsketch(&["submit", " ", "--id", "a/b", "--voice", "gollum", "--quality", "8k"], &[])?;
    assert_eq!((code, out.as_str()), (2, ""));
    for word in ["nothing was sent", "prompt: is empty", "id: is \"a/b\"", "voice: is", "quality: is"] {
        assert!(err.contains(word), "{word} in {err}");
    }
    let (code, _, err) = qsketch(&["submit", &"x".repeat(100_000)], &[])?;
    assert_eq!(code, 2);
    assert!(err.contains("shorten it to at most 4000"), "{err}");
    Ok(())
}

#[test]
fn missing_settings_end_with_2_and_one_line_that_says_what_to_do() -> Tried {
    for arguments in [&["submit", "pi"][..], &["list"], &["show", "j"], &["logs", "j"], &["download", "j"]] {
        let (code, out, err) = qsketch(arguments, &[])?;
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{arguments:?}: {err}");
        assert!(err.contains("QSKETCH_TABLE is not set") && err.contains("make up"), "{err}");
    }
    Ok(())
}

#[test]
fn errors_are_json_where_json_is_asked_for() -> Tried {
    for (arguments, code, exit) in [
        (&["--json", "show", "j"][..], "settings", 2),
        (&["submit", "", "--json"], "invalid", 2),
        (&["show", "a/b", "--json"], "usage", 2),
    ] {
        let (ended, out, err) = qsketch(arguments, &[])?;
        assert_eq!((ended, out.as_str()), (exit, ""), "{arguments:?}: {err}");
        let document: serde_json::Value = serde_json::from_str(&err)?;
        assert_eq!(document["layout"], 1);
        assert_eq!((&document["error"]["code"], &document["error"]["exit"]), (&code.into(), &exit.into()));
    }
    Ok(())
}

#[test]
fn an_endpoint_that_nobody_answers_on_ends_with_5_and_one_line() -> Tried {
    let settings = unreachable()?;
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for arguments in [&["submit", "pi"][..], &["list"], &["show", "j"], &["download", "j"]] {
        let (code, out, err) = qsketch(arguments, &settings)?;
        assert_eq!((code, out.as_str(), err.lines().count()), (5, "", 1), "{arguments:?}: {err}");
        assert!(err.contains("can't be reached"), "{err}");
    }
    Ok(())
}

#[test]
fn the_doctor_names_what_is_wrong_and_ends_with_1() -> Tried {
    let (code, out, err) = qsketch(&["doctor", "--json"], &[("QSKETCH_FFMPEG", "no-such-ffmpeg")])?;
    assert_eq!((code, err.as_str()), (1, ""));
    let checks: serde_json::Value = serde_json::from_str(&out)?;
    assert_eq!(checks["is_well"], false);
    let state = |name: &str| {
        checks["checks"]
            .as_array()
            .and_then(|all| all.iter().find(|check| check["name"] == name))
            .map(|check| check["state"].clone())
    };
    assert_eq!(state("settings"), Some("fail".into()));
    assert_eq!(state("ffmpeg"), Some("fail".into()), "a tool that is named must be there");
    assert_eq!(state("manim"), Some("warn".into()), "only workers need it");
    Ok(())
}

#[test]
fn a_prompt_comes_from_standard_input_and_must_be_text() -> Tried {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("prompt");
    std::fs::write(&file, b"\xff\xfe")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_qsketch"));
    command.args(["submit", "-"]).env_clear().stdin(std::fs::File::open(&file)?);
    let (code, _, err) = told(command.output()?)?;
    assert_eq!(code, 2);
    assert!(err.contains("not UTF-8"), "{err}");
    let (code, _, err) = qsketch(&["submit", "-"], &[])?;
    assert!(code == 2 && err.contains("prompt: is empty"), "{err}");
    Ok(())
}

#[test]
fn a_question_that_can_not_be_answered_ends_with_2_and_says_what_to_ask() -> Tried {
    let settings = unreachable()?;
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (arguments, word) in [
        (&["list", "--limit", "101"][..], "give 1 to 100"),
        (&["list", "--since", "400d"], "at most 366 at once"),
        (&["list", "--since", "1h", "--until", "2h"], "begins after that"),
    ] {
        let (code, out, err) = qsketch(arguments, &settings)?;
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{arguments:?}: {err}");
        assert!(err.contains(word), "{err}");
    }
    Ok(())
}

#[test]
fn an_output_that_can_not_be_written_is_told_before_anything_is_sent() -> Tried {
    for file in ["/no/such/folder/out.mp4", "out.png", "/"] {
        let (code, _, err) = qsketch(&["submit", "pi", "--output", file], &[])?;
        assert!(code == 2 && err.contains("can't be written"), "{file}: {err}");
    }
    Ok(())
}

#[test]
fn help_and_version_are_answers() -> Tried {
    let (code, out, err) = qsketch(&["--help"], &[])?;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(EXIT_CODES));
    let (code, out, _) = qsketch(&["--version"], &[])?;
    assert_eq!((code, out), (0, format!("qsketch {}\n", env!("CARGO_PKG_VERSION"))));
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "BLESS is for the person who runs the test")]
fn the_docs_hold_the_help_texts_as_they_are() -> Tried {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let mut text = String::from(DOCS_HEAD);
    let mut command = Arguments::command().term_width(0);
    command.build();
    let mut section = |title: &str, help: String| {
        text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", help.trim_end()));
    };
    section("qsketch", command.clone().render_help().to_string());
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        let name = format!("qsketch {}", inner.get_name());
        section(&name, inner.render_help().to_string());
        for nested in inner.get_subcommands_mut().filter(|nested| nested.get_name() != "help") {
            section(&format!("{name} {}", nested.get_name()), nested.render_help().to_string());
        }
    }
    text.push_str(DOCS_TAIL);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, text)?;
        return Ok(());
    }
    assert_eq!(text, std::fs::read_to_string(path)?, "BLESS=1 cargo test -p qsketch-cli writes docs/cli.md anew");
    Ok(())
}

const DOCS_HEAD: &str = include_str!("docs_head.md");
const DOCS_TAIL: &str = include_str!("docs_tail.md");
