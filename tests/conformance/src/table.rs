//! The job table: every write means what [`apply`] says, and everything reads back as it was written.

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use qsketch_core::parts::Pause;
use qsketch_core::write::{Reopened, apply};
use qsketch_core::{Commit, Footing, JobId, Owner, Part, StepName, Task, TaskId, Time, Verdict, Write};
use qsketch_runtime::ports::Parts;

use crate::gallery::{self, NOW};
use crate::{Case, World, cases};

/// How many run for the same thing at once.
const RUNNERS: u32 = 16;

/// The cases of the parts that every job has.
#[must_use]
pub fn part_cases() -> Vec<Case> {
    cases![
        what_is_not_there_reads_as_nothing,
        a_part_is_created_once_and_the_first_one_stays,
        a_task_s_footing_decides_whether_it_is_written,
        a_record_needs_a_running_job_of_its_closing_and_happens_once,
        the_last_record_closes_the_job_in_the_same_write,
        a_closing_happens_once_and_never_after_its_task_s_record,
        a_signal_is_recorded_once_with_its_payload_and_keeps_a_rejection_out,
        the_finalizer_is_recorded_once_on_a_closed_job,
        a_closed_job_is_reopened_once_with_what_stays,
        a_refund_token_is_kept_once_and_by_its_closing_alone,
        a_refund_is_redeemed_once_and_keeps_a_redrive_out,
        of_sixteen_redemptions_one_wins,
        a_pause_stands_on_the_one_before_and_needs_a_running_job,
        the_time_of_a_closed_job_ends_and_that_of_a_running_one_does_not,
        a_full_job_and_a_bare_one_read_back_as_written,
        a_full_task_and_a_bare_one_read_back_as_written,
        a_submission_of_every_kind_of_value_reads_back_as_written,
        any_sequence_of_writes_follows_apply,
        of_sixteen_first_claims_one_wins,
        of_sixteen_later_claims_one_wins,
        of_sixteen_records_of_one_task_one_wins,
        sixteen_records_of_sixteen_tasks_all_count,
        all_parts_of_a_job_come_in_one_call_however_many,
        a_pipeline_is_kept_once_and_reads_back_equal,
        erased_parts_are_gone_and_those_of_other_jobs_are_not,
    ]
}

/// A job of one case, and the parts as they must be by [`apply`].
struct Subject {
    world: World,
    id: JobId,
    input: Option<Part>,
    job: Option<Part>,
    tasks: std::collections::BTreeMap<TaskId, Part>,
}

impl Subject {
    fn new(world: World) -> Result<Self> {
        let id = JobId::try_from(world.unique())?;
        Ok(Self { world, id, input: None, job: None, tasks: Default::default() })
    }

    async fn begun(world: World) -> Result<Self> {
        let mut subject = Self::new(world)?;
        let job = gallery::job(&subject.id)?;
        subject.written(&Write::CreateJob(Box::new(job))).await?;
        Ok(subject)
    }

    /// Carries a write out, holds the answer against [`apply`], and reads the part back.
    async fn commit(&mut self, write: &Write) -> Result<Commit> {
        let current = match write {
            Write::CreateInput(_) => self.input.clone(),
            Write::Task { task, .. } => self.tasks.get(task).cloned(),
            _ => self.job.clone(),
        };
        let next = apply(write, current.as_ref());
        let expected = next.clone().map_or_else(|| Commit::Overtaken(current), Commit::Written);
        let found = self.world.ports.table.commit(&self.id, write).await.with_context(|| format!("{write:?}"))?;
        ensure!(found == expected, "{write:?}\n  found    {found:?}\n  expected {expected:?}");
        match (write, next) {
            (_, None) => {}
            (Write::CreateInput(_), part) => self.input = part,
            (Write::Task { task, .. }, Some(part)) => {
                self.tasks.insert(task.clone(), part);
            }
            (_, part) => self.job = part,
        }
        self.read_back().await?;
        Ok(found)
    }

    async fn written(&mut self, write: &Write) -> Result<()> {
        match self.commit(write).await? {
            Commit::Written(_) => Ok(()),
            Commit::Overtaken(_) => bail!("it must be written: {write:?}"),
        }
    }

