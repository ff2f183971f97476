//! What the command understands. Its help texts are the source of `docs/cli.md`.

mod dlq;

use core::time::Duration;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use clap::{Args, Parser, Subcommand};
use qsketch_core::time::millis_up;
use qsketch_core::{JobId, JobStatus, Reference, StepName, TaskId, Tenant, Time};
use qsketch_ops::Cursor;
use qsketch_ops::list::{EXAMINED_MAX, LIMIT_DEFAULT};
use qsketch_video::request::TENANT_DEFAULT;

pub use dlq::{Dlq, DlqCommand, DlqDrop, DlqList, DlqRedrive, DlqShow};

/// The exit codes, as `--help` tells them.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  anything that is not listed here, such as a check of doctor that fails
    2  the arguments, the submission or the settings are wrong, or the settings name something that is not there
    4  no such job, letter, log, file or refund token
    5  the table, the queues or the bucket can't be reached
    6  the credentials are missing or not allowed to do this
   10  the job FAILED
   11  the job was CANCELED
   12  the job stalls: nothing took it in, or it is open past its deadline
   13  the submission was REJECTED, or its id belongs to another one
  124  the job TIMED_OUT
  130  interrupted; a job that was sent goes on";

const SETTINGS: &str = "\
Settings are those of the services, from the environment: QSKETCH_TABLE, QSKETCH_BUCKET, QSKETCH_QUEUE_URL_PREFIX, and
what the AWS SDK reads. `make up` writes them for the local stack: `. .local/dev/env`. NO_COLOR switches colours off.";

/// Turns prompts into narrated videos: submits jobs and tells how they are.
#[derive(Clone, Debug, Parser)]
#[command(name = "qsketch", version, after_help = format!("{SETTINGS}\n\n{EXIT_CODES}"))]
pub struct Arguments {
    /// Print JSON: data on stdout, errors on stderr
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Submit a prompt, and print the job's id
    Submit(Submit),
    /// List a tenant's jobs, the newest first
    List(List),
    /// Show the story of a job: each task, its attempts and their reasons, what ran in parallel
    Show(Show),
    /// Cancel a job that runs: what is at work is ended, nothing new begins
    Cancel(Cancel),
    /// Run a FAILED, TIMED_OUT or CANCELED job again, from what failed or from a step
    Redrive(Redrive),
    /// Redeem the refund token of a job that failed, once per job
    Refund(Refund),
    /// Pause a job, or one step of it: what runs goes on, nothing new begins
    Pause(Pause),
    /// Resume a paused job, or one step of it
    Resume(Pause),
    /// Send a job the signal that a step of it waits for
    Signal(Signal),
    /// Approve a job that was submitted with --approve: it goes on after its script
    Approve(Approve),
    /// Reject a job that was submitted with --approve: it is canceled
    Reject(Reject),
    /// Delete a closed job for good: its video, all its files and its story
    Delete(Delete),
    /// Look after the jobs that nobody is at work on, as the reconciler does every minute
    Reconcile(Reconcile),
    /// List, show, send back or drop what was set aside: dead letters, and submissions that can't be read
    Dlq(Dlq),
    /// Print what the tools of an attempt wrote; without a task, list the logs of a job
    Logs(Logs),
    /// Download the video of a job, with its poster, captions and transcript next to it
    Download(Download),
    /// Look at the deployment, the tools and the fonts, and say what to do
    Doctor,
}

/// Arguments of `submit`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The same id with the same content is the same job, however often it is submitted. A prompt that begins with a dash needs
`--` before it. Without --follow stdout holds the job's id; with it, the result's location or the downloaded files, and
the exit code tells how the job closed. With --follow --json, stdout holds one JSON object a line: what changed.")]
pub struct Submit {
    /// What the video is to explain, 1 to 4,000 characters; `-` reads it from standard input
    pub prompt: String,

    /// The job's id, 1 to 64 of A-Z a-z 0-9 _ -; a new one is made without it
    #[arg(long)]
    pub id: Option<String>,

    /// The title card's text; without it the lesson or the prompt gives the title
    #[arg(long)]
    pub title: Option<String>,

    /// Who narrates: en-us, en-gb, zh, ja, ko, ar and others; without it the prompt's writing system decides
    #[arg(long)]
    pub voice: Option<String>,

    /// 480p15, 720p30 or 1080p60
    #[arg(long)]
    pub quality: Option<String>,

    /// Whose job it is
    #[arg(long)]
    pub tenant: Option<String>,

    /// Wait after the script, for up to 7 days, until `qsketch approve` or `reject`
    #[arg(long)]
    pub approve: bool,

