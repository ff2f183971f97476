//! A job at one of its tasks, as the tests of `decide` begin with it.

use super::*;

pub(super) fn pipeline() -> Tried<Pipeline> {
    Ok(Pipeline::builder("p")
        .step(StepSpec::new("a"))
        .step(StepSpec::new("b").over("a"))
        .step(StepSpec::new("c").after(["b"]))
        .finalizer(StepSpec::new("z"))
        .build()?)
}

pub(super) struct Scene {
    pub(super) pipeline: Pipeline,
    pub(super) job: Job,
    pub(super) task: Option<Task>,
    pub(super) shard: Option<Shard>,
    pub(super) id: TaskId,
}

impl Scene {
    /// A running job at `id`, its inputs recorded.
    pub(super) fn at(id: &str) -> Tried<Self> {
        let pipeline = pipeline()?;
        let mut job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, NOW);
        let id: TaskId = id.parse()?;
        let done = |width| Done { attempt: 1, at: NOW, width, payload: None };
        if id.step().as_str() != "a" {
            job.done.insert("a".parse()?, done(Some(2)));
        }
        if id.step().as_str() == "c" || id.step().as_str() == "z" {
            job.done.insert("b#0".parse()?, done(None));
            job.done.insert("b#1".parse()?, done(None));
        }
        Ok(Self { pipeline, job, task: None, shard: None, id })
    }

    pub(super) fn closed(mut self, verdict: Verdict) -> Self {
        self.job.status = verdict.status();
        self.job.closings.push(Closing {
            verdict,
            at: NOW,
            task: None,
            attempt: None,
            error_type: None,
            error: None,
            result: None,
            refund: None,
        });
        self
    }

    /// The job failed because the last attempt at the task panicked.
    pub(super) fn panicked(self) -> Tried<Self> {
        let mut scene = self.closed(Verdict::Failed);
        let id = scene.id.clone();
        let entry = scene.job.closings.last_mut().ok_or("not closed")?;
        (entry.task, entry.attempt) = (Some(id), Some(1));
        (entry.error_type, entry.error) = (Some(crate::failure::PANIC.to_owned()), Some(ErrorText::from("it broke")));
        Ok(scene)
    }

    /// The whole job is paused.
    pub(super) fn paused(mut self) -> Self {
        self.job.paused = Some(Pause { changes: 1, since: Some(NOW), ..Pause::default() });
        self
    }

    /// Between `a` and `b` stands a wait, `w`, which is not recorded.
    pub(super) fn with_wait(mut self) -> Tried<Self> {
        self.pipeline = Pipeline::builder("p")
            .step(StepSpec::new("a"))
            .step(StepSpec::new("w").after(["a"]).wait(Wait::signal("go")))
            .step(StepSpec::new("b").over("a").after(["w"]))
            .step(StepSpec::new("c").after(["b"]))
            .finalizer(StepSpec::new("z"))
            .build()?;
        self.job.pipeline_hash = self.pipeline.hash().clone();
        Ok(self)
    }

    /// The job closed and was opened again after the task was written.
    pub(super) fn redriven(self) -> Self {
        let mut scene = self.closed(Verdict::Failed);
        scene.job.status = JobStatus::Running;
        (scene.job.closing, scene.job.reopened_at) = (1, Some(NOW));
        scene
    }

    pub(super) fn held_by(mut self, owner: &str, attempt: u32) -> Tried<Self> {
        self.task = Some(Task {
            lease: Some(Lease { owner: Owner::try_from(owner)?, until: NOW.plus(Duration::from_secs(30)) }),
            charged: attempt - 1,
            ..Task::begun(attempt, self.job.closing, NOW, 0)
        });
        Ok(self)
    }

    /// The attempt that was held has died with its worker, like others before it.
    pub(super) fn crashed(mut self, crashes: u32) -> Tried<Self> {
        let task = self.task.as_mut().ok_or("no task")?;
        (task.lease, task.charged, task.crashed) = (None, 0, crashes);
        Ok(self)
    }

    /// The job counts among its tenant's jobs that run.
    pub(super) fn capped(mut self) -> Self {
        self.job.is_capped = true;
        self
    }

    pub(super) fn drive(&self) -> Tried<Drive> {
        Ok(Drive::new(Message::to(&self.pipeline, &self.job, self.id.clone()), Owner::try_from("me")?))
    }

    /// A drive that knows job and task, as after a load.
    pub(super) fn knowing(&self) -> Tried<Drive> {
        let mut drive = self.drive()?;
        drive.job = Some(Box::new(self.job.clone()));
        drive.task = self.task.clone().map(Box::new);
        Ok(drive)
    }

    pub(super) fn loaded(&self, now: Time) -> Tried<Step> {
        let event = Event::Loaded {
            job: Some(Box::new(self.job.clone())),
            task: self.task.clone().map(Box::new),
            shard: self.shard.clone().map(Box::new),
        };
        Ok(decide(&self.pipeline, &mut self.drive()?, event, now))
    }

    /// Carries `step`'s write out on the scene and answers it.
    pub(super) fn commit(&mut self, drive: &mut Drive, step: Step, now: Time) -> Tried<Step> {
        let write = match step {
            Step::Commit(write) => write,
            other => return Err(format!("no write: {other:?}").into()),
        };
        let current = match &write {
            Write::Task { .. } => self.task.clone().map(|task| Part::Task(Box::new(task))),
            Write::RecordElement { .. } | Write::Bury { .. } => {
                self.shard.clone().map(|shard| Part::Shard(Box::new(shard)))
            }
            _ => Some(Part::Job(Box::new(self.job.clone()))),
        };
        let commit = match apply(&write, current.as_ref()) {
            Some(part) => {
                match &part {
                    Part::Task(task) => self.task = Some((**task).clone()),
                    Part::Job(job) => self.job = (**job).clone(),
                    Part::Shard(shard) => self.shard = Some((**shard).clone()),
                    Part::Input(_) => {}
                }
                Commit::Written(part)
            }
            None => Commit::Overtaken(current),
        };
        Ok(decide(&self.pipeline, drive, Event::Committed(commit), now))
    }
}

pub(super) fn sent(step: &Step) -> Vec<String> {
    let Step::Settle(acts) = step else { return vec![format!("{step:?}")] };
    acts.iter()
        .map(|act| match act {
            Act::Send(messages) => messages.iter().map(|m| m.task.to_string()).collect::<Vec<_>>().join("+"),
            Act::Vacate => "vacate".to_owned(),
            Act::Acknowledge => "ack".to_owned(),
            Act::Hide(until) => format!("hide {}", until.since(NOW).as_millis()),
            Act::GiveBack => "give back".to_owned(),
            Act::LetGo => "let go".to_owned(),
            Act::DeadLetter(reason) => format!("dead: {reason}"),
        })
        .collect()
}

/// How a step looks in the table.
pub(super) fn short(step: &Step) -> String {
    match step {
        Step::ClaimBesideLoad(_) => "claim beside load".to_owned(),
        Step::Load => "load".to_owned(),
        Step::LoadJob => "load job".to_owned(),
        Step::Work { attempt, .. } => format!("work {attempt}"),
        Step::Commit(Write::Close { entry, .. }) => format!("close {:?}", entry.verdict),
        Step::Commit(write) => write.kind().to_owned(),
        Step::BeAlone => "be alone".to_owned(),
        Step::Settle(_) => sent(step).join(", "),
    }
}
