//! Downloading a job's video with its poster, captions and transcript: each file whole or not there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use qsketch_core::{Job, JobId, JobStatus};
use qsketch_runtime::Ports;
use qsketch_runtime::attempt::key;
use qsketch_video::pipeline::MERGE_UPLOAD;
use serde::Serialize;

use crate::error::OpsError;
use crate::show::winner;
use qsketch_runtime::digest::sha256_of;

/// The video's file.
pub const VIDEO_FILE: &str = "video.mp4";

/// What stands beside the video, each with the ending that it gets next to the output file. The video itself comes last:
/// who sees it may count on the others.
pub const BESIDE: [(&str, &str); 3] = [("poster.png", "png"), ("captions.vtt", "vtt"), ("transcript.txt", "txt")];

/// A file that was downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Downloaded {
    /// The local file.
    pub path: PathBuf,
    /// Where it came from.
    pub location: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// Checks that the video and what stands beside it can be written to `out`: worth asking before a video is made.
///
/// # Errors
/// [`OpsError::File`], saying what to do.
pub fn check_output(out: &Path) -> Result<(), OpsError> {
    let refuse = |problem: &str| Err(OpsError::File { path: out.to_owned(), problem: problem.to_owned() });
    let ending = out.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if out.file_name().is_none() || out.is_dir() {
        return refuse("it is a folder; name the video's file, such as out.mp4");
    }
    if BESIDE.iter().any(|(_, beside)| ending.eq_ignore_ascii_case(beside)) {
        return refuse("a file of this ending stands beside the video; name the video's file, such as out.mp4");
    }
    let folder = folder_of(out);
    if !folder.is_dir() {
        return refuse("its folder does not exist; make it first");
    }
    Ok(())
}

/// Downloads the video of a completed job to `out`, and its poster, captions and transcript next to it under the same
/// name with the endings of [`BESIDE`]. Files that are there are replaced.
///
/// Each file is written under another name, compared in size and SHA-256 with what the store says, and only then renamed.
///
/// # Errors
/// [`OpsError::NotFound`], [`OpsError::NoVideo`], [`OpsError::Damaged`], [`OpsError::File`], [`OpsError::Port`].
pub async fn download(ports: &Ports, job: &JobId, out: &Path) -> Result<Vec<Downloaded>, OpsError> {
    check_output(out)?;
    let there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    let Some((task, attempt)) = winner(&there, MERGE_UPLOAD).filter(|_| there.status == JobStatus::Completed) else {
        return Err(no_video(&there));
    };
    let key_of = |file: &str| key(job.as_str(), &task, attempt, file);
    let location = ports.store.location(&key_of(VIDEO_FILE));
    if let Some(result) = there.result.as_ref().filter(|result| **result != location) {
        let problem = format!("its result is {result}, but the settings lead to {location}: check QSKETCH_BUCKET");
        return Err(OpsError::Damaged { what: format!("job {job}"), problem });
    }
    let mut fetched = Vec::new();
    for (file, ending) in BESIDE {
        fetched.push(fetch(ports, &key_of(file), &out.with_extension(ending)).await?);
    }
    fetched.push(fetch(ports, &key_of(VIDEO_FILE), out).await?);
    let mut kept = Vec::new();
    for (mut temporary, downloaded) in fetched {
        temporary.keep(&downloaded.path).await?;
        kept.push(downloaded);
    }
    kept.reverse();
    Ok(kept)
}

fn no_video(job: &Job) -> OpsError {
    let closing = job.closings.last().filter(|_| job.status.is_closed());
    let reason = match (&job.refusal, closing) {
        (Some(refusal), _) => refusal.reasons.join("; "),
        (None, Some(closing)) => {
            let task = closing.task.as_ref().map(ToString::to_string).unwrap_or_default();
            let error = closing.error.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{task}: {error}")
        }
        (None, None) => "follow it to its end first".to_owned(),
    };
    OpsError::NoVideo { job: job.job_id.clone(), status: job.status, reason }
}

async fn fetch(ports: &Ports, key: &str, to: &Path) -> Result<(Temporary, Downloaded), OpsError> {
    let gone = || OpsError::NotFound { what: format!("file {key}"), hint: "it was deleted from the store".to_owned() };
    let stored = ports.store.head(key).await?.ok_or_else(gone)?;
    let temporary = Temporary::beside(to, &ports.clock.nonce()).await?;
    let bytes = ports.store.download(key, &temporary.path).await?.ok_or_else(gone)?;
    let damaged = |problem: String| OpsError::Damaged { what: format!("file {key}"), problem };
    if bytes != stored.bytes {
        return Err(damaged(format!("{bytes} bytes came, the store has {}; try again", stored.bytes)));
    }
    let file_error =
        |error: std::io::Error| OpsError::File { path: temporary.path.clone(), problem: error.to_string() };
    let sha256 = sha256_of(&temporary.path).await.map_err(file_error)?;
    if let Some(wanted) = stored.sha256.filter(|wanted| *wanted != sha256) {
        return Err(damaged(format!("its SHA-256 is {sha256}, the store says {wanted}")));
    }
    let downloaded = Downloaded { path: to.to_owned(), location: ports.store.location(key), bytes, sha256 };
    Ok((temporary, downloaded))
}

/// A file that is removed when this is dropped, unless it was kept.
struct Temporary {
    path: PathBuf,
    is_kept: bool,
}

impl Temporary {
    async fn beside(to: &Path, nonce: &str) -> Result<Self, OpsError> {
        let mut name = OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(format!(".{}", nonce.chars().take(12).collect::<String>()));
        let path = folder_of(to).join(name);
        let failed = |error: std::io::Error| OpsError::File { path: to.to_owned(), problem: error.to_string() };
        tokio::fs::File::create_new(&path).await.map_err(failed)?;
        Ok(Self { path, is_kept: false })
    }

    async fn keep(&mut self, as_path: &Path) -> Result<(), OpsError> {
        let failed = |error: std::io::Error| OpsError::File { path: as_path.to_owned(), problem: error.to_string() };
        tokio::fs::rename(&self.path, as_path).await.map_err(failed)?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            // What can't be removed has a name that says what it is.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
