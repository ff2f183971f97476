use std::collections::BTreeMap;

use async_trait::async_trait;
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{Commit, Input, Job, JobId, Pipeline, Shard, ShardId, StepName, Task, TaskId, Write};
use qsketch_runtime::ports::Parts;
use qsketch_runtime::{PortError, Table};

use super::*;
use crate::prices::{DOLLARS_MAX_ALONE, DOLLARS_MAX_MANY};
use crate::stack::root;

fn committed() -> Result<Account> {
    let path = path(&root());
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}: {COMMAND}", path.display()))?;
    Account::parse(&text)
}

#[test]
fn the_committed_account_is_what_a_job_costs() -> Result<()> {
    let changes = count(&|ports| ports)?.changes_since(&committed()?);
    ensure!(changes.is_empty(), "{}", complaint(&changes));
    Ok(())
}

#[test]
fn a_million_jobs_cost_at_most_what_they_may() -> Result<()> {
    let account = committed()?;
    for (in_flight, most) in [(1, DOLLARS_MAX_ALONE), (MANY_IN_FLIGHT, DOLLARS_MAX_MANY)] {
        for way in Way::ALL {
            let section = account.section(way, in_flight).context("every way has its sections")?;
            let dollars = section.number(DOLLARS).context("every section has its sum")?;
            assert!(dollars > 0.0 && dollars <= most, "{}: ${dollars}, at most ${most}", section.title);
        }
    }
    Ok(())
}

#[test]
fn one_load_more_for_each_record_is_found() -> Result<()> {
    let wasteful = |ports: Ports| Ports { table: Arc::new(Wasteful(Arc::clone(&ports.table))), ..ports };
    for way in Way::ALL {
        let counted = count_one(way, 1, &wasteful)?;
        let account = Account { sections: vec![Section::of(way, 1, &counted)] };
        let changes = account.changes_since(&committed()?);
        let of = |name: &str| changes.iter().find(|change| change.section.way == way.name() && change.name == name);
        let records = counted.tally.calls.get("table.record").copied().unwrap_or_default();
        assert!(records > 0, "a job has records");
        let more = of("calls").context("there are more calls")?;
        assert_eq!(more.counted.zip(more.committed).map(|(now, then)| now - then), Some(counted.per_job(records)));
        assert!(of("table.load-job").is_some_and(|change| change.counted > change.committed), "{changes:?}");
        assert!(of("read units").is_some_and(|change| change.counted > change.committed), "{changes:?}");
        assert!(complaint(&changes).contains("grew") && complaint(&changes).contains(COMMAND));
    }
    Ok(())
}

#[test]
fn one_call_less_or_more_in_the_file_is_found_and_said() -> Result<()> {
    let account = committed()?;
    for (change, word) in [(-1.0, "grew"), (1.0, "fell")] {
        let mut other = account.clone();
        let line = &mut other.sections[0].lines[1];
        line.number += change;
        let name = line.name.clone();
        let changes = account.changes_since(&other);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].to_string().contains(&format!("{name} {word}: ")), "{}", changes[0]);
    }
    Ok(())
}

#[test]
fn a_line_that_is_new_or_gone_and_a_section_too_are_found() -> Result<()> {
    let account = committed()?;
    let mut less = account.clone();
    less.sections[0].lines.pop();
    assert_eq!(account.changes_since(&less).len(), 1);
    assert_eq!(less.changes_since(&account).len(), 1);
    less.sections.pop();
    assert!(account.changes_since(&less).len() > 2 && less.changes_since(&account).len() > 2);
    assert!(account.changes_since(&account).is_empty());
    Ok(())
}

#[test]
fn with_many_in_flight_only_what_is_batched_has_a_tolerance() -> Result<()> {
    let account = committed()?;
    let many = account.sections.iter().position(|section| section.title.in_flight > 1).context("there is one")?;
    let changes = |name: &str, permille: u32| {
        let mut other = account.clone();
        let mut lines = other.sections[many].lines.iter_mut();
        let line = lines.find(|line| line.name == name).context("there is such a line")?;
        line.number *= 1.0 + f64::from(permille) / 1e3;
        anyhow::Ok(other.changes_since(&account).len())
    };
    for (name, permille, expected) in [
        ("queues.send", TOLERANCE_PERMILLE - 10, 0),
        ("queues.send", TOLERANCE_PERMILLE + 10, 1),
        (DOLLARS, TOLERANCE_PERMILLE - 10, 0),
        ("table.claim", 2, 1),
        ("write units, table", 2, 1),
    ] {
        assert_eq!(changes(name, permille)?, expected, "{name} {permille}");
    }
    Ok(())
}

#[test]
fn an_account_is_read_as_it_was_written() -> Result<()> {
    let account = committed()?;
    assert_eq!(Account::parse(&account.to_string())?, account);
    for damaged in ["", "calls 3", "[through the queues]\ncalls 3", "[a, 1 in flight]\ncalls three"] {
        assert!(Account::parse(damaged).is_err(), "{damaged}");
    }
    Ok(())
}

/// A table that is asked for the job once more with each record: the broken variant that the guard must catch.
struct Wasteful(Arc<dyn Table>);

#[async_trait]
impl Table for Wasteful {
    async fn commit(&self, job: &JobId, write: &Write) -> Result<Commit, PortError> {
        if write.kind() == "record" {
            self.0.load_job(job).await?;
        }
        self.0.commit(job, write).await
    }

    async fn load_job(&self, job: &JobId) -> Result<Option<Job>, PortError> {
        self.0.load_job(job).await
    }

    async fn load_task(&self, job: &JobId, task: &TaskId) -> Result<Option<Task>, PortError> {
        self.0.load_task(job, task).await
    }

    async fn load_input(&self, job: &JobId) -> Result<Option<Input>, PortError> {
        self.0.load_input(job).await
    }

    async fn load_shard(&self, job: &JobId, shard: &ShardId) -> Result<Option<Shard>, PortError> {
        self.0.load_shard(job, shard).await
    }

    async fn load_shards(
        &self,
        job: &JobId,
        step: &StepName,
        generation: u32,
    ) -> Result<BTreeMap<ShardId, Shard>, PortError> {
        self.0.load_shards(job, step, generation).await
    }

    async fn load_parts(&self, job: &JobId) -> Result<Parts, PortError> {
        self.0.load_parts(job).await
    }

    async fn load_pipeline(&self, hash: &PipelineHash) -> Result<Option<Pipeline>, PortError> {
        self.0.load_pipeline(hash).await
    }

    async fn keep_pipeline(&self, pipeline: &Pipeline) -> Result<(), PortError> {
        self.0.keep_pipeline(pipeline).await
    }
}