    async fn overtaken(&mut self, write: &Write) -> Result<()> {
        match self.commit(write).await? {
            Commit::Overtaken(_) => Ok(()),
            Commit::Written(_) => bail!("it must be refused: {write:?}"),
        }
    }

    async fn read_back(&self) -> Result<()> {
        let table = &self.world.ports.table;
        let job = table.load_job(&self.id).await?.map(|job| Part::Job(Box::new(job)));
        ensure!(job == self.job, "the job reads back as {job:?}\n  expected {:?}", self.job);
        let input = table.load_input(&self.id).await?.map(|input| Part::Input(Box::new(input)));
        ensure!(input == self.input, "the input reads back as {input:?}\n  expected {:?}", self.input);
        for (id, expected) in &self.tasks {
            let task = table.load_task(&self.id, id).await?.map(|task| Part::Task(Box::new(task)));
            ensure!(task.as_ref() == Some(expected), "task {id} reads back as {task:?}\n  expected {expected:?}");
        }
        Ok(())
    }
}

fn write_task(task: &str, footing: Footing, set: Task) -> Result<Write> {
    Ok(Write::Task { task: task.parse()?, footing, set: Box::new(set) })
}

fn mine(attempt: u32, owner: &str) -> Result<Footing> {
    Ok(Footing::Mine { attempt, owner: Owner::try_from(owner)? })
}

const fn seen(attempt: u32, lease_until: Option<Time>) -> Footing {
    Footing::Seen { attempt, lease_until }
}

fn record(task: &str, closing: u32, attempt: u32) -> Result<Write> {
    let done = gallery::done(attempt, (task == "a").then_some(3));
    Ok(Write::Record { task: task.parse()?, closing, done, result: None, close: None })
}

fn record_final(closing: u32) -> Result<Write> {
    Ok(Write::RecordFinal { task: format!("z@{closing}").parse()?, closing, done: gallery::done(1, None) })
}

async fn what_is_not_there_reads_as_nothing(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    let table = &subject.world.ports.table;
    ensure!(table.load_task(&subject.id, &"a".parse()?).await?.is_none());
    ensure!(table.load_parts(&subject.id).await? == Parts::default());
    subject.read_back().await?;
    subject.overtaken(&record("a", 0, 1)?).await?;
    subject.overtaken(&record_final(0)?).await?;
    let entry = gallery::bare_closing(Verdict::Failed);
    subject.overtaken(&Write::Close { closing: 0, entry }).await
}

async fn a_part_is_created_once_and_the_first_one_stays(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    let (input, job) = (gallery::input(&subject.id), gallery::job(&subject.id)?);
    subject.written(&Write::CreateInput(Box::new(input.clone()))).await?;
    subject.written(&Write::CreateJob(Box::new(job.clone()))).await?;
    let other = qsketch_core::Input { content_hash: "another".to_owned(), ..input.clone() };
    subject.overtaken(&Write::CreateInput(Box::new(other))).await?;
    subject.overtaken(&Write::CreateInput(Box::new(input))).await?;
    let other = qsketch_core::Job { status: qsketch_core::JobStatus::Failed, ..job };
    subject.overtaken(&Write::CreateJob(Box::new(other))).await
}

async fn a_task_s_footing_decides_whether_it_is_written(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    let (until, later) = (Time(NOW.0 + 30_000), Time(NOW.0 + 60_000));
    let set = |attempt, owner| gallery::task(attempt, owner, until);
    subject.overtaken(&write_task("b#1", seen(1, None), set(2, "x")?)?).await?;
    subject.overtaken(&write_task("b#1", mine(1, "x")?, set(1, "x")?)?).await?;
    subject.written(&write_task("b#1", Footing::Absent, set(1, "one")?)?).await?;
    // Held by `one` as attempt 1.
    for refused in [Footing::Absent, seen(1, None), seen(1, Some(later)), seen(2, Some(until)), seen(0, Some(until))] {
        subject.overtaken(&write_task("b#1", refused, set(9, "thief")?)?).await?;
    }
    for refused in [mine(1, "two")?, mine(2, "one")?] {
        subject.overtaken(&write_task("b#1", refused, set(9, "thief")?)?).await?;
    }
    subject.written(&write_task("b#1", mine(1, "one")?, gallery::task(1, "one", later)?)?).await?;
    subject.overtaken(&write_task("b#1", seen(1, Some(until)), set(2, "late")?)?).await?;
    subject.written(&write_task("b#1", seen(1, Some(later)), set(2, "two")?)?).await?;
    subject.overtaken(&write_task("b#1", mine(1, "one")?, set(1, "one")?)?).await?;
    subject.written(&write_task("b#1", mine(2, "two")?, gallery::ended(set(2, "two")?))?).await?;
    // Nobody holds it.
    subject.overtaken(&write_task("b#1", mine(2, "two")?, set(2, "two")?)?).await?;
    subject.overtaken(&write_task("b#1", seen(2, Some(until)), set(3, "three")?)?).await?;
    subject.written(&write_task("b#1", seen(2, None), set(3, "three")?)?).await?;
    // Another task of the same job is another part.
    subject.written(&write_task("b#10", Footing::Absent, set(1, "one")?)?).await
}

