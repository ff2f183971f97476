//! Gives back what a dead process had in its hands: called by whoever outlived it, once nothing of it is left.
//!
//! ```text
//!   intent without a claim ───────────────────────────────────────────────► visible at once
//!   intent with a claim ─► load job ∥ task ∥ pipeline ─► core ─► end it ─► hidden for as long as the core says
//! ```
//! Losing a race is no error: then the attempt was ended or taken over, and the message just becomes visible. What can't be
//! given back waits for its lease, as it would without all this.

use core::time::Duration;
use std::collections::BTreeMap;

use futures_util::future::join_all;
use qsketch_core::backoff::Jitter;
use qsketch_core::decide::{GivingBack, Known, give_back_after_crash};
use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{Claim, Commit, JobId, Pipeline, route};
use tokio::sync::OnceCell;

use crate::drive::patiently;
use crate::intent::Intent;
use crate::ports::{HIDE_MAX, Hidden, PortError, Ports};

/// How long giving back one delivery may take; it takes four calls in sequence.
pub const GIVE_BACK_MAX: Duration = Duration::from_secs(5);

/// Each pipeline that is needed, loaded once.
type Pipelines = BTreeMap<PipelineHash, OnceCell<Option<Pipeline>>>;

/// Gives all of these back at the same time; how many were.
pub async fn give_back(ports: &Ports, intents: &[Intent]) -> usize {
    let pipelines: Pipelines = intents.iter().map(|intent| (intent.pipeline.clone(), OnceCell::new())).collect();
    let given = intents.iter().map(|intent| async {
        let reason = match tokio::time::timeout(GIVE_BACK_MAX, one(ports, &pipelines, intent)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.chain(),
            Err(elapsed) => elapsed.to_string(),
        };
        let Intent { queue, message_id, job, .. } = intent;
        tracing::warn!(%queue, message_id, %job, reason, "not given back: its lease will lapse");
        false
    });
    join_all(given).await.into_iter().filter(|is_given| *is_given).count()
}

async fn one(ports: &Ports, pipelines: &Pipelines, intent: &Intent) -> Result<(), PortError> {
    let mut hide = HIDE_MAX;
    for claim in intent.tasks.values() {
        let rest = match claim {
            Some(claim) => end(ports, pipelines, intent, claim).await?,
            None => Duration::ZERO,
        };
        // One message stands for all of them: whichever may go on first brings it back.
        hide = hide.min(rest);
    }
    let hidden = patiently(|| ports.queues.hide(&intent.queue, &intent.receipt, hide)).await?;
    let Intent { queue, message_id, job, .. } = intent;
    let is_gone = hidden == Hidden::Gone;
    tracing::info!(%queue, message_id, %job, hide_ms = hide.as_millis(), is_gone, "given back");
    Ok(())
}

/// Ends an attempt, where the dead process still holds it; for how long the message is to rest.
async fn end(ports: &Ports, pipelines: &Pipelines, intent: &Intent, claim: &Claim) -> Result<Duration, PortError> {
    let (table, id) = (&ports.table, &intent.job);
    let (job, task, pipeline) = tokio::join!(
        patiently(|| table.load_job(id)),
        patiently(|| table.load_task(id, &claim.task)),
        pipeline(ports, pipelines, &intent.pipeline),
    );
    let (job, task) = (job?, task?);
    let Some((pipeline, job)) = pipeline?.zip(job) else { return Ok(Duration::ZERO) };
    let shard = match route::shard_to_load(pipeline, &claim.task, job.generation(claim.task.step())) {
        Some(shard) => patiently(|| table.load_shard(id, &shard)).await?,
        None => None,
    };
    let known = Known { job: Some(&job), task: task.as_ref(), shard: shard.as_ref() };
    let (now, jitter) = (ports.clock.now(), Jitter(ports.clock.draw()));
    match give_back_after_crash(pipeline, claim, known, jitter, now) {
        GivingBack::Reveal => Ok(Duration::ZERO),
        GivingBack::End { write, until } => {
            let commit = patiently(|| table.commit(id, &write)).await?;
            log(id, claim, &commit);
            Ok(if matches!(commit, Commit::Written(_)) { until.since(ports.clock.now()) } else { Duration::ZERO })
        }
    }
}

async fn pipeline<'a>(
    ports: &Ports,
    pipelines: &'a Pipelines,
    hash: &PipelineHash,
) -> Result<Option<&'a Pipeline>, PortError> {
    let Some(cell) = pipelines.get(hash) else { return Ok(None) };
    let loaded = cell.get_or_try_init(|| patiently(|| ports.table.load_pipeline(hash))).await?;
    Ok(loaded.as_ref())
}

fn log(job: &JobId, claim: &Claim, commit: &Commit) {
    let (task, attempt, refused) = (&claim.task, claim.attempt, matches!(commit, Commit::Overtaken(_)));
    tracing::info!(%job, %task, attempt, refused, outcome = "CRASHED", "end");
}
