//! The commands.

use core::time::Duration;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use qsketch_core::redrive::{IfRefunded, StepPlan};
use qsketch_core::refund::{Redemption, Token};
use qsketch_core::story::Story;
use qsketch_core::{JobId, JobStatus, Reference, StepName, Time};
use qsketch_ops::list::DAYS_DEFAULT;
use qsketch_ops::{
    Canceled, Changed, Check, Deleted, Downloaded, Listing, Log, LogName, OpsError, Prepared, Query, Redeemed,
    Redriven, Sent, Signaled, State, Until, Wish,
};
use qsketch_runtime::Ports;
use qsketch_runtime::config::{Environment, Settings, SettingsError};
use qsketch_runtime::reconcile::{Mode, Swept};
use qsketch_video::pipeline::APPROVE;
use serde::Serialize;

use crate::arguments::{
    Approve, Arguments, Cancel, Command, Delete, Download, List, Logs, Pause, Reconcile, Redrive, Refund,
    RefundCommand, Reject, Show, Signal, Submit, When,
};
use crate::exit::{Exit, Problem};
use crate::output::Output;
use crate::progress::{JSON_LAYOUT, Progress};
use crate::{dlq, render, tools};

/// The longest text that is read from standard input, in bytes: more can't be a prompt of 4,000 characters.
const STDIN_BYTES_MAX: u64 = 1_024 * 1_024;

/// How long after a job has closed its notification is waited for; without it the job is as closed.
const NOTIFIED_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(arguments: &Arguments, environment: &Environment, output: &Output) -> Result<Exit, Problem> {
    match &arguments.command {
        Command::Submit(asked) => submit(asked, environment, output).await,
        Command::List(asked) => list(asked, &ports(environment).await?, output).await,
        Command::Show(asked) => show(asked, &ports(environment).await?, output).await,
        Command::Cancel(asked) => cancel(asked, &ports(environment).await?, output).await,
        Command::Redrive(asked) => redrive(asked, &ports(environment).await?, output).await,
        Command::Refund(asked) => refund(asked, environment, output).await,
        Command::Pause(asked) => pause(asked, &ports(environment).await?, output).await,
        Command::Resume(asked) => resume(asked, &ports(environment).await?, output).await,
        Command::Signal(asked) => signal(asked, &ports(environment).await?, output).await,
        Command::Approve(asked) => approve(asked, &ports(environment).await?, output).await,
        Command::Reject(asked) => reject(asked, &ports(environment).await?, output).await,
        Command::Delete(asked) => delete(asked, environment, output).await,
        Command::Reconcile(asked) => reconcile(asked, &ports(environment).await?, output).await,
        Command::Dlq(asked) => {
            dlq::check(asked)?;
            dlq::run(asked, &ports(environment).await?, output).await
        }
        Command::Logs(asked) => logs(asked, &ports(environment).await?, output).await,
        Command::Download(asked) => download(asked, &ports(environment).await?, output).await,
        Command::Doctor => doctor(environment, output).await,
    }
}

async fn ports(environment: &Environment) -> Result<Ports, SettingsError> {
    let settings = Settings::read(environment)?;
    Ok(qsketch_aws::connect(&settings, &qsketch_aws::sdk_config().await))
}

#[derive(Serialize)]
struct SubmittedLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    is_again: bool,
}

#[derive(Serialize)]
struct CanceledLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    is_again: bool,
}

#[derive(Serialize)]
struct RedrivenDocument<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    is_again: bool,
    sent: usize,
    plan: &'a [StepPlan],
}

#[derive(Serialize)]
struct RedeemedLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    closing: u32,
    reference: &'a str,
    at: Time,
    is_again: bool,
}

#[derive(Serialize)]
struct ChangedLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    is_again: bool,
}

#[derive(Serialize)]
struct SignaledLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    signal: &'a str,
    is_again: bool,
    at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    sent: usize,
}

#[derive(Serialize)]
struct DeletedLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    #[serde(flatten)]
    deleted: Deleted,
}

#[derive(Serialize)]
struct ReconciledDocument<'a> {
    layout: u32,
    what: &'static str,
    #[serde(flatten)]
    swept: &'a Swept,
}

#[derive(Serialize)]
struct DownloadedLine<'a> {
    layout: u32,
    what: &'static str,
    job: &'a str,
    files: &'a [Downloaded],
}

