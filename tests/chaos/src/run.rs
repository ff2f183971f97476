//! One run: a schedule is carried out, then it is calm, and everything must come to rest.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use nix::sys::signal::Signal;
use qsketch_core::{Job, JobStatus, TaskId};

use crate::broken::Broken;
use crate::check::{self, Found, Off, SEES_OFF};
use crate::graph::{LEASE, TELL};
use crate::journal::Journal;
use crate::machine::{Memory, build_clock, keep_mounts_apart};
use crate::processes::{command, descendants, reap, signal};
use crate::proxy::Weather;
use crate::schedule::{Deed, Planned, Schedule};
use crate::slots::{SLOTS, Site, Slot};
use crate::stack::Deployment;
use crate::watch::Watch;
use crate::worker::RECONCILER;

/// The pause between two looks at what is due.
const LOOK: Duration = Duration::from_millis(50);

/// The pause between two looks at the jobs.
const JOBS_LOOK: Duration = Duration::from_secs(1);

/// After how long a customer submits a job again that is not there.
const SUBMIT_AGAIN: Duration = Duration::from_secs(10);

/// The longest that a worker stays away before it is started again.
const AWAY_MS_MAX: u64 = 1_500;

/// The longest wait for rest, from the end of the faults on: what was purged is sent again after minutes.
const REST_MAX: Duration = Duration::from_secs(1_200);

/// For how many looks at the jobs nothing may move, with all queues empty, until that counts as rest where nobody looks
/// after the jobs: work that has no message takes seconds.
const STILL_LOOKS: u32 = 20;

/// By how many milliseconds a clock is set off: what is allowed, and more.
const OFFS_MS: [i64; 6] = [-30_000, -3_000, -700, 700, 3_000, 30_000];

/// What to run.
pub struct Options {
    /// What the faults are drawn from.
    pub seed: u64,
    /// How many jobs.
    pub jobs: u32,
    /// For how long there are faults.
    pub span: Duration,
    /// Whether queues are purged.
    pub purges: bool,
    /// How the deployment is broken on purpose.
    pub broken: Option<Broken>,
    /// The worker's program.
    pub program: PathBuf,
    /// Where logs, journal and the machines' folders go.
    pub folder: PathBuf,
    /// Shows how far it is.
    pub bar: ProgressBar,
}

/// What a run showed.
pub struct Report {
    /// How often what was done.
    pub done: Vec<(String, u64)>,
    /// What is wrong.
    pub wrong: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// What a slot is about.
enum Doing {
    Work,
    /// Its disk is full until then.
    Full(Instant),
    /// Its clock is off until then, since that time; whether by more than it may be.
    Off {
        until: Instant,
        since: Instant,
        is_far: bool,
    },
    /// These processes stand still until then.
    Frozen(Vec<i32>, Instant),
    /// It was told to stop.
    Ending,
    /// It is started at that time.
    Away(Instant),
}

struct Run {
    options: Options,
    deployment: Deployment,
    slots: Vec<(Slot, Doing)>,
    weather: Arc<Weather>,
    watch: Arc<Watch>,
    done: BTreeMap<String, u64>,
    submitted: BTreeMap<String, Instant>,
    looked: Option<Instant>,
    jobs: BTreeMap<String, Job>,
    offs: Vec<Off>,
}

/// Carries out the schedule of a seed, and checks what is left.
///
/// # Errors
/// What the run itself needs does not work; what is wrong with the product stands in the report.
pub async fn run(options: Options) -> Result<Report> {
    nix::sys::prctl::set_child_subreaper(true)?;
    keep_mounts_apart();
    let began = Instant::now();
    let mut schedule = Schedule::drawn(options.seed, options.jobs, options.span);
    schedule.purges.retain(|_| options.purges);
    let mut run = Run::start(options).await?;
    run.faults(&schedule).await?;
    let is_at_rest = run.rest().await?;
    let left = run.stop().await?;
    let journal = Journal::read(&run.options.folder.join("journal"))?;
    let submitted: Vec<String> = run.submitted.keys().cloned().collect();
    let files = run.slots.iter().flat_map(|(slot, _)| slot.files()).collect();
    let seen = run.watch.seen();
    let found =
        Found { deployment: &run.deployment, submitted: &submitted, journal: &journal, seen: &seen, offs: &run.offs };
    let mut wrong = if is_at_rest { Vec::new() } else { vec![run.unrest()] };
    wrong.extend(check::check(&found).await?);
    wrong.extend(check::left(&left, files));
    let killed = run.slots.iter().filter_map(|(slot, _)| slot.memory.as_ref()).map(Memory::killed).sum();
    let mut done: Vec<(String, u64)> = run.done.into_iter().collect();
    done.push(("tools killed by the kernel for their memory".to_owned(), killed));
    done.extend(run.weather.counts());
    done.push(("attempts".to_owned(), journal.begun.len() as u64));
    done.push(("records".to_owned(), seen.records.len() as u64));
    Ok(Report { done, wrong, took: began.elapsed() })
}

impl Run {
    async fn start(options: Options) -> Result<Self> {
        let deployment = Deployment::start(options.folder.clone(), LEASE).await?;
        let (weather, watch) = (Arc::<Weather>::default(), Arc::<Watch>::default());
        let site = Site {
            program: options.program.clone(),
            folder: options.folder.clone(),
            broken: options.broken,
            weather: Arc::clone(&weather),
            watch: Arc::clone(&watch),
            seed: options.seed,
            clock: build_clock(&options.folder)?,
            is_apart: true,
        };
        std::fs::create_dir_all(site.journal())?;
        let is_without = options.broken.is_some_and(Broken::is_without_reconciler);
        let services = SLOTS.iter().flat_map(|(service, count)| vec![*service; *count]);
        let mut slots = Vec::new();
        for (number, service) in services.enumerate() {
            let mut slot = Slot::new(&deployment, &site, number, service).await?;
            if !(service == RECONCILER && is_without) {
                slot.start()?;
                slots.push((slot, Doing::Work));
            }
        }
        let (done, submitted, jobs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { options, deployment, slots, weather, watch, done, submitted, looked: None, jobs, offs: Vec::new() })
    }