async fn a_record_needs_a_running_job_of_its_closing_and_happens_once(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.overtaken(&record("a", 1, 1)?).await?;
    subject.written(&record("a", 0, 1)?).await?;
    subject.overtaken(&record("a", 0, 2)?).await?;
    subject.written(&record("b#0", 0, 4)?).await?;
    let with_result = Write::Record {
        task: "c".parse()?,
        closing: 0,
        done: gallery::done(1, None),
        result: Some(gallery::UNICODE.to_owned()),
        close: None,
    };
    subject.written(&with_result).await?;
    subject.written(&record("b#1", 0, 1)?).await?;
    subject.written(&Write::Close { closing: 0, entry: gallery::bare_closing(Verdict::TimedOut) }).await?;
    subject.overtaken(&record("b#2", 0, 1)?).await
}

async fn the_last_record_closes_the_job_in_the_same_write(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    let last = |result: Option<&str>, entry| -> Result<Write> {
        let (task, done, result) = ("c".parse()?, gallery::done(2, None), result.map(str::to_owned));
        Ok(Write::Record { task, closing: 0, done, result, close: Some(entry) })
    };
    let full = gallery::full_closing(Verdict::Completed, "c")?;
    subject.written(&last(Some("s3://bucket/key"), Box::new(full))?).await?;
    subject.overtaken(&last(None, Box::new(gallery::bare_closing(Verdict::Completed)))?).await?;
    subject.overtaken(&Write::Close { closing: 0, entry: gallery::bare_closing(Verdict::Failed) }).await
}

async fn a_closing_happens_once_and_never_after_its_task_s_record(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.written(&record("b#1", 0, 1)?).await?;
    let failed = |task: &str, closing| -> Result<Write> {
        Ok(Write::Close { closing, entry: gallery::full_closing(Verdict::Failed, task)? })
    };
    subject.overtaken(&failed("b#1", 0)?).await?;
    subject.overtaken(&failed("b#2", 1)?).await?;
    subject.written(&failed("b#2", 0)?).await?;
    subject.overtaken(&failed("b#0", 0)?).await
}

async fn a_signal_is_recorded_once_with_its_payload_and_keeps_a_rejection_out(world: World) -> Result<()> {
    let signal = |task: &str, done| -> Result<Write> {
        Ok(Write::Record { task: task.parse()?, closing: 0, done, result: None, close: None })
    };
    let mut subject = Subject::begun(world).await?;
    subject.written(&signal("approve", gallery::signaled())?).await?;
    subject.overtaken(&signal("approve", gallery::done(1, None))?).await?;
    let rejection = gallery::full_closing(Verdict::Canceled, "approve")?;
    subject.overtaken(&Write::Close { closing: 0, entry: rejection }).await?;
    subject.written(&signal("hurry", gallery::done(1, None))?).await?;
    subject.read_back().await
}

async fn the_finalizer_is_recorded_once_on_a_closed_job(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.overtaken(&record_final(0)?).await?;
    subject.written(&Write::Close { closing: 0, entry: gallery::bare_closing(Verdict::Completed) }).await?;
    subject.overtaken(&record_final(1)?).await?;
    subject.written(&record_final(0)?).await?;
    let gone = matches!(&subject.job, Some(Part::Job(job)) if job.check_at.is_none() && job.check_shard.is_none());
    ensure!(gone, "nobody looks after it any more");
    subject.overtaken(&record_final(0)?).await
}