#[derive(Serialize)]
struct LogDocument<'a> {
    layout: u32,
    #[serde(flatten)]
    log: &'a Log,
}

#[derive(Serialize)]
struct LogsDocument<'a> {
    layout: u32,
    job: &'a str,
    logs: &'a [LogName],
}

#[derive(Serialize)]
struct ListDocument<'a> {
    layout: u32,
    #[serde(flatten)]
    listing: &'a Listing,
}

#[derive(Serialize)]
struct ChecksDocument<'a> {
    layout: u32,
    is_well: bool,
    checks: &'a [Check],
}

async fn submit(asked: &Submit, environment: &Environment, output: &Output) -> Result<Exit, Problem> {
    let prompt = if asked.prompt == "-" { from_stdin(output)? } else { asked.prompt.clone() };
    let wish = Wish {
        prompt,
        id: asked.id.clone(),
        title: asked.title.clone(),
        voice: asked.voice.clone(),
        quality: asked.quality.clone(),
        tenant: asked.tenant.clone(),
        approve: asked.approve,
    };
    let prepared = qsketch_ops::prepare(&wish, &qsketch_runtime::clock::SystemClock)?;
    // Worth knowing before a video is made for nothing.
    if let Some(file) = &asked.output {
        writable(file)?;
    }
    let ports = ports(environment).await?;
    let sent = qsketch_ops::submit(&ports, &prepared).await?;
    let job = &prepared.job;
    let follows = asked.follow || asked.output.is_some();
    if sent == Sent::Again {
        output.say(&format!("job {job} had been taken in before with the same content: it stays one job"));
    }
    if output.is_json {
        let line =
            SubmittedLine { layout: JSON_LAYOUT, what: "submitted", job: job.as_str(), is_again: sent == Sent::Again };
        output.json_line(&line)?;
    } else if !follows {
        output.data(&format!("{job}\n"))?;
        output.say(&format!("sent; how it is: qsketch show {job}"));
    }
    if !follows {
        return Ok(Exit::Done);
    }
    if !output.draws {
        output.say(&format!("job {job} sent"));
    }
    let story = follow(&ports, &prepared, output).await?;
    closed(&story, &ports, asked.output.as_deref(), output).await
}

async fn follow(ports: &Ports, prepared: &Prepared, output: &Output) -> Result<Story, Problem> {
    let mut progress = Progress::new(output, prepared.job.as_str());
    let until = Until::Notified(NOTIFIED_PATIENCE);
    let followed = {
        let on_update = |story: &Story| progress.update(story, ports.clock.now());
        let following = qsketch_ops::follow(ports, &prepared.job, Some(&prepared.content_hash), until, on_update);
        tokio::select! {
            followed = following => followed.map_err(Problem::from),
            _ = tokio::signal::ctrl_c() => Err(Problem::Interrupted(prepared.job.to_string())),
        }
    };
    progress.end();
    followed
}

async fn closed(story: &Story, ports: &Ports, file: Option<&Path>, output: &Output) -> Result<Exit, Problem> {
    if story.status != JobStatus::Completed {
        let why = render::why_not_completed(story).unwrap_or_default();
        let message = format!("job {} {}: {why} (qsketch show {})", story.job, story.status.as_str(), story.job);
        return Err(Problem::Closed { status: story.status, message });
    }
    match file {
        Some(file) => fetch(ports, &story.job, file, output).await,
        None if output.is_json => Ok(Exit::Done),
        None => {
            output.data(&format!("{}\n", story.result.as_deref().unwrap_or_default()))?;
            output.say(&format!("to have it here: qsketch download {}", story.job));
            Ok(Exit::Done)
        }
    }
}

async fn list(asked: &List, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let now = ports.clock.now();
    let until = asked.until.map_or(now, |until| until.from(now));
    let month = When::Ago(Duration::from_secs(DAYS_DEFAULT * 24 * 60 * 60));
    let query = Query {
        tenant: asked.tenant.clone(),
        statuses: asked.status.iter().copied().collect(),
        since: asked.since.map_or_else(|| month.from(until), |since| since.from(now)),
        until,
        limit: asked.limit,
        after: asked.cursor.clone(),
    };
    let listing = qsketch_ops::list(ports, &query).await?;
    if output.is_json {
        output.json(&ListDocument { layout: JSON_LAYOUT, listing: &listing })?;
        return Ok(Exit::Done);
    }
    output.data(&render::list(&listing, output.paint))?;
    if let Some(words) = render::after_list(&listing, &query) {
        output.say(&words);
    }
    Ok(Exit::Done)
}