    /// Follow the job until it has closed
    #[arg(long)]
    pub follow: bool,

    /// Follow the job, then download its video to FILE, with its poster, captions and transcript next to it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("\
WHEN is a date (its first moment), a date and time like 2026-11-26T09:30:00Z, or an age like 90m, 6h or 3d; all in UTC. A
page looks at {EXAMINED_MAX} jobs at most: with --status it may end with fewer than it was asked for, and the cursor goes on from
there. What was written a moment ago may be missing. Nothing is scanned: a list costs the same however large the table is."))]
pub struct List {
    /// Whose jobs
    #[arg(long, default_value = TENANT_DEFAULT)]
    pub tenant: Tenant,

    /// Only those in this status, or in one of several: queued, running, completed, failed, timed-out, canceled, rejected
    #[arg(long, value_delimiter = ',', value_parser = status)]
    pub status: Vec<JobStatus>,

    /// Only those taken in then or later; without it those of 30 days before the end
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub since: Option<When>,

    /// Only those taken in then or earlier; without it up to now
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub until: Option<When>,

    /// How many jobs, 1 to 100
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    pub limit: usize,

    /// Go on where an earlier list ended: the cursor that it printed
    #[arg(long)]
    pub cursor: Option<Cursor>,
}

/// A point in time as a person writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At that time.
    At(Time),
    /// That long before now.
    Ago(Duration),
}

impl When {
    /// The point in time, as seen at `now`.
    #[must_use]
    pub fn from(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => Time(now.0.saturating_sub(millis_up(span))),
        }
    }
}

fn when(text: &str) -> Result<When, String> {
    let wrong = || {
        "it is neither a date (2026-11-26), nor a date and time (2026-11-26T09:30:00Z), nor an age (90m, 6h, 3d)"
            .to_owned()
    };
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(When::Ago(span));
    }
    let is_date = text.len() == "2026-11-26".len();
    let midnight = if is_date { "T00:00:00Z" } else { "" };
    let time = humantime::parse_rfc3339_weak(&format!("{text}{midnight}")).map_err(|_| wrong())?;
    let since_epoch = time.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
    Ok(When::At(Time(millis_up(since_epoch))))
}

fn status(text: &str) -> Result<JobStatus, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    let found = JobStatus::ALL.into_iter().find(|status| status.as_str() == name);
    found.ok_or_else(|| "it is none of queued, running, completed, failed, timed-out, canceled, rejected".to_owned())
}

/// Arguments of `show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The job's id
    pub job: JobId,
}

/// Arguments of `cancel`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Whoever works on the job learns it at the next heartbeat, a third of the lease later at most (10 s), and ends its processes. The
customer's systems get the event generation.canceled. A job that has closed otherwise stays as it is: that ends with 1.")]
pub struct Cancel {
    /// The job's id
    pub job: JobId,

    /// Why, in at most 200 bytes: the story and the event tell it
    #[arg(long, default_value = "canceled by hand")]
    pub reason: String,
}

/// Arguments of `redrive`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
What is recorded is reused, and not made again; every attempt of it keeps its number and its files. With --from, that step
and all that follows it are forgotten and run again. What runs has all its attempts and its time anew, and the job a new
deadline. The event of the job's closing comes first, and is waited for. To redrive again, without --from, is safe.")]
pub struct Redrive {
    /// The job's id
    pub job: JobId,

    /// Run from this step on, whether or not it is recorded: generate-script, render-manim, generate-tts, merge-upload
    #[arg(long, value_name = "STEP")]
    pub from: Option<StepName>,

    /// Change nothing: tell what would be reused, what would run, and why
    #[arg(long)]
    pub dry_run: bool,

    /// Also where its refund was redeemed: else such a job is not run again
    #[arg(long)]
    pub after_refund: bool,
}

/// Arguments of `refund`.
#[derive(Clone, Debug, Args)]
pub struct Refund {
    /// What to do with it
    #[command(subcommand)]
    pub what: RefundCommand,
}

/// What to do with a refund token.
#[derive(Clone, Debug, Subcommand)]
pub enum RefundCommand {
    /// Redeem a token: of all who try, now or later, one gets 0
    Redeem(Redeem),
}

/// Arguments of `refund redeem`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The event generation.failed carries the token. It is good until it expires, the job is COMPLETED, or the job was refunded: once,
however often it failed. While a redriven job runs it is refused. Paying back is not done here: pay when this ends with 0. Where the
answer was lost, try again with the same --reference: it says whether it was done before. Two payments must not share a reference.")]
pub struct Redeem {
    /// The token, qsr1.JOB.CLOSING.CODE; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    pub token: String,

