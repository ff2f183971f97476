//! What the table was told, as the proxies saw it: who claimed what when, and what was recorded.
//!
//! A write counts from when its request was handed to the table until the table had answered. So what one write's answer
//! came before the other's request left is known to be earlier; of writes that overlap nothing is known, and nothing said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use qsketch_core::{Done, Job, JobId, Shard, ShardId, Task, TaskId};
use serde_json::Value;

use crate::journal::Tried;

/// When a write was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When its request was handed to the table.
    pub from: Instant,
    /// When the table had answered.
    pub to: Instant,
}

/// What was seen of one run.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The first write of each attempt, and which slot's proxy carried it.
    pub claims: BTreeMap<Tried, (Span, usize)>,
    /// The first write whose answer told of each record, and the record.
    pub records: BTreeMap<(JobId, TaskId), (Span, Done)>,
    /// What can't be: a record that changed, an attempt that went back.
    pub contradictions: Vec<String>,
}

/// Watches all writes.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Seen>);

impl Watch {
    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A write of the table that it has carried out: `target` is its operation, as the header names it.
    pub fn wrote(&self, slot: usize, target: &str, request: &[u8], answer: &[u8], span: Span) {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let (key, item) = match target.rsplit('.').next() {
            Some("PutItem") => (&request["Item"], &request["Item"]),
            Some("UpdateItem") => (&request["Key"], &answer["Attributes"]),
            _ => return,
        };
        let text = |name: &str| key[name]["S"].as_str().unwrap_or_default();
        let Ok(job) = JobId::try_from(text("job_id")) else { return };
        let item = plain(&serde_json::json!({"M": item}));
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match text("part").split_once(':') {
            Some(("task", task)) => seen.task(job, task, item, span, slot),
            Some(("done", shard)) => seen.shard(&job, shard, item, span),
            _ if text("part") == "job" => seen.job(&job, item, span),
            _ => {}
        }
    }
}

impl Seen {
    fn task(&mut self, job: JobId, task: &str, item: Value, span: Span, slot: usize) {
        let (Ok(task), Ok(part)) = (task.parse::<TaskId>(), serde_json::from_value::<Task>(item)) else {
            return self.contradictions.push(format!("a part of task {task} of job {job} can't be read"));
        };
        let tried = Tried { job, task, attempt: part.attempt };
        let first = self.claims.entry(tried).or_insert((span, slot));
        if span.from < first.0.from {
            *first = (span, slot);
        }
    }

    fn job(&mut self, job: &JobId, item: Value, span: Span) {
        match serde_json::from_value::<Job>(item) {
            Ok(part) => part.done.into_iter().for_each(|(task, done)| self.record(job, task, done, span)),
            Err(error) => self.contradictions.push(format!("the part of job {job} can't be read: {error}")),
        }
    }

    fn shard(&mut self, job: &JobId, shard: &str, item: Value, span: Span) {
        let (Ok(id), Ok(part)) = (shard.parse::<ShardId>(), serde_json::from_value::<Shard>(item)) else {
            return self.contradictions.push(format!("shard {shard} of job {job} can't be read"));
        };
        for (element, done) in part.done {
            self.record(job, TaskId::element(id.step().clone(), element), done, span);
        }
    }

    fn record(&mut self, job: &JobId, task: TaskId, done: Done, span: Span) {
        let first = self.records.entry((job.clone(), task.clone())).or_insert_with(|| (span, done.clone()));
        if first.1 != done {
            let what = format!("job {job}: the record of {task} is {:?}, and then {done:?}", first.1);
            self.contradictions.push(what);
        }
        if span.to < first.0.to {
            first.0 = span;
        }
    }
}

/// A value of the table's own JSON as plain JSON.
///
/// # Source
/// DynamoDB API reference, `AttributeValue`; read 2026-11-27.
fn plain(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|all| all.iter().next()) else { return Value::Null };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => serde_json::from_str(number).unwrap_or_default(),
        ("M", Value::Object(map)) => map.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        ("L", Value::Array(list)) => list.iter().map(plain).collect(),
        ("NULL", _) => Value::Null,
        (_, other) => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        let now = Instant::now();
        Span { from: now, to: now }
    }

    #[test]
    fn a_record_that_changes_is_a_contradiction() -> Result<(), Box<dyn std::error::Error>> {
        let (job, task): (_, TaskId) = (JobId::try_from("j")?, "a".parse()?);
        let done = |attempt| Done { attempt, at: qsketch_core::Time(1), width: None, payload: None };
        let mut seen = Seen::default();
        seen.record(&job, task.clone(), done(1), span());
        seen.record(&job, task.clone(), done(1), span());
        assert!(seen.contradictions.is_empty());
        seen.record(&job, task, done(2), span());
        assert_eq!(seen.contradictions.len(), 1);
        Ok(())
    }

    #[test]
    fn a_claim_is_read_from_its_request() -> Result<(), Box<dyn std::error::Error>> {
        let watch = Watch::default();
        let request = br#"{"Item": {"job_id": {"S": "j"}, "part": {"S": "task:a#1"}, "layout": {"N": "1"},
            "attempt": {"N": "3"}, "closing": {"N": "0"}, "started_at": {"N": "5"}, "charged": {"N": "0"},
            "released": {"N": "0"}, "attempts": {"L": []}, "expires_at": {"N": "9"}}}"#;
        watch.wrote(7, "DynamoDB_20120810.PutItem", request, b"{}", span());
        let seen = watch.seen();
        let tried = Tried { job: JobId::try_from("j")?, task: "a#1".parse()?, attempt: 3 };
        assert_eq!(seen.claims.get(&tried).map(|(_, slot)| *slot), Some(7), "{seen:?}");
        Ok(())
    }
}