async fn show(asked: &Show, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let shown = qsketch_ops::show(ports, &asked.job).await?;
    if output.is_json {
        output.json(&shown)?;
    } else {
        output.data(&render::story(&shown, output.paint))?;
    }
    Ok(Exit::Done)
}

async fn cancel(asked: &Cancel, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let canceled = qsketch_ops::cancel(ports, &asked.job, &asked.reason).await?;
    canceled_line(&asked.job, canceled, output)
}

fn canceled_line(job: &JobId, canceled: Canceled, output: &Output) -> Result<Exit, Problem> {
    let is_again = canceled == Canceled::Before;
    if output.is_json {
        let line = CanceledLine { layout: JSON_LAYOUT, what: "canceled", job: job.as_str(), is_again };
        output.json_line(&line)?;
    } else if is_again {
        output.say(&format!("job {job} was canceled before, and stays so (qsketch show {job})"));
    } else {
        output.say(&format!("job {job} is canceled; what is at work ends within seconds (qsketch show {job})"));
    }
    Ok(Exit::Done)
}

async fn redrive(asked: &Redrive, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let (job, from) = (&asked.job, asked.from.as_ref());
    let refunded = if asked.after_refund { IfRefunded::Redrive } else { IfRefunded::Refuse };
    let redriven = if asked.dry_run {
        qsketch_ops::preview_with(ports, job, from, refunded).await?
    } else {
        qsketch_ops::redrive_with(ports, job, from, refunded).await?
    };
    let Redriven { is_again, plan, sent } = &redriven;
    if output.is_json {
        let what = if asked.dry_run { "redrive-planned" } else { "redriven" };
        let document =
            RedrivenDocument { layout: JSON_LAYOUT, what, job: job.as_str(), is_again: *is_again, sent: *sent, plan };
        output.json_line(&document)?;
        return Ok(Exit::Done);
    }
    output.data(&render::redrive_plan(plan, output.paint))?;
    match (asked.dry_run, is_again) {
        (true, true) => {
            output.say(&format!("job {job} was opened again before: its ready tasks would be sent once more"))
        }
        (true, false) => output.say("nothing was changed; without --dry-run the job runs again like this"),
        (false, true) => output.say(&format!("job {job} was opened again before; sent once more: {sent} tasks")),
        (false, false) => output.say(&format!("job {job} runs again; sent: {sent} tasks (qsketch show {job})")),
    }
    Ok(Exit::Done)
}

async fn refund(asked: &Refund, environment: &Environment, output: &Output) -> Result<Exit, Problem> {
    let RefundCommand::Redeem(asked) = &asked.what;
    let text = if asked.token == "-" { from_stdin(output)? } else { asked.token.clone() };
    let token = Token::try_from(text.as_str()).map_err(|error| Problem::Usage(error.to_string()))?;
    let ports = ports(environment).await?;
    let reference = match &asked.reference {
        Some(reference) => reference.clone(),
        None => Reference::try_from(ports.clock.nonce()).map_err(|error| Problem::Other(error.to_string()))?,
    };
    let redeemed = qsketch_ops::redeem(&ports, &token, &reference).await?;
    let Redeemed { is_again, job, redemption } = &redeemed;
    let Redemption { closing, at, reference } = redemption;
    if output.is_json {
        let (job, closing, at, is_again) = (job.as_str(), *closing, *at, *is_again);
        let reference = reference.as_str();
        output.json_line(&RedeemedLine {
            layout: JSON_LAYOUT,
            what: "refunded",
            job,
            closing,
            reference,
            at,
            is_again,
        })?;
        return Ok(Exit::Done);
    }
    output.data(&format!("{reference}\n"))?;
    if *is_again {
        output.say(&format!("job {job} was refunded before under this reference, at {at}: do not pay it twice"));
    } else {
        output
            .say(&format!("job {job} is refunded, by the token of closing {closing}, under the reference {reference}"));
    }
    Ok(Exit::Done)
}

