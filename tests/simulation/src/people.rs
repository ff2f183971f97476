//! Who is not a worker: customers who submit, operators, and the reconciler that takes its turn.

use core::time::Duration;

use qsketch_core::{JobId, JobStatus, StepName, TaskId, Write, route};
use qsketch_ops::OpsError;
use qsketch_ops::submit::{Wish, prepare};
use qsketch_runtime::ports::Outgoing;
use qsketch_runtime::reconcile::{Mode, PERIOD, reconcile};
use qsketch_runtime::{Ports, QueueName};
use tokio::time::sleep;

use crate::broken::Broken;
use crate::gallery::SIGNAL;
use crate::schedule::{Act, Deed, Submission};
use crate::world::World;

/// How often a customer sends a submission that fails, before giving up: the faults cease before.
const SUBMITS_MAX: u32 = 200;

/// The pause between two tries.
const SUBMIT_PAUSE: Duration = Duration::from_secs(3);

/// How often an operator looks whether a job has closed that is to be redriven, and how many times.
const REDRIVE_LOOKS: (Duration, u32) = (Duration::from_secs(10), 60);

/// How often a patient operator repeats a command, and looks for a job that is to come; the pause between two tries.
const REPEATS_MAX: u32 = 60;
const LOOKS_FOR_JOB: u32 = 60;
const REPEAT_PAUSE: Duration = Duration::from_secs(2);

/// What a submission asks for.
fn prompt(submission: &Submission) -> String {
    format!("Explain lesson {}", submission.number)
}

/// The id that a submission names.
pub(crate) fn id_of(submission: &Submission) -> String {
    format!("job-{}", submission.number)
}

/// Submits as the command does, until it works; once more later, where the customer does that.
pub(crate) async fn submit(world: World, submission: Submission) {
    sleep(submission.at).await;
    submit_once(&world, &submission).await;
    if let Some(again_at) = submission.again_at {
        sleep(again_at - submission.at).await;
        world.happened("submitted-again", None, format!("{} is submitted again", id_of(&submission)));
        submit_once(&world, &submission).await;
    }
}

async fn submit_once(world: &World, submission: &Submission) {
    let wish = Wish { prompt: prompt(submission), id: Some(id_of(submission)), ..Wish::default() };
    for turn in 0..SUBMITS_MAX {
        let (process, ports) = world.process(&format!("customer-{}.{turn}", submission.number));
        let sent = tokio::select! {
            biased;
            sent = send(&ports, submission, &wish) => sent.is_ok(),
            () = process.crashed() => false,
        };
        if sent {
            return;
        }
        sleep(SUBMIT_PAUSE).await;
    }
}

async fn send(ports: &Ports, submission: &Submission, wish: &Wish) -> Result<(), OpsError> {
    if submission.is_named {
        let prepared = prepare(wish, &*ports.clock)?;
        return qsketch_ops::submit(ports, &prepared).await.map(drop);
    }
    let body = serde_json::json!({ "prompt": wish.prompt }).to_string();
    let queue = QueueName::new(qsketch_ops::submit::INTAKE_QUEUE);
    for answer in ports.queues.send(&queue, &[Outgoing::new(body)]).await? {
        answer?;
    }
    Ok(())
}

/// The reconciler, whose turn comes every period; one that dies is followed at the next.
pub(crate) async fn reconciler(world: World) {
    for turn in 0.. {
        sleep(PERIOD).await;
        let (process, ports) = world.process(&format!("reconciler.{turn}"));
        let ports = match world.broken {
            Some(broken) => broken.of_reconciler(ports),
            None => ports,
        };
        let swept = tokio::select! {
            biased;
            swept = reconcile(&ports, Mode::Mend) => swept.ok(),
            () = process.crashed() => None,
        };
        for deed in swept.into_iter().flat_map(|swept| swept.deeds) {
            world.happened("mended", Some(&deed.job), deed.what);
        }
    }
}

/// An operator who does one thing at its time.
pub(crate) async fn operator(world: World, number: usize, act: Act) {
    sleep(act.at).await;
    if let Deed::Purge(step) = act.what {
        let queues = world.queues();
        let queues = step.map_or_else(|| queues.clone(), |step| vec![queues[step % queues.len()].clone()]);
        queues.iter().for_each(|queue| world.sim.purge(queue));
        world.happened("purge", None, format!("{} queues are purged", queues.len()));
        return;
    }
    for _ in 0..LOOKS_FOR_JOB {
        if !world.schedule.is_patient || !world.sim.jobs().is_empty() {
            break;
        }
        sleep(REPEAT_PAUSE).await;
    }
    let jobs = world.sim.jobs();
    let Some(job) = jobs.get(act.job % jobs.len().max(1)).cloned() else { return };
    if matches!(act.what, Deed::Redrive(_)) {
        for _ in 0..REDRIVE_LOOKS.1 {
            if status(&world, &job).is_closed() {
                break;
            }
            sleep(REDRIVE_LOOKS.0).await;
        }
    }
    command_once(&world, number, &act, &job).await;
    for _ in 0..REPEATS_MAX {
        if !world.schedule.is_patient || is_so(&world, &job, act.what) {
            return;
        }
        sleep(REPEAT_PAUSE).await;
        command_once(&world, number, &act, &job).await;
    }
}