    fn count(&mut self, what: &str) {
        *self.done.entry(what.to_owned()).or_default() += 1;
    }

    async fn faults(&mut self, schedule: &Schedule) -> Result<()> {
        let began = Instant::now();
        self.weather.turn_bad();
        let (mut faults, mut purges) = (schedule.faults.iter().peekable(), schedule.purges.iter().peekable());
        let mut submissions = schedule.submissions.iter().peekable();
        while began.elapsed() < self.options.span || submissions.peek().is_some() {
            let now = began.elapsed();
            while let Some(submission) = submissions.next_if(|submission| submission.at <= now) {
                let times = if submission.is_twice { 2 } else { 1 };
                self.deployment.submit(&vec![submission.id.clone(); times]).await?;
                self.submitted.insert(submission.id.clone(), Instant::now());
            }
            while purges.next_if(|at| **at <= now).is_some() {
                self.deployment.purge().await?;
                self.count("all queues purged");
            }
            while let Some(fault) = faults.next_if(|fault| fault.at <= now) {
                self.act(fault).await?;
            }
            self.turn("faults").await?;
        }
        Ok(())
    }

    /// Does what is planned to the slot, or the next one that is whole.
    async fn act(&mut self, fault: &Planned) -> Result<()> {
        let count = self.slots.len();
        let whole = (0..count).map(|at| (fault.slot + at) % count).find(|at| {
            let (slot, doing) = &mut self.slots[*at];
            matches!(doing, Doing::Work) && slot.is_running()
        });
        let Some(at) = whole else { return Ok(()) };
        let until = Instant::now() + fault.lasts;
        let away = || Doing::Away(Instant::now() + Duration::from_millis(fault.draw % AWAY_MS_MAX));
        let (slot, doing) = &mut self.slots[at];
        let Some(parent) = slot.parent() else { return Ok(()) };
        let child = slot.child().unwrap_or(parent);
        match fault.deed {
            Deed::KillChild => signal(child, Signal::SIGKILL),
            Deed::KillParent => signal(parent, Signal::SIGKILL),
            Deed::LoseMachine => {
                slot.lose().await?;
                *doing = away();
            }
            Deed::StopChild => {
                signal(child, Signal::SIGSTOP);
                *doing = Doing::Frozen(vec![child], until);
            }
            Deed::StopParent => {
                signal(parent, Signal::SIGSTOP);
                *doing = Doing::Frozen(vec![parent], until);
            }
            Deed::StopMachine => *doing = Doing::Frozen(slot.freeze(), until),
            Deed::Terminate => {
                signal(parent, Signal::SIGTERM);
                *doing = Doing::Ending;
            }
            Deed::FillDisk => {
                let Some(disk) = &slot.disk else { return Ok(()) };
                disk.fill();
                *doing = Doing::Full(until);
            }
            Deed::SetClock => {
                let off = OFFS_MS[usize::try_from(fault.draw % OFFS_MS.len() as u64).unwrap_or_default()];
                if !slot.set_clock(off)? {
                    return Ok(());
                }
                let is_far = off.abs() > 1_000;
                *doing = Doing::Off { until: until + SEES_OFF, since: Instant::now(), is_far };
            }
        }
        self.count(fault.deed.name());
        Ok(())
    }

