//! Finding the tools of a service at its start.

use std::path::{Path, PathBuf};

use qsketch_runtime::config::Environment;
use qsketch_runtime::process::{Announcer, Keep, Line, Tool, ToolLog, find};
use thiserror::Error;

/// A tool that a service needs is not there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MissingTool {
    /// The variable that names it is not set.
    #[error("{variable} is not set: give it {what}")]
    Unset {
        /// The variable.
        variable: &'static str,
        /// What it names.
        what: &'static str,
    },
    /// There is no such program.
    #[error("{program} is not there or can't be run: install {what}, or set {variable} to its path")]
    NotFound {
        /// The program as it was looked for.
        program: String,
        /// The variable that names it.
        variable: &'static str,
        /// What to install.
        what: &'static str,
    },
    /// It is there and does not work.
    #[error("{program} does not work: {problem}")]
    Broken {
        /// The program.
        program: String,
        /// What it answered.
        problem: String,
    },
}

/// The program that `variable` names, else `default`, as a path to an executable file.
///
/// # Errors
/// [`MissingTool`] when the variable is not set and there is no default, or when there is no such program.
pub fn program(
    environment: &Environment,
    variable: &'static str,
    default: Option<&str>,
    what: &'static str,
) -> Result<PathBuf, MissingTool> {
    let named = environment.get(variable).map(String::as_str).filter(|name| !name.is_empty());
    let name = named.or(default).ok_or(MissingTool::Unset { variable, what })?;
    find(name).ok_or_else(|| MissingTool::NotFound { program: name.to_owned(), variable, what })
}

/// The first line that a program answers to these arguments: its version.
///
/// # Errors
/// [`MissingTool::Broken`] when it can't be started or fails.
pub async fn version(program: &Path, arguments: &[&str]) -> Result<String, MissingTool> {
    let broken = |problem: String| MissingTool::Broken { program: program.display().to_string(), problem };
    let mut first = String::new();
    let tool = Tool::new(program).args(arguments.iter().copied());
    let (announcer, log) = (Announcer::default(), ToolLog::default());
    let run = tool.run(&announcer, &log, |line| {
        if let Line::Out(text) = line
            && first.is_empty()
        {
            text.trim().clone_into(&mut first);
        }
        Keep::Yes
    });
    let ended = run.await.map_err(|error| broken(error.to_string()))?;
    if ended.is_success() && !first.is_empty() {
        Ok(first)
    } else {
        Err(broken(format!("{ended} {}", ended.last_words.lines().last().unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_names_the_variable_and_what_to_install() {
        let empty = Environment::new();
        let unset = program(&empty, "QSKETCH_X", None, "the X of Y").map_err(|error| error.to_string());
        assert_eq!(unset, Err("QSKETCH_X is not set: give it the X of Y".to_owned()));
        let absent = program(&empty, "QSKETCH_X", Some("no-such-x"), "package x").map_err(|error| error.to_string());
        let wanted = "no-such-x is not there or can't be run: install package x, or set QSKETCH_X to its path";
        assert_eq!(absent, Err(wanted.to_owned()));
        let set = Environment::from([("QSKETCH_X".to_owned(), "/bin/sh".to_owned())]);
        assert_eq!(program(&set, "QSKETCH_X", None, "x"), Ok(PathBuf::from("/bin/sh")));
    }

    #[tokio::test]
    async fn a_version_is_the_first_line_and_a_failure_says_why() {
        assert_eq!(version(Path::new("/bin/sh"), &["-c", "echo 1.2; echo more"]).await, Ok("1.2".to_owned()));
        let broken = version(Path::new("/bin/sh"), &["-c", "echo oh >&2; exit 4"]).await;
        assert!(broken.is_err_and(|error| error.to_string() == "/bin/sh does not work: exit code 4 oh"));
    }
}
