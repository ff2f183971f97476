//! Who may use whom: every arrow between the workspace's crates, and what the pure core may touch.
//!
//! ```text
//!   core ◄ runtime ◄ { aws, sim, ops, media } ◄ services        core ◄ video ◄ { ops, media } ◄ services
//! ```
//! `sim` is for tests only. A test may use everything.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use qsketch_local_tests::root;
use serde_json::Value;

/// What each shared crate may use of the others. A new crate gets its line here, or the test fails.
const SHARED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("runtime", &["core"]),
    ("video", &["core"]),
    ("aws", &["core", "runtime"]),
    ("sim", &["core", "runtime"]),
    ("media", &["core", "runtime", "video"]),
    ("ops", &["core", "runtime", "video"]),
];

/// What a service may use.
const SERVICES: &[&str] = &["core", "runtime", "video", "aws", "media", "ops"];

/// All that the core may use of the world: nothing that waits, reads a clock, draws or speaks to anybody.
const CORE: &[&str] = &["hmac", "serde", "serde_json", "sha2", "thiserror"];

/// What the core's source may not name.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "tokio",
    "tracing",
    "println!",
    "print!",
    "dbg!",
    "env!(",
    "async fn",
];

/// A dependency of a crate of this workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrow {
    /// The folder of the crate: `shared/aws`.
    from: String,
    /// The crate that it names.
    to: String,
    /// The folder of that crate, when it is one of ours.
    folder: Option<String>,
    is_dev: bool,
}

#[test]
fn every_arrow_is_one_that_the_design_draws() -> Result<()> {
    let arrows = arrows()?;
    ensure!(arrows.len() > 50, "the metadata has {} dependencies only", arrows.len());
    let wrong: Vec<_> = arrows.iter().filter_map(mistake).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_forbidden_arrow_is_found() {
    let ours = |from: &str, folder: &str, is_dev| Arrow {
        from: from.to_owned(),
        to: format!("qsketch-{}", folder.rsplit('/').next().unwrap_or_default()),
        folder: Some(folder.to_owned()),
        is_dev,
    };
    let theirs =
        |from: &str, to: &str, is_dev| Arrow { from: from.to_owned(), to: to.to_owned(), folder: None, is_dev };
    for wrong in [
        ours("shared/core", "shared/runtime", false),
        ours("shared/core", "shared/sim", true),
        ours("shared/aws", "shared/sim", false),
        ours("shared/sim", "shared/aws", true),
        ours("shared/video", "shared/runtime", false),
        ours("services/notify", "services/intake", false),
        ours("services/notify", "shared/sim", false),
        ours("services/notify", "tests/local", true),
        ours("shared/novelty", "shared/core", false),
        theirs("shared/core", "tokio", false),
        theirs("shared/core", "rand", true),
        theirs("services/intake", "aws-sdk-sqs", false),
        theirs("shared/ops", "serde_dynamo", false),
        theirs("shared/ops", "lambda_runtime", true),
    ] {
        assert!(mistake(&wrong).is_some(), "{wrong:?} was not found");
    }
    for right in [
        ours("shared/runtime", "shared/sim", true),
        ours("services/notify", "shared/sim", true),
        ours("services/notify", "shared/ops", false),
        ours("tests/conformance", "shared/sim", false),
        theirs("shared/aws", "aws-sdk-sqs", false),
        theirs("shared/core", "proptest", true),
        theirs("shared/runtime", "lambda_runtime", false),
    ] {
        assert_eq!(mistake(&right), None, "{right:?}");
    }
}

#[test]
fn the_core_touches_nothing_of_the_world() -> Result<()> {
    let files = sources(&root().join("shared/core/src"))?;
    ensure!(files.len() > 10, "only {} files", files.len());
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        found.extend(impure(&text).into_iter().map(|(line, what)| format!("{}:{line}: {what}", file.display())));
    }
    ensure!(found.is_empty(), "the core may not name these:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn a_clock_in_the_core_is_found_and_a_comment_about_it_is_not() {
    let text =
        "//! Reads no SystemTime.\nlet now = std::time::Instant::now();\n/// println!\n    println!(\"{now:?}\");\n";
    assert_eq!(impure(text), [(2, "Instant"), (4, "println!")]);
}

/// What is wrong with an arrow.
fn mistake(arrow: &Arrow) -> Option<String> {
    let Arrow { from, to, folder, is_dev } = arrow;
    let Some((kind, name)) = from.split_once('/') else { return Some(format!("{from} is in no known folder")) };
    let wrong = |why: &str| Some(format!("{from} uses {to}: {why}"));
    if kind == "tests" {
        return None;
    }
    let Some(folder) = folder else {
        let is_cloud = to.starts_with("aws-") || to == "serde_dynamo";
        return match (name, *is_dev) {
            _ if is_cloud && from != "shared/aws" => wrong("only shared/aws speaks to AWS"),
            _ if to == "lambda_runtime" && !matches!(name, "runtime" | "aws") => {
                wrong("the Lambda entry is in runtime")
            }
            ("core", false) if !CORE.contains(&to.as_str()) => wrong("the core is pure"),
            ("core", true) if to != "proptest" => wrong("the core's tests are pure as well"),
            _ => None,
        };
    };
    if kind == "services" {
        let allowed = folder.strip_prefix("shared/").is_some_and(|used| SERVICES.contains(&used));
        let for_tests = *is_dev && folder == "shared/sim";
        return if allowed || for_tests { None } else { wrong("a service uses shared crates, and the sim in tests") };
    }
    let Some((_, allowed)) = SHARED.iter().find(|(known, _)| *known == name) else {
        return wrong("this crate has no place in the design yet: give it one in this test");
    };
    let used = folder.strip_prefix("shared/").unwrap_or(folder);
    let for_tests = *is_dev && used == "sim" && !matches!(name, "core" | "aws" | "video");
    if allowed.contains(&used) || for_tests { None } else { wrong("the design draws no such arrow") }
}

/// Every dependency of every crate of the workspace.
fn arrows() -> Result<Vec<Arrow>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let top = root().canonicalize()?;
    let folder = |path: &str| -> Result<String> {
        let path = PathBuf::from(path).canonicalize()?;
        Ok(path.strip_prefix(&top)?.to_string_lossy().into_owned())
    };
    let mut arrows = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let manifest = Path::new(package["manifest_path"].as_str().context("manifest_path")?);
        let from = folder(&manifest.parent().context("a folder")?.to_string_lossy())?;
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            arrows.push(Arrow {
                from: from.clone(),
                to: dependency["name"].as_str().context("name")?.to_owned(),
                folder: dependency["path"].as_str().map(folder).transpose()?,
                is_dev: dependency["kind"] == "dev",
            });
        }
    }
    Ok(arrows)
}

/// The Rust files under a folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("no source in {}", folder.display());
    }
    Ok(files)
}

/// The lines that name something impure, comments left out.
fn impure(text: &str) -> Vec<(usize, &'static str)> {
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter_map(|(number, line)| Some((number + 1, *IMPURE.iter().find(|word| line.contains(**word))?))).collect()
}
