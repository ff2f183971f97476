//! Jobs under way across a deploy that changes the graph, and across its taking back: two real binaries, one after the
//! other, on one table and the same queues.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deployment;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use deployment::{Deployment, Running, TABLE};
use qsketch_core::parts::Outcome;
use qsketch_core::{Job, JobStatus};
use qsketch_release_tests::{AFTER, BEFORE, CHECK, DRAFT, RENDER};
use qsketch_runtime::QueueName;

#[tokio::test]
async fn a_job_in_flight_ends_by_the_graph_that_it_began_with() -> Result<()> {
    let deployment = Deployment::new().await?;
    let running = before(&deployment, "old/render,failing-old/render")?;
    deployment.submit("old").await?;
    deployment.submit("failing-old").await?;
    let mut hashes = Vec::new();
    for id in ["old", "failing-old"] {
        let job = deployment.job(id, "record its first step", |job| tasks(job) == [DRAFT]).await?;
        deployment.at_work(id, RENDER).await?;
        hashes.push(job.pipeline_hash);
    }
    running.stop().await?;
    for id in ["old", "failing-old"] {
        let (charged, attempts) = deployment.attempts(id, RENDER).await?;
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
        ensure!((charged, &outcomes[..]) == (0, &[Outcome::Released]), "{id}: {attempts:?}");
    }

    let running = after(&deployment, "")?;
    let old = deployment.closed("old").await?;
    ensure!((old.status, tasks(&old)) == (JobStatus::Completed, recorded(&BEFORE.steps[..3])), "{old:?}");
    ensure!(deployment.made_by(&old).await? == "draft before\nrender after\npublish after\n");
    // By its own retry policy too: the release that is deployed tries a render once more.
    let failed = deployment.closed("failing-old").await?;
    ensure!((failed.status, tasks(&failed)) == (JobStatus::Failed, recorded(&[DRAFT])), "{failed:?}");
    ensure!(deployment.attempts("failing-old", RENDER).await?.0 == BEFORE.renders_max);
    ensure!([old.pipeline_hash, failed.pipeline_hash] == hashes[..], "a job's graph has changed");

    deployment.submit("new").await?;
    deployment.submit("failing-new").await?;
    let new = deployment.closed("new").await?;
    ensure!((new.status, tasks(&new)) == (JobStatus::Completed, recorded(&AFTER.steps[..4])), "{new:?}");
    ensure!(deployment.made_by(&new).await? == "draft after\nrender after\ncheck after\npublish after\n");
    ensure!(new.pipeline_hash != hashes[0], "the deploy has changed the graph");
    let failed = deployment.closed("failing-new").await?;
    ensure!((failed.status, tasks(&failed)) == (JobStatus::Failed, recorded(&[DRAFT])), "{failed:?}");
    ensure!(deployment.attempts("failing-new", RENDER).await?.0 == AFTER.renders_max);
    running.stop().await?;
    deployment.has_no_dead_letter().await
}

