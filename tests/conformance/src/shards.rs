//! The records of wide steps: into a shard, into the job, and the tombstones; every write means what [`apply`] says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use qsketch_core::limits::SHARD_WIDTH;
use qsketch_core::write::apply;
use qsketch_core::{Commit, JobId, JobStatus, Part, ShardId, StepName, Time, Verdict, Write};

use crate::gallery::{self, NOW};
use crate::{Case, World, cases};

/// The cases of the shards.
#[must_use]
pub fn shard_cases() -> Vec<Case> {
    cases![
        the_first_record_makes_the_shard_and_a_second_one_of_its_element_is_refused,
        a_tombstone_keeps_a_record_out_until_a_later_closing,
        a_record_keeps_a_tombstone_out_and_a_tombstone_may_be_repeated,
        a_full_shard_is_folded_once_and_only_into_a_running_job_of_its_closing,
        the_last_fold_closes_the_job_in_the_same_write,
        all_records_of_one_shard_at_once_count_and_one_of_them_sees_it_full,
        of_folds_at_once_one_wins,
        the_shards_of_a_step_come_in_one_call_and_no_others,
    ]
}

const EXPIRES_AT: u64 = 1_900_000_000;

fn shard(text: &str) -> Result<ShardId> {
    Ok(text.parse()?)
}

fn record(text: &str, element: u32, closing: u32, attempt: u32) -> Result<Write> {
    let (shard, done) = (shard(text)?, gallery::done(attempt, None));
    Ok(Write::RecordElement { shard, element, closing, done, expires_at: EXPIRES_AT })
}

fn bury(text: &str, element: u32, closing: u32) -> Result<Write> {
    Ok(Write::Bury { shard: shard(text)?, element, closing, expires_at: EXPIRES_AT })
}

fn fold(text: &str, closing: u32) -> Result<Write> {
    Ok(Write::Fold { shard: shard(text)?, closing, at: NOW, close: None })
}

/// A job of one case, its parts as they must be by [`apply`].
struct Subject {
    world: World,
    id: JobId,
    parts: BTreeMap<Option<ShardId>, Part>,
}

impl Subject {
    async fn begun(world: World) -> Result<Self> {
        let id = JobId::try_from(world.unique())?;
        let mut subject = Self { world, parts: BTreeMap::new(), id };
        let job = gallery::job(&subject.id)?;
        subject.written(&Write::CreateJob(Box::new(job))).await?;
        Ok(subject)
    }

    /// Carries a write out and holds the answer, and what reads back, against [`apply`].
    async fn commit(&mut self, write: &Write) -> Result<bool> {
        let key = match write {
            Write::RecordElement { shard, .. } | Write::Bury { shard, .. } => Some(shard.clone()),
            _ => None,
        };
        let current = self.parts.get(&key).cloned();
        let next = apply(write, current.as_ref());
        let expected = next.clone().map_or_else(|| Commit::Overtaken(current), Commit::Written);
        let table = &self.world.ports.table;
        let found = table.commit(&self.id, write).await.with_context(|| format!("{write:?}"))?;
        ensure!(found == expected, "{write:?}\n  found    {found:?}\n  expected {expected:?}");
        self.parts.extend(next.map(|part| (key.clone(), part)));
        let read = match &key {
            Some(shard) => table.load_shard(&self.id, shard).await?.map(|shard| Part::Shard(Box::new(shard))),
            None => table.load_job(&self.id).await?.map(|job| Part::Job(Box::new(job))),
        };
        ensure!(read.as_ref() == self.parts.get(&key), "it reads back as {read:?}");
        Ok(matches!(found, Commit::Written(_)))
    }

    async fn written(&mut self, write: &Write) -> Result<()> {
        ensure!(self.commit(write).await?, "it must be written: {write:?}");
        Ok(())
    }

    async fn refused(&mut self, write: &Write) -> Result<()> {
        ensure!(!self.commit(write).await?, "it must be refused: {write:?}");
        Ok(())
    }
}

async fn the_first_record_makes_the_shard_and_a_second_one_of_its_element_is_refused(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    ensure!(subject.world.ports.table.load_shard(&subject.id, &shard("b@0/0")?).await?.is_none());
    subject.written(&record("b@0/0", 3, 0, 1)?).await?;
    subject.refused(&record("b@0/0", 3, 0, 2)?).await?;
    subject.refused(&record("b@0/0", 3, 1, 2)?).await?;
    subject.written(&record("b@0/0", 31, 0, 7)?).await?;
    subject.written(&record("b@0/1", 3, 0, 1)?).await?;
    subject.written(&record("b@1/0", 3, 0, 1)?).await
}

