//! Goes through all writes that took effect, in their order, with a book of its own: each must be one that the invariants
//! allow. It shares the shape of the graph with the product, and none of the product's conditions.

use std::collections::{BTreeMap, BTreeSet};

use qsketch_core::ids::Which;
use qsketch_core::parts::Closing;
use qsketch_core::route::{self, Also};
use qsketch_core::{
    Done, Footing, Job, JobId, JobStatus, Pipeline, Shard, ShardId, StepName, Task, TaskId, Verdict, Write,
};
use qsketch_sim::Committed;

use crate::check::{Violation, violation};
use crate::gallery::FINALIZER;

/// From which write on a task was recorded, and up to which; the later one is a redrive that forgot it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// What one job's writes made of it.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) job: Option<Job>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) shards: BTreeMap<ShardId, Shard>,
    /// Every record of each task.
    pub(crate) records: BTreeMap<TaskId, Vec<Standing>>,
    /// The write that claimed each attempt.
    pub(crate) claims: BTreeMap<(TaskId, u32), usize>,
    /// The write of each closing.
    pub(crate) closed: Vec<usize>,
    /// The closings whose finalizer was recorded.
    pub(crate) notified: BTreeSet<u32>,
}

/// What the referee knows beside the writes.
pub(crate) struct Rules<'a> {
    pub(crate) pipeline: &'a Pipeline,
    /// The step from which an operator's process redrove, by the process's name; none where it named no step.
    pub(crate) redriven_from: &'a BTreeMap<String, Option<StepName>>,
}

/// Goes through all writes: a book for each job, and what was wrong.
pub(crate) fn judge(rules: &Rules<'_>, commits: &[Committed]) -> (BTreeMap<JobId, Book>, Vec<Violation>) {
    let mut books: BTreeMap<JobId, Book> = BTreeMap::new();
    let mut found = Vec::new();
    for (number, commit) in commits.iter().enumerate() {
        let mut say = |invariant: u8, what: String| {
            let what = format!("{what} (write {number}, by {})", commit.process);
            found.push(violation(invariant, Some(&commit.job), what));
        };
        books.entry(commit.job.clone()).or_default().write(rules, number, commit, &mut say);
    }
    (books, found)
}

impl Book {
    fn write(&mut self, rules: &Rules<'_>, number: usize, commit: &Committed, say: &mut impl FnMut(u8, String)) {
        match &commit.write {
            Write::CreateInput(_) => {}
            Write::CreateJob(job) => match &self.job {
                Some(_) => say(9, "the job is made again".to_owned()),
                None => self.job = Some((**job).clone()),
            },
            Write::Task { task, footing, set } => self.task(rules, number, commit, (task, footing, set), say),
            write => {
                let Some(mut job) = self.job.take() else {
                    return say(9, format!("{} of a job that was never made", write.kind()));
                };
                self.part_of_job(rules, number, commit, &mut job, say);
                self.job = Some(job);
            }
        }
    }

    fn task(
        &mut self,
        rules: &Rules<'_>,
        number: usize,
        commit: &Committed,
        (id, footing, set): (&TaskId, &Footing, &Task),
        say: &mut impl FnMut(u8, String),
    ) {
        let before = self.tasks.get(id);
        let holder = before.and_then(|task| task.lease.as_ref());
        let (attempt, seen) = (set.attempt, before.map_or(0, |task| task.attempt));
        let is_finalizer = id.step().as_str() == FINALIZER;
        let step = rules.pipeline.step(id.step());
        let most = step.map_or(0, |step| step.retry.maximum_attempts);
        if attempt < seen {
            say(6, format!("the attempts of {id} go back from {seen} to {attempt}"));
        }
        let is_held = before.is_some_and(|task| task.closing >= set.closing)
            && holder.is_some_and(|lease| lease.until > commit.at);
        match footing {
            Footing::Mine { owner, .. } if holder.is_none_or(|lease| lease.owner != *owner) || attempt != seen => {
                say(4, format!("attempt {attempt} of {id} writes, which has lost its task"));
            }
            Footing::Absent | Footing::Seen { .. } if is_held => {
                say(4, format!("{id} is taken from attempt {seen}, whose lease has not lapsed"));
            }
            _ => {}
        }
        if commit.write.is_claim() {
            // The first attempt at an unclaimed step leaves no trace.
            let is_unclaimed = step.is_some_and(|step| step.is_unclaimed);
            if attempt != seen + 1 && !(is_unclaimed && before.is_none() && attempt == 2) {
                say(6, format!("attempt {attempt} of {id} follows attempt {seen}"));
            }
            if set.charged >= most {
                say(6, format!("attempt {attempt} of {id} begins, {} of {most} were charged", set.charged));
            }
            if let Some(job) = self.job.as_ref().filter(|job| !is_finalizer && set.started_at > job.deadline) {
                say(6, format!("attempt {attempt} of {id} begins after the job's deadline {}", job.deadline));
            }
            self.claims.entry((id.clone(), attempt)).or_insert(number);
        }
        if set.charged > most {
            say(6, format!("{} attempts of {id} are charged, {most} are allowed", set.charged));
        }
        let is_forgiven = before.is_some_and(|task| task.closing == set.closing && task.charged > set.charged);
        if is_forgiven && !is_finalizer {
            say(6, format!("a charged attempt of {id} is forgotten"));
        }
        self.tasks.insert(id.clone(), set.clone());
    }

