//! Jobs as they stand in the table, for tests that ask about them.
#![allow(dead_code, reason = "each test binary uses its share")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::error::Error;

use qsketch_core::parts::{Attempt, Lease, Outcome, Progress, expires_at};
use qsketch_core::write::Footing;
use qsketch_core::{
    Closing, Done, ErrorText, Input, Job, JobId, Owner, Pipeline, Refusal, Task, TaskId, Tenant, Time, Verdict, Write,
};
use qsketch_ops::{Prepared, Wish, prepare};
use qsketch_runtime::attempt::key;
use qsketch_sim::{EPOCH, Sim};
use qsketch_video::TemplateProvider;
use qsketch_video::pipeline::Graphs;

pub type Tried<T = ()> = Result<T, Box<dyn Error>>;

/// A time of a test: milliseconds after the job was taken in.
pub const fn at(millis: u64) -> Time {
    Time(EPOCH.0 + millis)
}

/// A job under construction.
pub struct Scene {
    pub sim: Sim,
    pub pipeline: Pipeline,
    pub prepared: Prepared,
    pub job: Job,
    pub tasks: BTreeMap<TaskId, Task>,
}

impl Scene {
    /// A job that was just taken in.
    pub fn new(id: &str) -> Tried<Self> {
        Self::of(id, false)
    }

    /// A job that was just taken in and is to wait for its approval.
    pub fn approved(id: &str) -> Tried<Self> {
        Self::of(id, true)
    }

    fn of(id: &str, approve: bool) -> Tried<Self> {
        let sim = Sim::new(7);
        let prompt = "Explain the Pythagorean theorem".to_owned();
        let wish = Wish { prompt, id: Some(id.to_owned()), approve, ..Wish::default() };
        let prepared = prepare(&wish, &*sim.observer().clock)?;
        let pipeline = Graphs::new(Duration::from_secs(30))?.of(approve).clone();
        let job = Job::begun(JobId::try_from(id)?, Tenant::try_from("default")?, &pipeline, at(0));
        Ok(Self { sim, pipeline, prepared, job, tasks: BTreeMap::new() })
    }

    /// An attempt of a task began.
    pub fn began(mut self, task: &str, attempt: u32, started: u64) -> Tried<Self> {
        let entry = self.tasks.entry(task.parse()?).or_insert_with(|| fresh(self.job.expires_at));
        entry.attempt = attempt;
        entry.started_at = at(started);
        entry.not_before = None;
        entry.lease = Some(Lease { owner: Owner::try_from("w")?, until: at(started + 30_000) });
        Ok(self)
    }

    /// The newest attempt of a task told how far it is.
    pub fn told(mut self, task: &str, permille: u16, note: &str) -> Tried<Self> {
        let entry = self.tasks.get_mut(&task.parse()?).ok_or("no such task")?;
        entry.progress = Some(Progress { permille, note: note.to_owned() });
        Ok(self)
    }

    /// The newest attempt of a task ended without being recorded.
    pub fn ended(
        mut self,
        task: &str,
        ended: u64,
        outcome: Outcome,
        why: (&str, &str),
        next: Option<u64>,
    ) -> Tried<Self> {
        let entry = self.tasks.get_mut(&task.parse()?).ok_or("no such task")?;
        entry.attempts.push(Attempt {
            attempt: entry.attempt,
            closing: 0,
            started_at: entry.started_at,
            ended_at: at(ended),
            outcome,
            error_type: why.0.to_owned(),
            error: ErrorText::from(why.1),
            is_final: false,
        });
        entry.lease = None;
        entry.progress = None;
        entry.not_before = next.map(at);
        Ok(self)
    }

    /// The newest attempt of a task was recorded.
    pub fn done(mut self, task: &str, ended: u64, width: Option<u32>) -> Tried<Self> {
        let id: TaskId = task.parse()?;
        let entry = self.tasks.get_mut(&id).ok_or("no such task")?;
        entry.progress = None;
        self.job.done.insert(id, Done { attempt: entry.attempt, at: at(ended), width, payload: None });
        Ok(self)
    }

    /// One attempt of a task, from beginning to record.
    pub fn ran(self, task: &str, started: u64, ended: u64, width: Option<u32>) -> Tried<Self> {
        self.began(task, 1, started)?.done(task, ended, width)
    }