async fn pause(asked: &Pause, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let changed = qsketch_ops::pause(ports, &asked.job, asked.step.as_ref()).await?;
    let words = "what runs goes on, nothing new begins";
    changed_line(asked, "paused", words, changed, output)
}

async fn resume(asked: &Pause, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let changed = qsketch_ops::resume(ports, &asked.job, asked.step.as_ref()).await?;
    let words = format!("sent: {} tasks", changed.sent);
    changed_line(asked, "resumed", &words, changed, output)
}

fn changed_line(
    Pause { job, step }: &Pause,
    what: &'static str,
    words: &str,
    Changed { is_again, .. }: Changed,
    output: &Output,
) -> Result<Exit, Problem> {
    if output.is_json {
        let step = step.as_ref().map(StepName::as_str);
        output.json_line(&ChangedLine { layout: JSON_LAYOUT, what, job: job.as_str(), step, is_again })?;
        return Ok(Exit::Done);
    }
    let subject = step.as_ref().map_or_else(|| format!("job {job}"), |step| format!("step {step} of job {job}"));
    if is_again {
        output.say(&format!("{subject} was {what} before; {words} (qsketch show {job})"));
    } else {
        output.say(&format!("{subject} is {what}; {words} (qsketch show {job})"));
    }
    Ok(Exit::Done)
}

async fn signal(asked: &Signal, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let signaled = qsketch_ops::signal(ports, &asked.job, &asked.name, asked.payload.as_deref()).await?;
    signaled_line(&asked.job, &asked.name, &signaled, output)
}

async fn approve(asked: &Approve, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let signaled = qsketch_ops::approve(ports, &asked.job).await?;
    signaled_line(&asked.job, APPROVE, &signaled, output)
}

async fn reject(asked: &Reject, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let canceled = qsketch_ops::reject(ports, &asked.job, &asked.reason).await?;
    canceled_line(&asked.job, canceled, output)
}

fn signaled_line(job: &JobId, signal: &str, signaled: &Signaled, output: &Output) -> Result<Exit, Problem> {
    let Signaled { is_again, at, payload, sent } = signaled;
    if output.is_json {
        let (what, payload) = ("signaled", payload.as_deref());
        let (is_again, at, sent) = (*is_again, *at, *sent);
        let line = SignaledLine { layout: JSON_LAYOUT, what, job: job.as_str(), signal, is_again, at, payload, sent };
        output.json_line(&line)?;
    } else if *is_again {
        output.say(&format!(
            "job {job} does not wait for {signal} any more since {at}: that stays; sent once more: {sent} tasks (qsketch show {job})"
        ));
    } else {
        output.say(&format!("job {job} has its signal {signal}; sent: {sent} tasks (qsketch show {job})"));
    }
    Ok(Exit::Done)
}

async fn delete(asked: &Delete, environment: &Environment, output: &Output) -> Result<Exit, Problem> {
    let job = &asked.job;
    if !asked.yes {
        let words = format!("job {job} would be deleted with all its files, for good: say --yes to do it");
        return Err(Problem::Usage(words));
    }
    let settings = Settings::read(environment)?;
    let sdk = qsketch_aws::sdk_config().await;
    let (ports, eraser) = (qsketch_aws::connect(&settings, &sdk), qsketch_aws::AwsEraser::new(&settings, &sdk));
    let deleted = qsketch_ops::delete(&ports, &eraser, job).await?;
    if output.is_json {
        output.json_line(&DeletedLine { layout: JSON_LAYOUT, what: "deleted", job: job.as_str(), deleted })?;
    } else {
        let Deleted { files, parts } = deleted;
        output.say(&format!("job {job} is deleted: {files} files and {parts} parts"));
    }
    Ok(Exit::Done)
}

async fn reconcile(asked: &Reconcile, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let (mode, what) = if asked.dry_run { (Mode::DryRun, "reconcile-planned") } else { (Mode::Mend, "reconciled") };
    let swept = qsketch_runtime::reconcile::reconcile(ports, mode).await.map_err(OpsError::from)?;
    if output.is_json {
        output.json_line(&ReconciledDocument { layout: JSON_LAYOUT, what, swept: &swept })?;
    } else {
        output.data(&render::swept(&swept, output.paint))?;
        output.say(&render::after_sweep(&swept, mode));
    }
    Ok(if swept.failed == 0 { Exit::Done } else { Exit::Other })
}