async fn a_closed_job_is_reopened_once_with_what_stays(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.written(&record("a", 0, 1)?).await?;
    subject.written(&record("b#0", 0, 2)?).await?;
    let fold = |generation, closing| -> Result<Write> {
        Ok(Write::Fold { shard: format!("b@{generation}/0").parse()?, closing, at: NOW, close: None })
    };
    subject.written(&fold(0, 0)?).await?;
    subject.overtaken(&reopen(0, false, &[])?).await?;
    subject.written(&pausing(0, 0, 1)).await?;
    subject.written(&Write::Close { closing: 0, entry: gallery::full_closing(Verdict::Failed, "b#1")? }).await?;
    subject.overtaken(&reopen(0, true, &[])?).await?;
    subject.written(&record_final(0)?).await?;
    subject.overtaken(&reopen(0, false, &[])?).await?;
    subject.overtaken(&reopen(1, true, &[])?).await?;
    subject.written(&reopen(0, true, &[("b", 1), ("c", 2)])?).await?;
    subject.overtaken(&reopen(0, true, &[])?).await?;
    subject.overtaken(&record("b#0", 0, 2)?).await?;
    subject.written(&record("b#0", 1, 3)?).await?;
    subject.written(&fold(1, 1)?).await?;
    subject.written(&Write::Close { closing: 1, entry: gallery::bare_closing(Verdict::Canceled) }).await?;
    subject.written(&reopen(1, false, &[])?).await
}

/// A redrive of a job that is not refunded, with these generations.
fn reopen(closing: u32, is_notified: bool, generations: &[(&str, u32)]) -> Result<Write> {
    let generations = generations.iter().map(|(step, of)| Ok((StepName::try_from(*step)?, *of)));
    let set = Box::new(Reopened {
        done: [("a".parse()?, gallery::done(1, Some(3)))].into(),
        folded: std::collections::BTreeMap::new(),
        generations: generations.collect::<Result<_>>()?,
        deadline: Time(NOW.0 + 7),
        at: Time(NOW.0 + 5),
        check_shard: "check#3".to_owned(),
        check_at: Time(NOW.0 + 6),
    });
    let finalizer = format!("z@{closing}").parse()?;
    Ok(Write::Reopen { closing, finalizer, is_notified, is_refunded: false, set })
}

/// A redrive of a job that is refunded.
fn reopen_refunded(closing: u32, is_notified: bool) -> Result<Write> {
    let mut write = reopen(closing, is_notified, &[])?;
    if let Write::Reopen { is_refunded, .. } = &mut write {
        *is_refunded = true;
    }
    Ok(write)
}

fn close(closing: u32, verdict: Verdict) -> Write {
    Write::Close { closing, entry: gallery::bare_closing(verdict) }
}

fn redeem(closing: u32, of: u32, reference: &str) -> Result<Write> {
    Ok(Write::Redeem { closing, redemption: gallery::redemption(of, reference)? })
}

async fn a_refund_token_is_kept_once_and_by_its_closing_alone(world: World) -> Result<()> {
    let issue = |closing| Write::Issue { closing, issued: gallery::issued() };
    let mut subject = Subject::new(world.clone())?;
    subject.overtaken(&issue(0)).await?;
    let mut subject = Subject::begun(world.clone()).await?;
    subject.overtaken(&issue(0)).await?;
    subject.written(&close(0, Verdict::Failed)).await?;
    subject.overtaken(&issue(1)).await?;
    subject.written(&issue(0)).await?;
    let other = qsketch_core::refund::Issued { hash: "0b".repeat(32), ..gallery::issued() };
    subject.overtaken(&Write::Issue { closing: 0, issued: other }).await?;
    subject.written(&reopen(0, false, &[])?).await?;
    subject.overtaken(&issue(1)).await?;
    subject.written(&close(1, Verdict::TimedOut)).await?;
    subject.overtaken(&issue(0)).await?;
    subject.written(&issue(1)).await?;
    // A refunded job gets no further token.
    let mut refunded = Subject::begun(world).await?;
    refunded.written(&close(0, Verdict::Failed)).await?;
    refunded.written(&redeem(0, 0, "p")?).await?;
    refunded.overtaken(&issue(0)).await
}

