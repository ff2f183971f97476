//! Listing a tenant's jobs, newest first: by the index of tenants and days, never by a scan.
//!
//! ```text
//!   Query ─► Walk ─► a page of a day's places ─► the jobs at these places ─► Walk ─► … ─► Listing
//!            pure     Lists::places               Lists::jobs               pure          rows, and a cursor
//! ```
//! What a list costs depends on how many jobs it looks at and over how many days, and not on how many there are.

mod walk;

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

use qsketch_core::{Closing, Job, JobId, JobStatus, Refusal, Tenant, Time};
use qsketch_runtime::Ports;
use qsketch_runtime::ports::Place;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::error::OpsError;
use walk::Walk;

/// How many jobs a list holds where nothing else was asked for.
pub const LIMIT_DEFAULT: usize = 20;

/// The most jobs of one list.
pub const LIMIT_MAX: usize = 100;

/// How far back a list goes where nothing else was asked for, in days: for that long jobs are kept after their deadline.
pub const DAYS_DEFAULT: u64 = 30;

/// The most days of one list: each costs a call, whether it has jobs or not.
pub const DAYS_MAX: u64 = 366;

/// The most jobs that one list looks at for the statuses that were asked for; the index does not know them.
pub const EXAMINED_MAX: usize = 1_000;

/// Which jobs are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Whose.
    pub tenant: Tenant,
    /// In which statuses; none means all.
    pub statuses: BTreeSet<JobStatus>,
    /// Taken in then or later.
    pub since: Time,
    /// Taken in then or earlier.
    pub until: Time,
    /// How many at most, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Where an earlier list ended.
    pub after: Option<Cursor>,
}

/// Where a list ended: the place of the last job that it looked at, as text `MILLISECONDS.JOB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Place);

/// A text is no cursor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("it is not a cursor that a list ended with")]
pub struct NoCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.created_at.0, self.0.job)
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (millis, job) = text.split_once('.').ok_or(NoCursor)?;
        let created_at = millis.parse().map(Time).map_err(|_| NoCursor)?;
        let cursor = Self(Place { created_at, job: JobId::try_from(job).map_err(|_| NoCursor)? });
        // One way to write each: no plus, no zeroes in front.
        if cursor.to_string() == text { Ok(cursor) } else { Err(NoCursor) }
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub job: JobId,
    /// When it was taken in.
    pub created_at: Time,
    /// How it is; none for one that can't be read.
    pub status: Option<JobStatus>,
    /// Its pipeline's name.
    pub pipeline: Option<String>,
    /// When its time is over.
    pub deadline: Option<Time>,
    /// When it closed.
    pub closed_at: Option<Time>,
    /// How it closed.
    pub closing: Option<Closing>,
    /// Where its result is.
    pub result: Option<String>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// Why it can't be read.
    pub problem: Option<String>,
}

impl Row {
    fn of(place: Place, job: Job) -> Self {
        let closing = job.closings.last().filter(|_| job.status.is_closed()).cloned();
        let closed_at = match job.status {
            JobStatus::Queued | JobStatus::Running => None,
            JobStatus::Rejected => Some(job.created_at),
            JobStatus::Completed | JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled => {
                closing.as_ref().map(|closing| closing.at)
            }
        };
        Self {
            job: place.job,
            created_at: place.created_at,
            status: Some(job.status),
            pipeline: Some(job.pipeline),
            deadline: Some(job.deadline),
            closed_at,
            closing,
            result: job.result,
            refusal: job.refusal,
            problem: None,
        }
    }

    fn unread(place: Place, problem: String) -> Self {
        Self {
            job: place.job,
            created_at: place.created_at,
            status: None,
            pipeline: None,
            deadline: None,
            closed_at: None,
            closing: None,
            result: None,
            refusal: None,
            problem: Some(problem),
        }
    }
}

/// A tenant's jobs, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listing {
    /// Whose.
    pub tenant: Tenant,
    /// The jobs.
    pub jobs: Vec<Row>,
    /// How many jobs were looked at.
    pub examined: usize,
    /// What to ask with for those behind them; none when there are no more.
    pub cursor: Option<Cursor>,
    /// When it was looked at.
    pub now: Time,
}

/// A tenant's jobs, newest first.
///
/// A job that was taken in a moment ago may be missing, or seen as it was before: the index and the reads are eventually
/// consistent, at half the price. One that can't be read stands in the list with its problem, whatever status was asked
/// for.
///
/// # Errors
/// [`OpsError::BadQuestion`], [`OpsError::Port`].
pub async fn list(ports: &Ports, query: &Query) -> Result<Listing, OpsError> {
    check(query)?;
    let mut walk = Walk::new(query);
    while let Some(page) = walk.next() {
        let places = ports.lists.places(&page).await?;
        let ids: Vec<JobId> = places.places.iter().map(|place| place.job.clone()).collect();
        let jobs = if ids.is_empty() { Default::default() } else { ports.lists.jobs(&ids).await? };
        walk.took(places, jobs);
    }
    Ok(walk.end(ports.clock.now()))
}

fn check(query: &Query) -> Result<(), OpsError> {
    let bad = |problem: String| Err(OpsError::BadQuestion { problem });
    if !(1..=LIMIT_MAX).contains(&query.limit) {
        return bad(format!("the limit is {}: give 1 to {LIMIT_MAX}", query.limit));
    }
    if query.since > query.until {
        return bad(format!("the list ends at {} and begins after that, at {}", query.until, query.since));
    }
    let days = walk::days(query.since, query.until);
    if days > DAYS_MAX {
        return bad(format!("{} to {} is {days} days: ask for at most {DAYS_MAX} at once", query.since, query.until));
    }
    Ok(())
}