async fn a_tombstone_keeps_a_record_out_until_a_later_closing(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.written(&bury("b@0/0", 5, 1)?).await?;
    subject.refused(&record("b@0/0", 5, 0, 1)?).await?;
    subject.refused(&record("b@0/0", 5, 1, 1)?).await?;
    subject.written(&record("b@0/0", 6, 1, 1)?).await?;
    subject.written(&record("b@0/0", 5, 2, 1)?).await
}

async fn a_record_keeps_a_tombstone_out_and_a_tombstone_may_be_repeated(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.written(&record("b@0/0", 5, 0, 1)?).await?;
    subject.refused(&bury("b@0/0", 5, 0)?).await?;
    subject.written(&bury("b@0/0", 6, 0)?).await?;
    subject.written(&bury("b@0/0", 6, 0)?).await?;
    subject.written(&bury("b@0/0", 6, 1)?).await
}

async fn a_full_shard_is_folded_once_and_only_into_a_running_job_of_its_closing(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    subject.refused(&fold("b@0/0", 1)?).await?;
    subject.written(&fold("b@0/0", 0)?).await?;
    subject.refused(&fold("b@0/0", 0)?).await?;
    subject.written(&fold("b@0/1", 0)?).await?;
    subject.written(&Write::Close { closing: 0, entry: gallery::full_closing(Verdict::Failed, "b#70")? }).await?;
    subject.refused(&fold("b@0/2", 0)?).await
}

async fn the_last_fold_closes_the_job_in_the_same_write(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    let close = Some(gallery::bare_closing(Verdict::Completed));
    let last = Write::Fold { shard: shard("b@0/0")?, closing: 0, at: Time(NOW.0 + 1), close };
    subject.written(&last).await?;
    match subject.parts.get(&None) {
        Some(Part::Job(job)) if job.status == JobStatus::Completed && job.closings.len() == 1 => Ok(()),
        other => bail!("not closed: {other:?}"),
    }
}

async fn all_records_of_one_shard_at_once_count_and_one_of_them_sees_it_full(world: World) -> Result<()> {
    let subject = Subject::begun(world.clone()).await?;
    let records =
        (0..SHARD_WIDTH).map(|element| record("b@0/0", element, 0, element + 1)).collect::<Result<Vec<_>>>()?;
    let runs = records.into_iter().map(|write| {
        let (table, id) = (world.ports.table.clone(), subject.id.clone());
        tokio::spawn(async move { table.commit(&id, &write).await })
    });
    let mut full = 0;
    for commit in join_all(runs).await {
        let Commit::Written(Part::Shard(shard)) = commit?? else { bail!("a record was refused") };
        full += u32::from(shard.done.len() == SHARD_WIDTH as usize);
    }
    ensure!(full == 1, "{full} of them saw it full");
    Ok(())
}

async fn of_folds_at_once_one_wins(world: World) -> Result<()> {
    let subject = Subject::begun(world.clone()).await?;
    let write = fold("b@0/0", 0)?;
    let runs = (0..16).map(|_| {
        let (table, id, write) = (world.ports.table.clone(), subject.id.clone(), write.clone());
        tokio::spawn(async move { table.commit(&id, &write).await })
    });
    let mut written = 0;
    for commit in join_all(runs).await {
        written += u32::from(matches!(commit??, Commit::Written(_)));
    }
    ensure!(written == 1, "{written} of them were written");
    Ok(())
}

async fn the_shards_of_a_step_come_in_one_call_and_no_others(world: World) -> Result<()> {
    let mut subject = Subject::begun(world).await?;
    // `b@0/10` and `b@0/9` sort otherwise as text; `b-2` and `b@1` begin as `b` does.
    for text in ["b@0/0", "b@0/9", "b@0/10", "b@1/0", "b-2@0/0", "c@0/0"] {
        subject.written(&record(text, 4, 0, 1)?).await?;
    }
    let table = &subject.world.ports.table;
    let found = table.load_shards(&subject.id, &StepName::try_from("b")?, 0).await?;
    let names: Vec<String> = found.keys().map(ToString::to_string).collect();
    ensure!(names == ["b@0/0", "b@0/9", "b@0/10"], "{names:?}");
    let all = table.load_parts(&subject.id).await?;
    ensure!(all.shards.len() == 6 && all.tasks.is_empty() && all.job.is_some(), "{all:?}");
    ensure!(found.iter().all(|(id, shard)| all.shards.get(id) == Some(shard)));
    Ok(())
}