#[tokio::test]
async fn a_release_that_is_taken_back_harms_no_job_of_the_graph_that_it_does_not_know() -> Result<()> {
    let deployment = Deployment::new().await?;
    let check = QueueName::new(CHECK);
    let running = after(&deployment, "at-check/check,at-render/render")?;
    deployment.submit("at-check").await?;
    deployment.submit("at-render").await?;
    deployment.at_work("at-check", CHECK).await?;
    deployment.at_work("at-render", RENDER).await?;
    running.stop().await?;

    // The older release goes on as far as it knows the steps, and leaves the message of the one that it does not know.
    let running = before(&deployment, "")?;
    let waits = |job: &Job| tasks(job) == [DRAFT, RENDER];
    let held = deployment.job("at-render", "go on as far as the older release knows its steps", waits).await?;
    deployment
        .until("both checks to wait in their queue", async || Ok(deployment.messages(&check).await? == 2))
        .await?;
    deployment.submit("meanwhile").await?;
    let meanwhile = deployment.closed("meanwhile").await?;
    ensure!(tasks(&meanwhile) == recorded(&BEFORE.steps[..3]), "{meanwhile:?}");
    running.stop().await?;
    for id in ["at-check", "at-render"] {
        let job = deployment.job(id, "be open", |job| job.status == JobStatus::Running).await?;
        ensure!(waits(&job) && job.pipeline_hash == held.pipeline_hash, "{job:?}");
    }
    ensure!(deployment.messages(&check).await? == 2, "the messages of the step wait");
    deployment.has_no_dead_letter().await?;

    let running = after(&deployment, "")?;
    for (id, renders) in [("at-check", "after"), ("at-render", "before")] {
        let job = deployment.closed(id).await?;
        ensure!((job.status, tasks(&job)) == (JobStatus::Completed, recorded(&AFTER.steps[..4])), "{job:?}");
        let made_by = deployment.made_by(&job).await?;
        let expected = format!("draft after\nrender {renders}\ncheck after\npublish after\n");
        ensure!(made_by == expected, "{id}: {made_by}");
        ensure!(job.pipeline_hash == held.pipeline_hash);
    }
    running.stop().await?;
    deployment.has_no_dead_letter().await
}

#[tokio::test]
async fn an_older_worker_leaves_a_job_of_a_newer_layout_as_it_is() -> Result<()> {
    let deployment = Deployment::new().await?;
    let running = before(&deployment, "newer/render")?;
    deployment.submit("newer").await?;
    deployment.at_work("newer", RENDER).await?;
    running.stop().await?;
    let newer = layout_of_job(&deployment, "newer", Some(2)).await?;

    let running = before(&deployment, "")?;
    let words = "it was written by a newer release";
    deployment.until("it to be met", async || deployment.has_logged("before", RENDER, words)).await?;
    running.stop().await?;
    ensure!(layout_of_job(&deployment, "newer", None).await? == newer, "the part `job` has changed");
    ensure!(deployment.messages(&QueueName::new(RENDER)).await? == 1, "the message is given back");
    let (charged, attempts) = deployment.attempts("newer", RENDER).await?;
    ensure!(charged == 0 && attempts.iter().all(|attempt| attempt.outcome == Outcome::Released), "{attempts:?}");
    deployment.has_no_dead_letter().await
}

/// The part `job` as it stands in the table, with this layout from now on.
async fn layout_of_job(
    deployment: &Deployment,
    id: &str,
    layout: Option<u32>,
) -> Result<std::collections::HashMap<String, AttributeValue>> {
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk);
    let (job, part) = (AttributeValue::S(id.to_owned()), AttributeValue::S("job".to_owned()));
    if let Some(layout) = layout {
        let update = client.update_item().table_name(TABLE).key("job_id", job.clone()).key("part", part.clone());
        let update = update.update_expression("SET #layout = :layout").expression_attribute_names("#layout", "layout");
        update.expression_attribute_values(":layout", AttributeValue::N(layout.to_string())).send().await?;
    }
    let got =
        client.get_item().table_name(TABLE).key("job_id", job).key("part", part).consistent_read(true).send().await?;
    got.item.context("the job is gone")
}

fn before(deployment: &Deployment, held: &str) -> Result<Running> {
    deployment.start(env!("CARGO_BIN_EXE_worker-before"), BEFORE.name, BEFORE.steps, held)
}

fn after(deployment: &Deployment, held: &str) -> Result<Running> {
    deployment.start(env!("CARGO_BIN_EXE_worker-after"), AFTER.name, AFTER.steps, held)
}

/// The recorded tasks, the steps' by name and then the finalizer's.
fn tasks(job: &Job) -> Vec<String> {
    job.done.keys().map(ToString::to_string).collect()
}

/// The tasks of these steps, as they stand in a job that has closed and was told.
fn recorded(steps: &[&str]) -> Vec<String> {
    let mut tasks: Vec<String> = steps.iter().map(ToString::to_string).chain(["tell@0".to_owned()]).collect();
    tasks.sort_unstable();
    tasks
}