/// Whether what an operator asks for is so.
fn is_so(world: &World, id: &JobId, deed: Deed) -> bool {
    let Some(job) = world.sim.parts(id).job else { return false };
    let is_paused = job.paused.as_ref().is_some_and(|pause| !pause.is_over());
    match deed {
        Deed::Cancel => job.status.is_closed(),
        Deed::Pause(_) => is_paused || job.status.is_closed(),
        Deed::Resume => !is_paused,
        Deed::Redrive(_) => job.closing > 0,
        Deed::Signal => {
            world.sim.commits().iter().any(|commit| commit.job == *id && is_wait_record(world, &commit.write))
        }
        Deed::Purge(_) => true,
    }
}

async fn command_once(world: &World, number: usize, act: &Act, job: &JobId) {
    let (process, ports) = world.process(&format!("operator-{number}"));
    let ports = match world.broken {
        Some(broken) => broken.of_operator(ports),
        None => ports,
    };
    tokio::select! {
        biased;
        () = command(world, &ports, job, act.what) => {}
        () = process.crashed() => world.happened("operator-died", Some(job), format!("an operator died over {:?}", act.what)),
    }
}

async fn command(world: &World, ports: &Ports, job: &JobId, deed: Deed) {
    let step = |number: usize| {
        let steps = world.pipeline.steps();
        steps[number % steps.len()].name.clone()
    };
    let (kind, done): (_, Result<(), OpsError>) = match deed {
        Deed::Cancel => ("cancel", qsketch_ops::cancel(ports, job, "it is not needed").await.map(drop)),
        Deed::Pause(number) => {
            let step: Option<StepName> = number.map(step);
            ("pause", qsketch_ops::pause(ports, job, step.as_ref()).await.map(drop))
        }
        Deed::Resume => ("resume", qsketch_ops::resume(ports, job, None).await.map(drop)),
        Deed::Redrive(number) => {
            let step = number.map(step);
            world.happened("redrive-asked", Some(job), redrive_words(step.as_ref()));
            ("redrive", qsketch_ops::redrive(ports, job, step.as_ref()).await.map(drop))
        }
        Deed::Signal => return signal(world, ports, job).await,
        Deed::Purge(_) => return,
    };
    match done {
        Ok(()) => world.happened(kind, Some(job), format!("{deed:?} is done")),
        Err(error) => world.happened("refused", Some(job), format!("{deed:?}: {}", error.line())),
    }
}

/// The words by which a redrive's step is found again in the events.
pub(crate) fn redrive_words(step: Option<&StepName>) -> String {
    step.map_or_else(|| "redrive".to_owned(), |step| format!("redrive from {step}"))
}

async fn signal(world: &World, ports: &Ports, job: &JobId) {
    if world.broken == Some(Broken::SignalWhenWaitingOnly) && !is_waiting(world, job) {
        return accepted(world, job);
    }
    match qsketch_ops::signal(ports, job, SIGNAL, Some("{\"by\":\"operator\"}")).await {
        Ok(_) => accepted(world, job),
        Err(error) => world.happened("refused", Some(job), format!("signal: {}", error.line())),
    }
}

fn accepted(world: &World, job: &JobId) {
    world.happened("signal", Some(job), "a signal was accepted".to_owned());
}

/// Whether a wait of this job has begun and is not over.
pub(crate) fn is_waiting(world: &World, job: &JobId) -> bool {
    let Some(job) = world.sim.parts(job).job else { return false };
    let open = |name: &StepName| !job.done.contains_key(&TaskId::only(name.clone()));
    job.status == JobStatus::Running
        && world.pipeline.waits().any(|(step, wait)| {
            wait.signal.is_some() && open(&step.name) && route::is_ready(&world.pipeline, step, &job)
        })
}

/// Whether a write is a wait's record.
pub(crate) fn is_wait_record(world: &World, write: &Write) -> bool {
    let Write::Record { task, .. } = write else { return false };
    world.pipeline.step(task.step()).is_some_and(|step| step.wait.is_some())
}

fn status(world: &World, job: &JobId) -> JobStatus {
    world.sim.parts(job).job.map_or(JobStatus::Running, |job| job.status)
}

/// Whoever looks after what stands still by an operator's own will, once the faults have ceased: resumes and signals.
pub(crate) async fn tidy(world: &World) {
    let (_, ports) = world.process("operator-last");
    for job in world.sim.jobs() {
        let Some(is_paused) = world.sim.parts(&job).job.map(|job| job.paused.is_some_and(|pause| !pause.is_over()))
        else {
            continue;
        };
        if status(world, &job) == JobStatus::Running && is_paused {
            command(world, &ports, &job, Deed::Resume).await;
        }
        if is_waiting(world, &job) {
            signal(world, &ports, &job).await;
        }
    }
}
