//! What `doctor` looks at on this machine: settings, tools and fonts.

use core::time::Duration;
use std::path::PathBuf;

use qsketch_media::{program, version};
use qsketch_ops::Check;
use qsketch_runtime::config::{Environment, Settings, SettingsError};
use qsketch_runtime::process::{Announcer, Keep, Line, Tool, ToolLog, find};

/// How long a tool may take to tell its version: Manim loads much.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A tool of the workers.
struct Wanted {
    name: &'static str,
    variable: &'static str,
    default: Option<&'static str>,
    what: &'static str,
    ask: &'static [&'static str],
}

const TOOLS: [Wanted; 4] = [
    Wanted {
        name: "ffmpeg",
        variable: "QSKETCH_FFMPEG",
        default: Some("ffmpeg"),
        what: "ffmpeg (Debian package ffmpeg)",
        ask: &["-hide_banner", "-version"],
    },
    Wanted {
        name: "ffprobe",
        variable: "QSKETCH_FFPROBE",
        default: Some("ffprobe"),
        what: "ffprobe (Debian package ffmpeg)",
        ask: &["-hide_banner", "-version"],
    },
    Wanted {
        name: "espeak-ng",
        variable: "QSKETCH_ESPEAK",
        default: Some("espeak-ng"),
        what: "espeak-ng (Debian package espeak-ng)",
        ask: &["--version"],
    },
    Wanted {
        name: "manim",
        variable: "QSKETCH_MANIM_PYTHON",
        default: None,
        what: "the python of a venv with Manim (locally: make setup)",
        ask: &[
            "-I",
            "-c",
            "import manim, platform; print('manim', manim.__version__, 'on python', platform.python_version())",
        ],
    },
];

/// Writing systems that a video may need, each with the tag that fontconfig knows and the package that brings a font.
const FONTS: [(&str, &str, &str); 4] = [
    ("Chinese", "zh", "fonts-noto-cjk"),
    ("Japanese", "ja", "fonts-noto-cjk"),
    ("Korean", "ko", "fonts-noto-cjk"),
    ("Arabic", "ar", "fonts-noto-core"),
];

/// The version of this command.
pub(crate) fn this_command() -> Check {
    Check::ok("qsketch", env!("CARGO_PKG_VERSION"))
}

/// Where the settings lead.
pub(crate) fn settings(settings: &Settings, environment: &Environment) -> Check {
    let endpoint = environment.get("AWS_ENDPOINT_URL").map_or("AWS", String::as_str);
    let region = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
    let region = region.map_or("of the AWS configuration", String::as_str);
    Check::ok("settings", format!("table {} at {endpoint}, region {region}", settings.table))
}

/// The settings are not complete.
pub(crate) fn no_settings(error: &SettingsError) -> Check {
    Check::fail(
        "settings",
        error.to_string(),
        "`. .local/dev/env` sets them for the local stack; make up brings that up",
    )
}

/// Looks at the tools and the fonts.
pub(crate) async fn look(environment: &Environment) -> Vec<Check> {
    let [ffmpeg, ffprobe, espeak, manim] = &TOOLS;
    let (one, two, three, four, fonts) = tokio::join!(
        tool(ffmpeg, environment),
        tool(ffprobe, environment),
        tool(espeak, environment),
        tool(manim, environment),
        fonts()
    );
    let mut checks = vec![one, two, three, four];
    checks.extend(fonts);
    checks
}

async fn tool(wanted: &Wanted, environment: &Environment) -> Check {
    let is_named = environment.contains_key(wanted.variable);
    let asked = async {
        let path = program(environment, wanted.variable, wanted.default, wanted.what)?;
        version(&path, wanted.ask).await
    };
    let problem = match tokio::time::timeout(ANSWER_MAX, asked).await {
        Ok(Ok(version)) => return Check::ok(wanted.name, version),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it did not tell its version within {} s", ANSWER_MAX.as_secs()),
    };
    let remedy = format!("install {}, or set {}", wanted.what, wanted.variable);
    if is_named {
        Check::fail(wanted.name, problem, remedy)
    } else {
        Check::warn(wanted.name, problem, format!("only a machine that runs the workers needs it: {remedy}"))
    }
}

async fn fonts() -> Vec<Check> {
    let mut checks = Vec::new();
    let Some(fc_list) = find("fc-list") else {
        let remedy = "only a machine that renders needs it: install Debian package fontconfig";
        return vec![Check::warn("fonts", "fc-list is not there, so fonts can't be counted", remedy)];
    };
    for (writing, tag, package) in FONTS {
        let name = format!("fonts, {writing}");
        checks.push(match families(&fc_list, tag).await {
            Some(count) if count > 0 => Check::ok(name, format!("{count} font files")),
            _ => {
                let remedy = format!("only a machine that renders needs it: install Debian package {package}");
                Check::warn(name, format!("no font has it: {writing} text would be white boxes"), remedy)
            }
        });
    }
    checks
}

async fn families(fc_list: &PathBuf, tag: &str) -> Option<usize> {
    let mut count = 0;
    let tool = Tool::new(fc_list).arg(format!(":lang={tag}")).arg("file");
    let (announcer, log) = (Announcer::default(), ToolLog::default());
    let run = tool.run(&announcer, &log, |line| {
        count += usize::from(matches!(line, Line::Out(text) if !text.trim().is_empty()));
        Keep::No
    });
    let ended = tokio::time::timeout(ANSWER_MAX, run).await.ok()?.ok()?;
    ended.is_success().then_some(count)
}