async fn a_refund_is_redeemed_once_and_keeps_a_redrive_out(world: World) -> Result<()> {
    for is_notified in [true, false] {
        let mut subject = Subject::begun(world.clone()).await?;
        subject.overtaken(&redeem(0, 0, "p-1")?).await?;
        subject.written(&close(0, Verdict::Failed)).await?;
        if is_notified {
            subject.written(&record_final(0)?).await?;
        }
        subject.overtaken(&reopen_refunded(0, is_notified)?).await?;
        subject.written(&reopen(0, is_notified, &[])?).await?;
        subject.overtaken(&redeem(0, 0, "p-1")?).await?;
        subject.written(&close(1, Verdict::Canceled)).await?;
        if is_notified {
            subject.written(&record_final(1)?).await?;
        }
        subject.overtaken(&redeem(0, 0, "p-1")?).await?;
        subject.written(&redeem(1, 0, "p-1")?).await?;
        subject.overtaken(&redeem(1, 0, "p-1")?).await?;
        subject.overtaken(&reopen(1, is_notified, &[])?).await?;
        subject.overtaken(&reopen_refunded(1, !is_notified)?).await?;
        subject.written(&reopen_refunded(1, is_notified)?).await?;
        subject.written(&close(2, Verdict::Failed)).await?;
        subject.overtaken(&redeem(2, 2, "p-2")?).await?;
    }
    let mut completed = Subject::begun(world).await?;
    completed.written(&close(0, Verdict::Completed)).await?;
    completed.overtaken(&redeem(0, 0, "p-1")?).await
}

async fn of_sixteen_redemptions_one_wins(world: World) -> Result<()> {
    let mut subject = Subject::begun(world.clone()).await?;
    subject.written(&close(0, Verdict::Failed)).await?;
    let redemptions = (0..RUNNERS).map(|n| redeem(0, 0, &format!("p-{n}"))).collect::<Result<_>>()?;
    ensure!(race(&world, &subject.id, redemptions).await? == 1);
    Ok(())
}

/// The change of a job's pauses that stands on `changes` earlier ones.
fn pausing(closing: u32, changes: u32, steps: usize) -> Write {
    let names = ["a", "b", "c"].into_iter().take(steps);
    let steps = names.filter_map(|name| Some((StepName::try_from(name).ok()?, NOW))).collect();
    let set = Pause { changes: changes + 1, since: Some(NOW), steps, resumed_at: Some(NOW) };
    Write::Pause { closing, changes, set }
}

async fn a_pause_stands_on_the_one_before_and_needs_a_running_job(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.overtaken(&pausing(0, 1, 0)).await?;
    subject.overtaken(&pausing(1, 0, 0)).await?;
    subject.written(&pausing(0, 0, 0)).await?;
    subject.overtaken(&pausing(0, 0, 2)).await?;
    subject.written(&pausing(0, 1, 3)).await?;
    subject.written(&pausing(0, 2, 1)).await?;
    subject.written(&Write::Close { closing: 0, entry: gallery::bare_closing(Verdict::Canceled) }).await?;
    subject.overtaken(&pausing(0, 3, 0)).await
}

async fn the_time_of_a_closed_job_ends_and_that_of_a_running_one_does_not(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    let expire = |closing| Write::Expire { closing, expires_at: 1_795_382_157 };
    subject.overtaken(&expire(0)).await?;
    subject.written(&Write::Close { closing: 0, entry: gallery::bare_closing(Verdict::Canceled) }).await?;
    subject.overtaken(&expire(1)).await?;
    subject.written(&expire(0)).await?;
    subject.written(&expire(0)).await
}

async fn erased_parts_are_gone_and_those_of_other_jobs_are_not(world: World) -> Result<()> {
    let (mut subject, other) = (Subject::begun(world.clone()).await?, Subject::begun(world.clone()).await?);
    subject.written(&Write::CreateInput(Box::new(gallery::input(&subject.id)))).await?;
    for element in 0..60 {
        let set = gallery::task(1, "one", NOW)?;
        subject.written(&write_task(&format!("b#{element}"), Footing::Absent, set)?).await?;
    }
    ensure!(world.eraser.erase_parts(&subject.id).await? == 62);
    ensure!(world.ports.table.load_parts(&subject.id).await? == Parts::default());
    other.read_back().await?;
    // A job that is gone is erased as well.
    world.eraser.erase_parts(&subject.id).await?;
    (subject.job, subject.input) = (None, None);
    subject.tasks.clear();
    subject.overtaken(&record("a", 0, 1)?).await
}

