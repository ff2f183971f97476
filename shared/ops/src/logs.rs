//! The tools' output of attempts, as it is kept in the store.

use qsketch_core::{JobId, TaskId};
use qsketch_runtime::Ports;
use qsketch_runtime::attempt::LOG_FILE;
use qsketch_runtime::process::LOG_HALF_BYTES_MAX;
use serde::Serialize;

use crate::error::OpsError;

/// The most files of one job that are looked through: a video of eight scenes with three attempts a task has about 300.
pub const FILES_MAX: usize = 1_000;

/// The largest log that is read, in bytes: its two halves and the line between them.
pub const LOG_BYTES_MAX: u64 = 4 * LOG_HALF_BYTES_MAX as u64;

/// One attempt's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LogName {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// Its key in the store.
    pub key: String,
    /// Where it is, for other programs.
    pub location: String,
}

/// One attempt's log with its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Which it is.
    #[serde(flatten)]
    pub name: LogName,
    /// The attempts of the task whose logs are kept.
    pub attempts: Vec<u32>,
    /// What the tools wrote.
    pub text: String,
}

/// The logs of a job, by task and attempt. A log is kept when its attempt ends; a worker that dies leaves none.
///
/// # Errors
/// [`OpsError::Port`].
pub async fn list_logs(ports: &Ports, job: &JobId) -> Result<Vec<LogName>, OpsError> {
    let prefix = format!("jobs/{job}/");
    let keys = ports.store.list(&prefix, FILES_MAX).await?;
    let mut found: Vec<LogName> = keys
        .iter()
        .filter_map(|key| {
            let [task, attempt, file] = key.strip_prefix(&prefix)?.split('/').collect::<Vec<_>>().try_into().ok()?;
            let (task, attempt) = (task.parse().ok()?, attempt.parse().ok()?);
            (file == LOG_FILE).then(|| LogName { task, attempt, key: key.clone(), location: ports.store.location(key) })
        })
        .collect();
    found.sort();
    Ok(found)
}

/// One attempt's log; the newest one that is kept when no attempt is named.
///
/// # Errors
/// [`OpsError::NotFound`] when there is no such log, with what there is; [`OpsError::Port`].
pub async fn read_log(ports: &Ports, job: &JobId, task: &TaskId, attempt: Option<u32>) -> Result<Log, OpsError> {
    let all = list_logs(ports, job).await?;
    let attempts: Vec<u32> = all.iter().filter(|log| log.task == *task).map(|log| log.attempt).collect();
    let wanted = attempt.or_else(|| attempts.last().copied());
    let Some(name) = all.iter().find(|log| log.task == *task && Some(log.attempt) == wanted).cloned() else {
        return Err(absent(ports, job, task, attempt, &all).await);
    };
    let bytes = ports.store.get(&name.key, LOG_BYTES_MAX).await?;
    let bytes = bytes.ok_or_else(|| OpsError::NotFound {
        what: format!("file {}", name.key),
        hint: "it was deleted a moment ago".to_owned(),
    })?;
    Ok(Log { name, attempts, text: String::from_utf8_lossy(&bytes).into_owned() })
}

async fn absent(ports: &Ports, job: &JobId, task: &TaskId, attempt: Option<u32>, all: &[LogName]) -> OpsError {
    match ports.table.load_job(job).await {
        Ok(Some(_)) => {}
        Ok(None) => return OpsError::no_job(job),
        Err(error) => return error.into(),
    }
    let which = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    let what = format!("a log of {task}{which} of job {job}");
    let there: Vec<String> = all.iter().map(|log| format!("{} attempt {}", log.task, log.attempt)).collect();
    let why = "a log is kept when its attempt ends, and a worker that dies leaves none";
    let hint = if there.is_empty() { why.to_owned() } else { format!("{why}; there are: {}", there.join(", ")) };
    OpsError::NotFound { what, hint }
}