    fn part_of_job(
        &mut self,
        rules: &Rules<'_>,
        number: usize,
        commit: &Committed,
        job: &mut Job,
        say: &mut impl FnMut(u8, String),
    ) {
        match &commit.write {
            Write::Record { task, closing, done, result, close } => {
                if job.status != JobStatus::Running {
                    say(7, format!("{task} is recorded on a job that is {}", job.status.as_str()));
                }
                if *closing != job.closing {
                    say(4, format!("{task} is recorded for closing {closing}, the job is at {}", job.closing));
                }
                if let Some(there) = job.done.insert(task.clone(), done.clone()) {
                    say(1, format!("{task} is recorded again, attempt {} over {}", done.attempt, there.attempt));
                }
                if result.is_some() {
                    job.result.clone_from(result);
                }
                self.recorded(rules, number, task, done, say);
                self.closing(rules, number, job, close.as_deref(), commit, say);
            }
            Write::RecordFinal { task, closing, done } => {
                if job.status == JobStatus::Running || *closing != job.closing || job.done.contains_key(task) {
                    say(7, format!("{task} is recorded, the job is {} at {}", job.status.as_str(), job.closing));
                }
                job.done.insert(task.clone(), done.clone());
                job.check_at = None;
                self.notified.insert(*closing);
                self.recorded(rules, number, task, done, say);
            }
            Write::RecordElement { shard, element, closing, done, expires_at } => {
                let task = TaskId::element(shard.step().clone(), *element);
                let part = self.shards.entry(shard.clone()).or_insert_with(|| Shard::new(1, *expires_at));
                if part.closed.get(element).is_some_and(|buried| buried >= closing) {
                    say(1, format!("{task} is recorded over its tombstone"));
                }
                if part.done.insert(*element, done.clone()).is_some() {
                    say(1, format!("{task} is recorded again in {shard}"));
                }
                let is_read = job.generation(shard.step()) == shard.generation() && job.status == JobStatus::Running;
                if is_read {
                    self.recorded(rules, number, &task, done, say);
                }
            }
            Write::Bury { shard, element, closing, expires_at } => {
                let part = self.shards.entry(shard.clone()).or_insert_with(|| Shard::new(1, *expires_at));
                if part.done.contains_key(element) {
                    say(1, format!("{}#{element} is recorded and buried", shard.step()));
                }
                part.closed.insert(*element, *closing);
            }
            Write::Fold { shard, closing, at, close } => {
                if job.status != JobStatus::Running || *closing != job.closing {
                    say(7, format!("{shard} is folded, the job is {} at {}", job.status.as_str(), job.closing));
                }
                let step = rules.pipeline.step(shard.step());
                let span =
                    step.and_then(|step| route::spans_of(rules.pipeline, step, job).find(|span| span.shard == *shard));
                let is_full = span.zip(self.shards.get(shard)).is_some_and(|(span, part)| span.is_full(part));
                if !is_full || job.folded.insert(shard.clone(), *at).is_some() {
                    say(1, format!("{shard} is folded, not full or again"));
                }
                self.closing(rules, number, job, close.as_ref(), commit, say);
            }
            Write::Close { closing, entry } => {
                if *closing != job.closing {
                    say(7, format!("closing {closing} of a job that is at {}", job.closing));
                }
                self.closing(rules, number, job, Some(entry), commit, say);
            }
            Write::Reopen { set, .. } => {
                self.reopen(rules, number, commit, job, say);
                job.status = JobStatus::Running;
                job.closing += 1;
                (job.done, job.folded) = (set.done.clone(), set.folded.clone());
                job.generations.clone_from(&set.generations);
                (job.deadline, job.reopened_at, job.paused) = (set.deadline, Some(set.at), None);
            }
            Write::Issue { closing, issued } => {
                if job.status == JobStatus::Running || *closing != job.closing || job.refunded.is_some() {
                    say(7, format!("a refund token for closing {closing}, the job is {}", job.status.as_str()));
                }
                if let Some(entry) = job.closings.get_mut(*closing as usize)
                    && entry.refund.replace(Box::new(issued.clone())).is_some()
                {
                    say(7, format!("another refund token for closing {closing}"));
                }
            }
            Write::Redeem { redemption, .. } => {
                if job.refunded.replace(redemption.clone()).is_some() {
                    say(7, "a refund is redeemed again".to_owned());
                }
            }
            Write::Start(set) => {
                if job.status != JobStatus::Queued {
                    say(11, format!("it is started, and was {}", job.status.as_str()));
                }
                (job.status, job.started_at, job.deadline) = (JobStatus::Running, Some(set.at), set.deadline);
            }
            Write::Withdraw { entry, .. } => {
                if job.status != JobStatus::Queued {
                    say(7, format!("it is withdrawn, and was {}", job.status.as_str()));
                }
                job.status = entry.verdict.status();
                job.closings.push(entry.clone());
                self.closed.push(number);
            }
            Write::Pause { set, .. } => job.paused = Some(set.clone()),
            Write::Expire { .. } | Write::Look { .. } => {}
            Write::CreateInput(_) | Write::CreateJob(_) | Write::Task { .. } => {}
        }
    }