async fn a_full_job_and_a_bare_one_read_back_as_written(world: World) -> Result<()> {
    for make in [gallery::full_job, gallery::bare_job] {
        let mut subject = Subject::new(world.clone())?;
        let job = make(&subject.id)?;
        subject.written(&Write::CreateJob(Box::new(job.clone()))).await?;
        subject.overtaken(&Write::CreateJob(Box::new(job))).await?;
    }
    Ok(())
}

async fn a_full_task_and_a_bare_one_read_back_as_written(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    let full = gallery::full_task()?;
    subject.written(&write_task("full#7", Footing::Absent, full.clone())?).await?;
    subject.overtaken(&write_task("full#7", Footing::Absent, full.clone())?).await?;
    subject.written(&write_task("full#7", mine(u32::MAX, "A-z_09")?, full)?).await?;
    let bare = Task { lease: None, ..gallery::task(1, "nobody", NOW)? };
    subject.written(&write_task("bare@0", Footing::Absent, bare)?).await?;
    subject.overtaken(&write_task("bare@0", Footing::Absent, gallery::full_task()?)?).await
}

async fn a_submission_of_every_kind_of_value_reads_back_as_written(world: World) -> Result<()> {
    let mut subject = Subject::new(world)?;
    let input = gallery::input(&subject.id);
    subject.written(&Write::CreateInput(Box::new(input.clone()))).await?;
    subject.overtaken(&Write::CreateInput(Box::new(input))).await
}

/// The law behind the cases above, on drawn sequences.
async fn any_sequence_of_writes_follows_apply(world: World) -> Result<()> {
    for seed in 1..=SEQUENCES {
        let mut subject = Subject::new(world.clone())?;
        let mut draw = seed;
        for _ in 0..SEQUENCE {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let write = drawn(&subject.id, usize::try_from(draw >> 40)?)?;
            subject.commit(&write).await.with_context(|| format!("sequence {seed}"))?;
        }
    }
    Ok(())
}

/// How many sequences are drawn, and how long each is.
const SEQUENCES: u64 = 4;
const SEQUENCE: usize = 40;

fn drawn(id: &JobId, draw: usize) -> Result<Write> {
    let tasks = ["a", "b#0", "b#1"];
    let (task, owners) = (tasks[draw / 16 % tasks.len()], ["one", "two"]);
    let owner = owners[draw / 64 % owners.len()];
    let attempt = u32::try_from(draw / 128 % 3)? + 1;
    let until = Time(NOW.0 + u64::try_from(draw / 512 % 2)?);
    let set = gallery::task(attempt, owner, until)?;
    let closing = u32::from((draw / 1_024).is_multiple_of(8));
    Ok(match draw % 16 {
        0 => Write::CreateInput(Box::new(gallery::input(id))),
        1 | 2 => Write::CreateJob(Box::new(gallery::job(id)?)),
        3 | 4 => write_task(task, Footing::Absent, set)?,
        5 => write_task(task, seen(attempt, Some(until)), Task { attempt: attempt + 1, ..set })?,
        6 => write_task(task, seen(attempt, None), set)?,
        7 | 8 => write_task(task, mine(attempt, owner)?, gallery::ended(set))?,
        9 => write_task(task, mine(attempt, owner)?, set)?,
        10..=12 => record(task, closing, attempt)?,
        13 => Write::Close { closing, entry: gallery::full_closing(Verdict::Failed, task)? },
        _ => record_final(closing)?,
    })
}

/// Carries all writes out at once; how many were written, and whether every refusal brought the winner.
async fn race(world: &World, id: &JobId, writes: Vec<Write>) -> Result<u32> {
    let runs = writes.into_iter().map(|write| {
        let (table, id) = (world.ports.table.clone(), id.clone());
        tokio::spawn(async move { table.commit(&id, &write).await })
    });
    let mut parts = Vec::new();
    let mut written = 0;
    for commit in join_all(runs).await {
        match commit?? {
            Commit::Written(part) => {
                written += 1;
                parts.push(part);
            }
            Commit::Overtaken(part) => parts.push(part.context("a refusal brings the part")?),
        }
    }
    if written == 1 {
        ensure!(parts.iter().all(|part| *part == parts[0]), "everybody sees the winner");
    }
    Ok(written)
}

