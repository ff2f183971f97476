//! The graphs of jobs, kept in memory: a deployment has a handful, and each never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use qsketch_core::pipeline::PipelineHash;
use qsketch_core::{Job, Pipeline};

use crate::drive::patiently;
use crate::ports::{PortError, PortErrorKind, Table};

/// How many graphs are kept.
const PIPELINES_MAX: usize = 64;

/// The graphs that were loaded.
#[derive(Default)]
pub struct Pipelines {
    known: Mutex<HashMap<PipelineHash, Arc<Pipeline>>>,
    /// Held while a graph is loaded: of many that need it at once, one loads it.
    loading: tokio::sync::Mutex<()>,
}

impl Pipelines {
    /// The graph of this hash; none where the table has none.
    ///
    /// # Errors
    /// [`PortError`] of the table.
    pub async fn get(&self, table: &dyn Table, hash: &PipelineHash) -> Result<Option<Arc<Pipeline>>, PortError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner).get(hash).map(Arc::clone);
        if let Some(known) = known() {
            return Ok(Some(known));
        }
        let _loading = self.loading.lock().await;
        if let Some(known) = known() {
            return Ok(Some(known));
        }
        let Some(loaded) = patiently(|| table.load_pipeline(hash)).await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PIPELINES_MAX {
            known.clear();
        }
        known.insert(hash.clone(), Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    /// The graph that a job began with.
    ///
    /// # Errors
    /// [`PortError`] of the table; [`PortErrorKind::Damaged`] where it is not there.
    pub async fn of_job(&self, table: &dyn Table, job: &Job) -> Result<Arc<Pipeline>, PortError> {
        let hash = &job.pipeline_hash;
        self.get(table, hash).await?.ok_or_else(|| {
            PortError::new(format!("load pipeline {} of job {}", hash.as_str(), job.job_id), PortErrorKind::Damaged)
                .because("it is not in the table")
        })
    }
}
