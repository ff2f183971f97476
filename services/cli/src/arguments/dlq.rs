//! Arguments of `dlq`.

use clap::{Args, Subcommand};

/// Arguments of `dlq`.
#[derive(Clone, Debug, Args)]
pub struct Dlq {
    /// What to do with them.
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// What to do with what was set aside.
#[derive(Clone, Debug, Subcommand)]
pub enum DlqCommand {
    /// List what was set aside, by queue, the oldest first: id, job, task and reason
    List(DlqList),
    /// Show one letter, with its body
    Show(DlqShow),
    /// Send letters back to the queues to which they belong
    Redrive(DlqRedrive),
    /// Delete letters for good
    Drop(DlqDrop),
}

/// Arguments of `dlq list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
SQS can't be looked into: a list receives what is there, and gives it back. So a letter may be missing while somebody else
looks at it. At most 1,000 of each queue are looked at.")]
pub struct DlqList {
    /// Of this queue alone: intake, generate-script, render-manim, generate-tts, merge-upload, notify or rejected
    #[arg(long)]
    pub queue: Option<String>,
}

/// Arguments of `dlq show`.
#[derive(Clone, Debug, Args)]
pub struct DlqShow {
    /// The letter's id, as `dlq list` tells it
    pub id: String,

    /// Look into this queue alone
    #[arg(long)]
    pub queue: Option<String>,
}

/// Arguments of `dlq redrive`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Each is sent before it is deleted, so that nothing is lost and to do it again is safe. A task whose job has closed does nothing
any more: `qsketch redrive JOB` runs the job again. What is still poison comes back as a dead letter.")]
pub struct DlqRedrive {
    /// The letters' ids, as `dlq list` tells them
    #[arg(required_unless_present = "all", value_name = "ID")]
    pub ids: Vec<String>,

    /// All that are there
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,

    /// Of this queue alone
    #[arg(long)]
    pub queue: Option<String>,
}

/// Arguments of `dlq drop`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
There is no way back. A job of which a task's message is dropped stays as it is; one that runs is mended by the reconciler,
or closed by its time-outs.")]
pub struct DlqDrop {
    /// The letters' ids, as `dlq list` tells them
    #[arg(required_unless_present = "all", value_name = "ID")]
    pub ids: Vec<String>,

    /// All that are there
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,

    /// Of this queue alone
    #[arg(long)]
    pub queue: Option<String>,

    /// Delete them: without this nothing happens
    #[arg(long)]
    pub yes: bool,
}