    fn recorded(
        &mut self,
        rules: &Rules<'_>,
        number: usize,
        task: &TaskId,
        done: &Done,
        say: &mut impl FnMut(u8, String),
    ) {
        let step = rules.pipeline.step(task.step());
        let is_claimed = step.is_some_and(|step| step.wait.is_none() && !(step.is_unclaimed && done.attempt == 1));
        if is_claimed && !self.claims.contains_key(&(task.clone(), done.attempt)) {
            say(4, format!("attempt {} of {task} is recorded, which nobody claimed", done.attempt));
        }
        self.records.entry(task.clone()).or_default().push(Standing { from: number, to: usize::MAX });
    }

    fn closing(
        &mut self,
        rules: &Rules<'_>,
        number: usize,
        job: &mut Job,
        entry: Option<&Closing>,
        commit: &Committed,
        say: &mut impl FnMut(u8, String),
    ) {
        let Some(entry) = entry else { return };
        if job.status != JobStatus::Running {
            say(7, format!("a job that is {} is closed again", job.status.as_str()));
        }
        match entry.verdict {
            Verdict::Completed if !route::is_all_complete(rules.pipeline, job, Also::Nothing) => {
                say(2, "the job is closed as COMPLETED, and is not".to_owned());
            }
            Verdict::Canceled if !commit.process.starts_with("operator") => {
                say(7, "the job is canceled by nobody".to_owned());
            }
            Verdict::Completed | Verdict::Canceled | Verdict::Failed | Verdict::TimedOut => {}
        }
        if let Some(task) = entry.task.as_ref().filter(|task| self.is_recorded(rules, task, job)) {
            say(1, format!("the job is closed for {task}, which is recorded"));
        }
        job.status = entry.verdict.status();
        job.closings.push(entry.clone());
        self.closed.push(number);
    }

    fn is_recorded(&self, rules: &Rules<'_>, task: &TaskId, job: &Job) -> bool {
        route::record_of(rules.pipeline, task, job, |shard| self.shards.get(shard)).is_some()
    }

    /// A redrive keeps what it does not name, and forgets what it names with all that follows.
    fn reopen(
        &mut self,
        rules: &Rules<'_>,
        number: usize,
        commit: &Committed,
        job: &Job,
        say: &mut impl FnMut(u8, String),
    ) {
        let Write::Reopen { closing, set, .. } = &commit.write else { return };
        if job.status == JobStatus::Running || *closing != job.closing {
            say(7, format!("a job is reopened that is {} at {}", job.status.as_str(), job.closing));
        }
        let told = TaskId::closing(rules.pipeline.finalizer().name.clone(), job.closing);
        let most = rules.pipeline.finalizer().retry.maximum_attempts;
        let is_given_up = self.tasks.get(&told).is_some_and(|task| task.charged >= most);
        if !job.done.contains_key(&told) && !is_given_up {
            say(7, format!("a job is reopened whose closing {} was not notified", job.closing));
        }
        let from = rules.redriven_from.get(&commit.process).cloned().flatten();
        let forgotten = from.map(|from| following(rules.pipeline, &from)).unwrap_or_default();
        for (task, done) in &job.done {
            match set.done.get(task) {
                Some(_) if forgotten.contains(task.step()) => {
                    say(1, format!("the redrive keeps the record of {task}, which it is to forget"));
                }
                None if !forgotten.contains(task.step()) => say(1, format!("the redrive loses the record of {task}")),
                Some(kept) if kept != done => say(1, format!("the redrive changes the record of {task}")),
                Some(_) | None => {}
            }
        }
        for step in &forgotten {
            if set.generations.get(step).copied().unwrap_or(0) <= job.generation(step) {
                say(1, format!("the redrive does not raise the generation of {step}"));
            }
        }
        let is_forgotten = |task: &TaskId| forgotten.contains(task.step());
        for (_, standings) in self.records.iter_mut().filter(|(task, _)| is_forgotten(task)) {
            standings.iter_mut().filter(|it| it.to == usize::MAX).for_each(|it| it.to = number);
        }
    }
}

/// A step and all that follow it.
fn following(pipeline: &Pipeline, from: &StepName) -> BTreeSet<StepName> {
    let mut found = BTreeSet::from([from.clone()]);
    for step in pipeline.steps() {
        if step.after.iter().any(|input| found.contains(input)) {
            found.insert(step.name.clone());
        }
    }
    found
}

/// Whether a task is the finalizer's, of which closing.
pub(crate) fn finalizes(task: &TaskId) -> Option<u32> {
    match task.which() {
        Which::Closing(closing) => Some(closing),
        Which::Only | Which::Element(_) => None,
    }
}