async fn of_sixteen_first_claims_one_wins(world: World) -> Result<()> {
    let id = JobId::try_from(world.unique())?;
    let claim = |n| write_task("a", Footing::Absent, gallery::task(1, &format!("owner-{n}"), NOW)?);
    let claims = (0..RUNNERS).map(claim).collect::<Result<_>>()?;
    ensure!(race(&world, &id, claims).await? == 1);
    Ok(())
}

async fn of_sixteen_later_claims_one_wins(world: World) -> Result<()> {
    let mut subject = Subject::new(world.clone())?;
    subject.written(&write_task("a", Footing::Absent, gallery::task(1, "first", NOW)?)?).await?;
    let claim = |n| write_task("a", seen(1, Some(NOW)), gallery::task(2, &format!("owner-{n}"), NOW)?);
    let claims = (0..RUNNERS).map(claim).collect::<Result<_>>()?;
    ensure!(race(&world, &subject.id, claims).await? == 1);
    Ok(())
}

async fn of_sixteen_records_of_one_task_one_wins(world: World) -> Result<()> {
    let subject = Subject::begun(world.clone()).await?;
    let records = (0..RUNNERS).map(|attempt| record("a", 0, attempt)).collect::<Result<_>>()?;
    ensure!(race(&world, &subject.id, records).await? == 1);
    Ok(())
}

async fn sixteen_records_of_sixteen_tasks_all_count(world: World) -> Result<()> {
    let subject = Subject::begun(world.clone()).await?;
    let records = (0..RUNNERS).map(|n| record(&format!("b#{n}"), 0, n)).collect::<Result<_>>()?;
    ensure!(race(&world, &subject.id, records).await? == RUNNERS);
    let job = world.ports.table.load_job(&subject.id).await?.context("the job")?;
    ensure!(job.done.len() == RUNNERS as usize, "{:?}", job.done.keys());
    Ok(())
}

async fn all_parts_of_a_job_come_in_one_call_however_many(world: World) -> Result<()> {
    let mut subject = Subject::begun(world.clone()).await?;
    subject.written(&Write::CreateInput(Box::new(gallery::input(&subject.id)))).await?;
    // A job whose id begins with this one's is another job.
    let neighbour = JobId::try_from(format!("{}-2", subject.id))?;
    let claim = write_task("a", Footing::Absent, gallery::task(1, "x", NOW)?)?;
    world.ports.table.commit(&neighbour, &claim).await?;
    let full = gallery::full_task()?;
    let mut expected = Parts { input: Some(gallery::input(&subject.id)), ..Parts::default() };
    expected.job = Some(gallery::job(&subject.id)?);
    for number in 0..MANY {
        let task: TaskId = format!("wide#{number}").parse()?;
        let write = Write::Task { task: task.clone(), footing: Footing::Absent, set: Box::new(full.clone()) };
        world.ports.table.commit(&subject.id, &write).await?;
        expected.tasks.insert(task, full.clone());
    }
    let found = world.ports.table.load_parts(&subject.id).await?;
    ensure!(found.tasks.len() == expected.tasks.len(), "{} of {MANY} tasks came", found.tasks.len());
    ensure!(found == expected, "a part reads otherwise than it was written");
    Ok(())
}

/// So many full tasks are over 1 MB, which one page of a query does not hold.
const MANY: u32 = 220;

async fn a_pipeline_is_kept_once_and_reads_back_equal(world: World) -> Result<()> {
    let table = &world.ports.table;
    let name = format!("p{}", &world.unique()[..12]).to_lowercase();
    let pipeline = qsketch_core::Pipeline::builder(&name)
        .step(qsketch_core::StepSpec::new("only"))
        .finalizer(qsketch_core::StepSpec::new("z"))
        .build()?;
    ensure!(table.load_pipeline(pipeline.hash()).await?.is_none());
    for _ in 0..2 {
        table.keep_pipeline(&pipeline).await?;
        ensure!(table.load_pipeline(pipeline.hash()).await?.as_ref() == Some(&pipeline));
    }
    ensure!(table.load_pipeline(gallery::pipeline()?.hash()).await?.is_none(), "another one is not there");
    Ok(())
}