    /// What your own books call this refund, such as the payment's id: 1 to 64 of A-Z a-z 0-9 _ -; a new one without it
    #[arg(long)]
    pub reference: Option<Reference>,
}

/// Arguments of `pause` and `resume`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
While a step is paused its schedule-to-start timeout stands still; its schedule-to-close timeout and the job's deadline go on.
Resuming a job resumes all its steps. Both are safe to repeat.")]
pub struct Pause {
    /// The job's id
    pub job: JobId,

    /// This step alone: generate-script, render-manim, generate-tts or merge-upload
    #[arg(long)]
    pub step: Option<StepName>,
}

/// Arguments of `signal`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The first signal counts, also where it comes before the step waits: then the step does not wait at all. To send it again is
safe, and mends what an earlier try that failed did not send. A step that waits has no message: waiting costs nothing.")]
pub struct Signal {
    /// The job's id
    pub job: JobId,

    /// The signal's name
    pub name: String,

    /// What comes with it, as JSON of at most 1,024 bytes: `show` tells it, and the steps that follow may read it
    pub payload: Option<String>,
}

/// Arguments of `approve`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The same as `qsketch signal JOB approve`. `qsketch show JOB` tells the script's title and scenes. To approve again is safe.")]
pub struct Approve {
    /// The job's id
    pub job: JobId,
}

/// Arguments of `reject`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The job is CANCELED with this reason, and the customer's systems get the event generation.canceled. A job that was approved stays
as it is: that ends with 1. Of an approval and a rejection at the same moment one wins. To reject again is safe.")]
pub struct Reject {
    /// The job's id
    pub job: JobId,

    /// Why, in at most 200 bytes: the story and the event tell it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Arguments of `delete`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
There is no way back. A job that runs must be canceled first. What was deleted half, because something failed, is deleted
whole by the same command again.")]
pub struct Delete {
    /// The job's id
    pub job: JobId,

    /// Delete it: without this nothing happens
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `reconcile`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A job is due two minutes after it was taken in, and later as long again as it has stood still, at most every 15 minutes. Messages that
are gone are sent again; what is out of time is closed; a notification that was not sent is. Into a queue that is not about empty
only the longest-standing few are sent: what waits in a backlog looks like what is lost. To do it again is safe.")]
pub struct Reconcile {
    /// Change nothing: tell what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `logs`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A log is kept in the bucket when its attempt ends, at most 256 KiB of it: the beginning and the end. A worker that dies
leaves none.")]
pub struct Logs {
    /// The job's id
    pub job: JobId,

    /// The task, as `show` names it: generate-script, render-manim#0
    pub task: Option<TaskId>,

    /// Which attempt, from 1; without it the newest one whose log is kept
    #[arg(long, value_name = "N", requires = "task")]
    pub attempt: Option<u32>,
}

/// Arguments of `download`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Beside out.mp4 come out.png (poster), out.vtt (captions) and out.txt (transcript). Each file is compared with what the
bucket says of it before it gets its name; files that are there are replaced. Stdout holds the files' names.")]
pub struct Download {
    /// The job's id
    pub job: JobId,

    /// Where to put the video; JOB.mp4 in the current folder without it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_a_time_or_an_age() {
        let at = |text: &str| when(text).map(|when| when.from(Time(1_795_382_157_042)).to_string());
        assert_eq!(at("2026-11-22").as_deref(), Ok("2026-11-22T00:00:00.000Z"));
        assert_eq!(at("2026-11-22T09:30:00Z").as_deref(), Ok("2026-11-22T09:30:00.000Z"));
        assert_eq!(at("2026-11-22 09:30:00").as_deref(), Ok("2026-11-22T09:30:00.000Z"));
        assert_eq!(at("2026-11-22T09:30:00.125Z").as_deref(), Ok("2026-11-22T09:30:00.125Z"));
        assert_eq!(at("90m").as_deref(), Ok("2026-11-22T19:45:57.042Z"));
        assert_eq!(at("3d").as_deref(), Ok("2026-11-19T21:15:57.042Z"));
        assert_eq!(at("9999999d").as_deref(), Ok("1970-01-01T00:00:00.000Z"));
        for wrong in
            ["", "yesterday", "2026-13-01", "2026-02-30", "-3d", "5", "2026-11-22T09:30:00+02:00", "1969-12-31"]
        {
            assert!(when(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_is_understood_in_either_case() {
        assert_eq!(status("timed-out"), Ok(JobStatus::TimedOut));
        assert_eq!(status("TIMED_OUT"), Ok(JobStatus::TimedOut));
        assert!(status("done").is_err());
    }
}
