//! What the command understands. Its help texts are the source of `docs/cli.md`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use qsketch_core::{JobId, TaskId};

/// The exit codes, as `--help` tells them.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  anything that is not listed here, such as a check of doctor that fails
    2  the arguments, the submission or the settings are wrong, or the settings name something that is not there
    4  no such job, log or file
    5  the table, the queues or the bucket can't be reached
    6  the credentials are missing or not allowed to do this
   10  the job FAILED
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
    /// Show the story of a job: each task, its attempts and their reasons, what ran in parallel
    Show(Show),
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

    /// Follow the job until it has closed
    #[arg(long)]
    pub follow: bool,

    /// Follow the job, then download its video to FILE, with its poster, captions and transcript next to it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The job's id
    pub job: JobId,
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