    /// What has to be done all the time.
    async fn turn(&mut self, phase: &str) -> Result<()> {
        let now = Instant::now();
        for (slot, doing) in &mut self.slots {
            match doing {
                Doing::Frozen(pids, until) if now >= *until => {
                    pids.iter().for_each(|pid| signal(*pid, Signal::SIGCONT));
                    *doing = Doing::Work;
                }
                Doing::Full(until) if now >= *until => {
                    if let Some(disk) = &slot.disk {
                        disk.empty();
                    }
                    *doing = Doing::Work;
                }
                Doing::Off { until, since, is_far } if now >= *until => {
                    slot.set_clock(0)?;
                    if *is_far {
                        self.offs.push(Off { slot: slot.number, from: *since, to: now });
                    }
                    *doing = Doing::Work;
                }
                Doing::Away(until) if now >= *until => {
                    slot.start()?;
                    *doing = Doing::Work;
                }
                Doing::Work | Doing::Ending if !slot.is_running() => *doing = Doing::Away(now),
                _ => {}
            }
        }
        let known: Vec<i32> = self.slots.iter().filter_map(|(slot, _)| slot.parent()).collect();
        reap(&known);
        if self.looked.is_none_or(|looked| looked.elapsed() >= JOBS_LOOK) {
            self.look(phase).await?;
        }
        tokio::time::sleep(LOOK).await;
        Ok(())
    }

    /// Looks at the jobs that were not yet seen closed, and submits again what is not there.
    async fn look(&mut self, phase: &str) -> Result<()> {
        let open: Vec<String> =
            self.submitted.keys().filter(|id| !self.jobs.get(*id).is_some_and(is_told)).cloned().collect();
        for job in self.deployment.jobs(&open).await? {
            self.jobs.insert(job.job_id.to_string(), job);
        }
        let missing: Vec<String> = self
            .submitted
            .iter()
            .filter(|(id, at)| at.elapsed() >= SUBMIT_AGAIN && !self.jobs.contains_key(*id))
            .map(|(id, _)| id.clone())
            .collect();
        if !missing.is_empty() {
            self.deployment.submit(&missing).await?;
            for id in missing {
                self.submitted.insert(id, Instant::now());
                self.count("submitted again");
            }
        }
        self.looked = Some(Instant::now());
        let told = self.jobs.values().filter(|job| is_told(job)).count() as u64;
        let done: u64 = self.done.values().sum();
        self.options.bar.set_position(told);
        self.options.bar.set_message(format!("{phase}, {done} so far"));
        Ok(())
    }

    /// Waits until every job is closed and told, and every queue is empty; whether it came to that.
    async fn rest(&mut self) -> Result<bool> {
        self.weather.turn_fine();
        let began = Instant::now();
        let (mut still, mut before) = (0, None);
        let has_reconciler = !self.options.broken.is_some_and(Broken::is_without_reconciler);
        while began.elapsed() < REST_MAX {
            let looked = self.looked;
            self.turn("it is calm").await?;
            if looked == self.looked {
                continue;
            }
            let depths = self.deployment.depths().await?;
            // What is in the dead letters stays there, and is looked at by the check.
            let is_empty = depths
                .iter()
                .filter(|(queue, _)| !queue.as_str().ends_with("-dead"))
                .all(|(_, depth)| depth.visible + depth.in_flight == 0);
            let are_told = self.submitted.keys().all(|id| self.jobs.get(id).is_some_and(is_told));
            if is_empty && are_told {
                return Ok(true);
            }
            let now: Vec<(String, JobStatus, usize)> =
                self.jobs.values().map(|job| (job.job_id.to_string(), job.status, job.done.len())).collect();
            let is_still = is_empty && before.as_ref() == Some(&now);
            (still, before) = (if is_still { still + 1 } else { 0 }, Some(now));
            if !has_reconciler && still >= STILL_LOOKS {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn unrest(&self) -> String {
        let open = self.submitted.keys().filter(|id| !self.jobs.get(*id).is_some_and(is_told));
        let open: Vec<&str> = open.map(String::as_str).take(8).collect();
        format!(
            "it did not come to rest: {} of {} jobs are not told, or a queue is not empty; {open:?}",
            open.len(),
            self.submitted.len()
        )
    }

    /// Tells every worker to stop; the processes that are left then, as they were started.
    async fn stop(&mut self) -> Result<Vec<String>> {
        for (slot, _) in &self.slots {
            slot.tree().iter().for_each(|pid| signal(*pid, Signal::SIGCONT));
            if let Some(parent) = slot.parent() {
                signal(parent, Signal::SIGTERM);
            }
        }
        for (slot, _) in &mut self.slots {
            tokio::time::timeout(REST_MAX, slot.gone()).await.context("a worker does not stop")?;
        }
        reap(&[]);
        let mut stack: Vec<i32> = self.deployment.pids().into_iter().filter_map(|pid| pid.try_into().ok()).collect();
        let of_stack: Vec<i32> = stack.iter().flat_map(|pid| descendants(*pid)).collect();
        stack.extend(of_stack);
        let own = i32::try_from(std::process::id())?;
        let left: Vec<i32> = descendants(own).into_iter().filter(|pid| !stack.contains(pid)).collect();
        let told = left.iter().map(|pid| command(*pid)).collect();
        left.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
        Ok(told)
    }
}

/// Whether a job is closed, and its closing told.
fn is_told(job: &Job) -> bool {
    let Ok(tell) = qsketch_core::StepName::try_from(TELL) else { return false };
    job.status != JobStatus::Running && job.done.contains_key(&TaskId::closing(tell, job.closing))
}