    /// The job closed.
    pub fn closed(
        mut self,
        verdict: Verdict,
        closed: u64,
        task: Option<&str>,
        why: Option<(&str, &str)>,
    ) -> Tried<Self> {
        let task = task.map(str::parse).transpose()?;
        self.job.status = verdict.status();
        let attempt = task.as_ref().and_then(|task| self.tasks.get(task)).map(|task| task.attempt);
        self.job.closings.push(Closing {
            verdict,
            at: at(closed),
            task,
            attempt,
            error_type: why.map(|why| why.0.to_owned()),
            error: why.map(|why| ErrorText::from(why.1)),
            result: self.job.result.clone(),
            refund: None,
        });
        Ok(self)
    }

    /// The video and what stands beside it are in the store, and are the job's result.
    pub async fn with_video(mut self, attempt: u32) -> Tried<Self> {
        let store = self.sim.observer().store;
        for (file, bytes) in [
            ("video.mp4", &b"the video"[..]),
            ("poster.png", b"the poster"),
            ("captions.vtt", b"WEBVTT"),
            ("transcript.txt", b"It is said."),
        ] {
            let key = key(self.job.job_id.as_str(), &"merge-upload".parse()?, attempt, file);
            store.put(&key, bytes.to_vec(), "application/octet-stream").await?;
            if file == "video.mp4" {
                self.job.result = Some(store.location(&key));
            }
        }
        Ok(self)
    }

    /// The script of the template is in the store.
    pub async fn with_script(self, attempt: u32) -> Tried<Self> {
        let request = qsketch_video::VideoRequest::parse(&self.prepared.body)?;
        let script = TemplateProvider.script(&request)?;
        let key = key(self.job.job_id.as_str(), &"generate-script".parse()?, attempt, "script.json");
        let store = self.sim.observer().store;
        store.put(&key, script.to_json().into_bytes(), "application/json").await?;
        Ok(self)
    }

    /// The log of an attempt is in the store.
    pub async fn with_log(self, task: &str, attempt: u32, text: &str) -> Tried<Self> {
        let key = key(self.job.job_id.as_str(), &task.parse()?, attempt, "log.txt");
        self.sim.observer().store.put(&key, text.as_bytes().to_vec(), "text/plain").await?;
        Ok(self)
    }

    /// Puts the job into the table.
    pub async fn stand(self) -> Tried<Sim> {
        let ports = self.sim.observer();
        ports.table.keep_pipeline(&self.pipeline).await?;
        let id = &self.job.job_id;
        if self.job.refusal.is_none() {
            let input = Input {
                layout: 1,
                job_id: id.clone(),
                content_hash: self.prepared.content_hash.clone(),
                submission: serde_json::from_str(&self.prepared.body)?,
                received_at: at(0),
                expires_at: expires_at(self.job.deadline),
            };
            ports.table.commit(id, &Write::CreateInput(Box::new(input))).await?;
        }
        for (task, part) in self.tasks {
            let write = Write::Task { task, footing: Footing::Absent, set: Box::new(part) };
            ports.table.commit(id, &write).await?;
        }
        ports.table.commit(id, &Write::CreateJob(Box::new(self.job.clone()))).await?;
        Ok(self.sim)
    }

    /// A job whose submission was refused.
    pub fn rejected(id: &str, reasons: &[&str], requested_id: Option<&str>) -> Tried<Self> {
        let mut scene = Self::new("unused")?;
        let refusal = Refusal {
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            requested_id: requested_id.map(str::to_owned),
        };
        scene.job = Job::rejected(JobId::try_from(id)?, Tenant::try_from("default")?, &scene.pipeline, refusal, at(0));
        Ok(scene)
    }
}

fn fresh(expires_at: u64) -> Task {
    Task::begun(0, 0, at(0), expires_at)
}

/// A job of three scenes: one render lost its worker and came back, all else went well.
pub fn with_a_lost_worker(id: &str) -> Tried<Scene> {
    let lost = ("Heartbeat", "no heartbeat for 30 s: its worker is gone or stuck");
    Scene::new(id)?
        .ran("generate-script", 120, 320, Some(3))?
        .began("render-manim#0", 1, 500)?
        .ended("render-manim#0", 30_600, Outcome::TimedOut, lost, None)?
        .began("render-manim#0", 2, 31_000)?
        .done("render-manim#0", 43_000, None)?
        .ran("render-manim#1", 510, 10_510, None)?
        .ran("render-manim#2", 10_600, 19_900, None)?
        .ran("generate-tts#0", 505, 1_705, None)?
        .ran("generate-tts#1", 515, 1_915, None)?
        .ran("generate-tts#2", 1_800, 2_900, None)?
        .ran("merge-upload", 43_100, 47_000, None)
}