async fn logs(asked: &Logs, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let Some(task) = &asked.task else { return list_logs(&asked.job, ports, output).await };
    let log = qsketch_ops::read_log(ports, &asked.job, task, asked.attempt).await?;
    if output.is_json {
        output.json(&LogDocument { layout: JSON_LAYOUT, log: &log })?;
        return Ok(Exit::Done);
    }
    let others: Vec<String> =
        log.attempts.iter().filter(|other| **other != log.name.attempt).map(ToString::to_string).collect();
    let others =
        if others.is_empty() { String::new() } else { format!("; there are also attempts {}", others.join(", ")) };
    output.say(&format!("{} attempt {}: {}{others}", log.name.task, log.name.attempt, log.name.location));
    output.data(&render::lines_of(&log.text))?;
    Ok(Exit::Done)
}

async fn list_logs(job: &JobId, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let logs = qsketch_ops::list_logs(ports, job).await?;
    if logs.is_empty() && ports.table.load_job(job).await.map_err(OpsError::from)?.is_none() {
        return Err(OpsError::no_job(job).into());
    }
    if output.is_json {
        output.json(&LogsDocument { layout: JSON_LAYOUT, job: job.as_str(), logs: &logs })?;
        return Ok(Exit::Done);
    }
    if logs.is_empty() {
        output.say("no log is kept yet: one comes when an attempt ends");
    }
    let width = logs.iter().map(|log| log.task.to_string().len()).max().unwrap_or(0);
    let line = |log: &LogName| format!("{:width$}  attempt {}  {}\n", log.task.to_string(), log.attempt, log.location);
    output.data(&logs.iter().map(line).collect::<String>())?;
    Ok(Exit::Done)
}

async fn download(asked: &Download, ports: &Ports, output: &Output) -> Result<Exit, Problem> {
    let file = asked.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.mp4", asked.job)));
    writable(&file)?;
    fetch(ports, &asked.job, &file, output).await
}

async fn fetch(ports: &Ports, job: &JobId, file: &Path, output: &Output) -> Result<Exit, Problem> {
    let files = qsketch_ops::download(ports, job, file).await?;
    if output.is_json {
        let line = DownloadedLine { layout: JSON_LAYOUT, what: "downloaded", job: job.as_str(), files: &files };
        output.json_line(&line)?;
    } else {
        output.data(&files.iter().map(|file| format!("{}\n", file.path.display())).collect::<String>())?;
    }
    Ok(Exit::Done)
}

/// A file that can't be written is a mistake of the caller, as long as nothing was done.
fn writable(file: &Path) -> Result<(), Problem> {
    qsketch_ops::check_output(file).map_err(|error| Problem::Usage(error.line()))
}

async fn doctor(environment: &Environment, output: &Output) -> Result<Exit, Problem> {
    let deployment = async {
        match Settings::read(environment) {
            Ok(settings) => {
                let ports = qsketch_aws::connect(&settings, &qsketch_aws::sdk_config().await);
                let mut checks = vec![tools::settings(&settings, environment)];
                checks.extend(qsketch_ops::doctor(&ports).await);
                checks
            }
            Err(error) => vec![tools::no_settings(&error)],
        }
    };
    let (deployment, tools) = tokio::join!(deployment, tools::look(environment));
    let mut checks = vec![tools::this_command()];
    checks.extend(deployment);
    checks.extend(tools);
    let is_well = checks.iter().all(|check| check.state != State::Fail);
    if output.is_json {
        output.json(&ChecksDocument { layout: JSON_LAYOUT, is_well, checks: &checks })?;
    } else {
        output.data(&render::checks(&checks, output.paint))?;
    }
    Ok(if is_well { Exit::Done } else { Exit::Other })
}

fn from_stdin(output: &Output) -> Result<String, Problem> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        output.say("reading the prompt from standard input; Ctrl-D ends it");
    }
    let mut bytes = Vec::new();
    stdin
        .take(STDIN_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::Other(format!("standard input can't be read: {error}")))?;
    if bytes.len() as u64 > STDIN_BYTES_MAX {
        return Err(Problem::Usage(format!("the prompt on standard input has more than {STDIN_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Problem::Usage("the prompt on standard input is not UTF-8 text".to_owned()))
}
