//! From day to day and page to page: what to ask for next, and when a list is complete. Pure.

use std::collections::BTreeMap;

use qsketch_core::{Job, JobId, Time};
use qsketch_runtime::PortError;
use qsketch_runtime::ports::{DayPage, LOAD_MAX, Place, Places};

use super::{Cursor, EXAMINED_MAX, Listing, Query, Row};

/// How many UTC days have a share in a time.
pub(super) const fn days(since: Time, until: Time) -> u64 {
    let (first, last) = (since.day_begin().0, until.day_end().0);
    (last - first) / (Time(0).day_end().0 + 1) + 1
}

/// A list on its way.
pub(super) struct Walk<'a> {
    query: &'a Query,
    /// The latest time of the page ahead; none when every day was walked.
    until: Option<Time>,
    /// The place after which the page ahead begins.
    after: Option<Place>,
    rows: Vec<Row>,
    examined: usize,
    /// The last place that was looked at.
    last: Option<Place>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(query: &'a Query) -> Self {
        // A cursor of later than the end names nothing that was asked for: the list begins at its end.
        let after = query.after.as_ref().map(|cursor| cursor.0.clone()).filter(|place| place.created_at <= query.until);
        let until = after.as_ref().map_or(query.until, |place| place.created_at);
        let is_over = until < query.since;
        Self { query, until: (!is_over).then_some(until), after, rows: Vec::new(), examined: 0, last: None }
    }

    /// What to ask for next; none when the list is complete.
    pub(super) fn next(&self) -> Option<DayPage> {
        let until = self.until?;
        // Without statuses every job that is looked at is one of the list.
        let wanted = if self.query.statuses.is_empty() { self.query.limit - self.rows.len() } else { LOAD_MAX };
        let most = wanted.min(EXAMINED_MAX.saturating_sub(self.examined)).min(LOAD_MAX);
        (self.rows.len() < self.query.limit && most > 0).then(|| DayPage {
            tenant: self.query.tenant.clone(),
            since: self.query.since.max(until.day_begin()),
            until,
            after: self.after.clone(),
            most,
        })
    }

    /// The answer to what was asked last, with the jobs at its places.
    pub(super) fn took(&mut self, answer: Places, mut jobs: BTreeMap<JobId, Result<Job, PortError>>) {
        for place in answer.places {
            if self.rows.len() == self.query.limit {
                // Behind the last row; the next list looks at it.
                return;
            }
            self.examined += 1;
            self.after = Some(place.clone());
            self.last = Some(place.clone());
            match jobs.remove(&place.job) {
                Some(Ok(job)) if self.query.statuses.is_empty() || self.query.statuses.contains(&job.status) => {
                    self.rows.push(Row::of(place, job));
                }
                // Deleted since: the index lags behind.
                Some(Ok(_)) | None => {}
                Some(Err(error)) => self.rows.push(Row::unread(place, error.chain())),
            }
        }
        if answer.has_more {
            return;
        }
        let day = self.until.map(Time::day_begin).filter(|day| *day > self.query.since);
        self.until = day.map(|day| Time(day.0 - 1));
        self.after = None;
    }

    /// The list, as it was at `now`.
    pub(super) fn end(self, now: Time) -> Listing {
        // Where nothing was looked at, nothing is left either.
        let cursor = self.until.and(self.last).map(Cursor);
        Listing { tenant: self.query.tenant.clone(), jobs: self.rows, examined: self.examined, cursor, now }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use qsketch_core::{JobStatus, Tenant};

    use super::super::LIMIT_MAX;
    use super::*;

    const DAY: u64 = 86_400_000;

    /// Jobs as a store has them: when each was taken in, and how it is.
    #[derive(Clone, Debug)]
    struct Store(Vec<(Place, JobStatus)>);

    impl Store {
        fn answer(&self, page: &DayPage) -> Places {
            assert_eq!(page.since.day(), page.until.day(), "a page is of one day");
            assert!((1..=LOAD_MAX).contains(&page.most) && page.since <= page.until);
            assert!(page.after.as_ref().is_none_or(|after| after.created_at <= page.until));
            let mut places: Vec<Place> = self.0.iter().map(|(place, _)| place.clone()).collect();
            places.sort_by(|a, b| b.cmp(a));
            places.retain(|place| (page.since..=page.until).contains(&place.created_at));
            places.retain(|place| page.after.as_ref().is_none_or(|after| place < after));
            places.truncate(page.most);
            Places { has_more: places.len() == page.most, places }
        }

        fn jobs(&self, places: &Places) -> BTreeMap<JobId, Result<Job, PortError>> {
            let of = |place: &Place| {
                let (_, status) = self.0.iter().find(|(other, _)| other == place)?;
                Some((place.job.clone(), Ok(job(&place.job, *status))))
            };
            places.places.iter().filter_map(of).collect()
        }

        fn list(&self, query: &Query) -> Listing {
            let mut walk = Walk::new(query);
            while let Some(page) = walk.next() {
                let places = self.answer(&page);
                let jobs = self.jobs(&places);
                walk.took(places, jobs);
            }
            walk.end(Time(0))
        }
    }

    fn job(id: &JobId, status: JobStatus) -> Job {
        let pipeline = qsketch_core::Pipeline::builder("p")
            .step(qsketch_core::StepSpec::new("a"))
            .finalizer(qsketch_core::StepSpec::new("z"))
            .build();
        #[allow(clippy::unwrap_used, reason = "a fixed pipeline")]
        let job = Job::begun(id.clone(), tenant(), &pipeline.unwrap(), Time(0));
        Job { status, ..job }
    }

    #[allow(clippy::unwrap_used, reason = "a fixed name")]
    fn tenant() -> Tenant {
        Tenant::try_from("t").unwrap()
    }

    fn store() -> impl Strategy<Value = Store> {
        // Few times, so that several jobs share one; some at the very edges of days.
        let time =
            prop_oneof![0..4 * DAY, (0..5_u64).prop_map(|day| day * DAY), (1..5_u64).prop_map(|day| day * DAY - 1)];
        let status = prop::sample::select(JobStatus::ALL.to_vec());
        prop::collection::vec((time, status), 0..60).prop_map(|jobs| {
            let place = |(n, (at, status)): (usize, (u64, JobStatus))| {
                #[allow(clippy::unwrap_used, reason = "letters and digits")]
                let job = JobId::try_from(format!("j{n}")).unwrap();
                (Place { created_at: Time(at), job }, status)
            };
            Store(jobs.into_iter().enumerate().map(place).collect())
        })
    }

    proptest! {
        #[test]
        fn pages_joined_are_all_that_was_asked_for_and_each_once(
            store in store(),
            since in 0..4 * DAY,
            span in 0..4 * DAY,
            limit in 1..=12_usize,
            statuses in prop::collection::btree_set(prop::sample::select(JobStatus::ALL.to_vec()), 0..3),
        ) {
            let until = Time(since + span);
            let mut query = Query { tenant: tenant(), statuses, since: Time(since), until, limit, after: None };
            let mut expected: Vec<Place> = store.0.iter()
                .filter(|(place, _)| (query.since..=query.until).contains(&place.created_at))
                .filter(|(_, status)| query.statuses.is_empty() || query.statuses.contains(status))
                .map(|(place, _)| place.clone())
                .collect();
            expected.sort_by(|a, b| b.cmp(a));
            let mut found = Vec::new();
            // A list that ends early still moves on, so that there are no more lists than jobs, and one.
            for _ in 0..=store.0.len() {
                let listing = store.list(&query);
                prop_assert!(listing.jobs.len() <= limit);
                prop_assert!(listing.jobs.len() == limit || listing.cursor.is_none(), "a short list is the last one");
                found.extend(listing.jobs.into_iter().map(|row| Place { created_at: row.created_at, job: row.job }));
                query.after = listing.cursor;
                if query.after.is_none() {
                    break;
                }
            }
            prop_assert!(query.after.is_none(), "the list does not end");
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_cursor_reads_back_and_nothing_else_does(millis: u64, job in "[A-Za-z0-9_-]{1,64}", text in ".{0,40}") {
            let place = Place { created_at: Time(millis), job: JobId::try_from(job)? };
            prop_assert_eq!(Cursor(place.clone()).to_string().parse(), Ok(Cursor(place)));
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn a_rare_status_is_looked_for_in_a_bounded_number_of_jobs_and_then_goes_on() -> Result<(), qsketch_core::IdError> {
        let place = |n: u64| Ok(Place { created_at: Time(n), job: JobId::try_from(format!("j{n}"))? });
        let places = (0..2_500).map(place).collect::<Result<Vec<_>, qsketch_core::IdError>>()?;
        let status = |n: u64| if n == 7 { JobStatus::Failed } else { JobStatus::Completed };
        let store = Store(places.into_iter().zip(0..).map(|(place, n)| (place, status(n))).collect());
        let statuses = BTreeSet::from([JobStatus::Failed]);
        let query =
            Query { tenant: tenant(), statuses, since: Time(0), until: Time(9_999), limit: LIMIT_MAX, after: None };
        let first = store.list(&query);
        assert_eq!((first.jobs.len(), first.examined), (0, EXAMINED_MAX));
        let second = store.list(&Query { after: first.cursor, ..query.clone() });
        assert_eq!((second.jobs.len(), second.examined), (0, EXAMINED_MAX));
        let third = store.list(&Query { after: second.cursor, ..query });
        assert_eq!((third.jobs.len(), third.examined, third.cursor), (1, 500, None));
        Ok(())
    }

    #[test]
    fn a_cursor_from_outside_the_time_that_is_asked_for_brings_what_is_asked_for() -> Result<(), qsketch_core::IdError>
    {
        let place = |n: u64| {
            Ok::<_, qsketch_core::IdError>(Place { created_at: Time(n), job: JobId::try_from(format!("j{n}"))? })
        };
        let store = Store(vec![(place(5)?, JobStatus::Running), (place(6)?, JobStatus::Running)]);
        let query = |after| Query {
            tenant: tenant(),
            statuses: BTreeSet::new(),
            since: Time(4),
            until: Time(6),
            limit: 9,
            after: Some(Cursor(after)),
        };
        assert_eq!(store.list(&query(place(7)?)).jobs.len(), 2);
        assert_eq!(store.list(&query(place(6)?)).jobs.len(), 1);
        assert_eq!(store.list(&query(place(3)?)).jobs.len(), 0);
        Ok(())
    }

    #[test]
    fn a_job_that_can_not_be_read_stands_in_the_list_whatever_status_was_asked_for() -> Result<(), qsketch_core::IdError>
    {
        let places: Vec<Place> = [9, 8]
            .map(|n| JobId::try_from(format!("j{n}")).map(|job| Place { created_at: Time(n), job }))
            .into_iter()
            .collect::<Result<_, _>>()?;
        let statuses = BTreeSet::from([JobStatus::Failed]);
        let query = Query { tenant: tenant(), statuses, since: Time(0), until: Time(9), limit: 9, after: None };
        let mut walk = Walk::new(&query);
        let damaged = PortError::new("read part job of j9", qsketch_runtime::PortErrorKind::Newer);
        let jobs = BTreeMap::from([
            (places[0].job.clone(), Err(damaged)),
            (places[1].job.clone(), Ok(job(&places[1].job, JobStatus::Failed))),
        ]);
        walk.took(Places { places, has_more: false }, jobs);
        let rows = walk.end(Time(0)).jobs;
        let read: Vec<_> = rows.iter().map(|row| (row.job.as_str(), row.status)).collect();
        assert_eq!(read, [("j9", None), ("j8", Some(JobStatus::Failed))]);
        assert!(rows[0].problem.as_ref().is_some_and(|problem| problem.contains("read part job of j9")));
        Ok(())
    }

    #[test]
    fn days_are_counted_with_both_ends() {
        assert_eq!(days(Time(0), Time(0)), 1);
        assert_eq!(days(Time(DAY - 1), Time(DAY)), 2);
        assert_eq!(days(Time(0), Time(30 * DAY)), 31);
    }
}
