//! One look at a job in each state that it can stand still in.

use proptest::prelude::*;

use super::*;
use crate::failure::ErrorText;
use crate::ids::{JobId, Owner, Tenant};
use crate::parts::{Attempt, Closing, Done, Lease, Outcome, Part, Pause, Verdict};
use crate::pipeline::{Sharding, StepSpec, Wait};
use crate::write::apply;

type Tried<T> = Result<T, Box<dyn std::error::Error>>;

const BORN: Time = Time(1_000_000);

fn after(secs: u64) -> Time {
    BORN.plus(Duration::from_secs(secs))
}

/// a → b over a's list (wide from three elements on, two to a shard) → c; the finalizer is z.
struct Scene {
    pipeline: Pipeline,
    job: Job,
    tasks: BTreeMap<TaskId, Task>,
    shards: BTreeMap<ShardId, Shard>,
}

impl Scene {
    fn new() -> Tried<Self> {
        let builder = Pipeline::builder("p").sharding(Sharding { inline_width_max: 2, shard_width: 2 });
        let builder = builder.step(StepSpec::new("a")).step(StepSpec::new("b").over("a"));
        let pipeline = builder.step(StepSpec::new("c").after(["b"])).finalizer(StepSpec::new("z")).build()?;
        let job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, BORN);
        Ok(Self { pipeline, job, tasks: BTreeMap::new(), shards: BTreeMap::new() })
    }

    /// Its first step has made a list of so many elements, at the beginning.
    fn of_width(width: u32) -> Tried<Self> {
        let mut scene = Self::new()?;
        scene.done("a", Some(width))?;
        Ok(scene)
    }

    fn done(&mut self, task: &str, width: Option<u32>) -> Tried<()> {
        self.job.done.insert(task.parse()?, Done { attempt: 1, at: BORN, width, payload: None });
        Ok(())
    }

    fn task(&mut self, id: &str, change: impl FnOnce(&mut Task)) -> Tried<()> {
        let mut task = Task::begun(1, self.job.closing, BORN, 0);
        change(&mut task);
        self.tasks.insert(id.parse()?, task);
        Ok(())
    }

    fn closed(&mut self, verdict: Verdict, at: Time) {
        self.job.status = verdict.status();
        let (task, attempt, error_type, error, result) = (None, None, None, None, None);
        self.job.closings.push(Closing { verdict, at, task, attempt, error_type, error, result, refund: None });
    }

    fn look(&self, now: Time) -> Looking {
        look(Seen { pipeline: &self.pipeline, job: &self.job, tasks: &self.tasks, shards: &self.shards }, now)
    }

    /// The suspects as `task since`, in seconds from the beginning, and when the next look is.
    fn quiet(&self, secs: u64) -> Tried<(Vec<String>, Option<u64>)> {
        let Looking::Quiet(Outlook { suspects, next }) = self.look(after(secs)) else {
            return Err(format!("a write: {:?}", self.look(after(secs))).into());
        };
        let secs = |time: Time| time.since(BORN).as_secs();
        let suspects = suspects.iter().map(|it| format!("{} {}", it.message.task, secs(it.since))).collect();
        Ok((suspects, next.map(secs)))
    }

    fn mended(&mut self, secs: u64) -> Tried<Write> {
        let Looking::Mend(write) = self.look(after(secs)) else { return Err("no write".into()) };
        match &write {
            Write::Task { task, .. } => {
                match apply(&write, self.tasks.get(task).cloned().map(|it| Part::Task(Box::new(it))).as_ref()) {
                    Some(Part::Task(now)) => self.tasks.insert(task.clone(), *now).map(|_| ()),
                    _ => return Err("it was refused".into()),
                }
            }
            Write::Bury { shard, .. } => {
                match apply(&write, self.shards.get(shard).cloned().map(|it| Part::Shard(Box::new(it))).as_ref()) {
                    Some(Part::Shard(now)) => {
                        self.shards.insert(shard.clone(), *now);
                        Some(())
                    }
                    _ => return Err("it was refused".into()),
                }
            }
            _ => match apply(&write, Some(&Part::Job(Box::new(self.job.clone())))) {
                Some(Part::Job(now)) => {
                    self.job = *now;
                    Some(())
                }
                _ => return Err("it was refused".into()),
            },
        };
        Ok(write)
    }
}

fn lease(secs: u64) -> Tried<Option<Lease>> {
    Ok(Some(Lease { owner: Owner::try_from("o")?, until: after(secs) }))
}

fn ended(secs: u64, is_final: bool) -> Attempt {
    Attempt {
        attempt: 1,
        closing: 0,
        started_at: BORN,
        ended_at: after(secs),
        outcome: Outcome::Failed,
        error_type: "Boom".to_owned(),
        error: ErrorText::from("it broke"),
        is_final,
    }
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_message_that_is_gone_is_a_suspect_after_patience_and_looked_at_after_as_long_again() -> Tried<()> {
    let scene = Scene::new()?;
    assert_eq!(scene.quiet(0)?, (vec![], Some(120)));
    assert_eq!(scene.quiet(119)?, (vec![], Some(149)), "never at once");
    assert_eq!(scene.quiet(120)?, (list(&["a 0"]), Some(240)));
    assert_eq!(scene.quiet(240)?, (list(&["a 0"]), Some(480)));
    assert_eq!(scene.quiet(500)?, (list(&["a 0"]), Some(900)), "no later than its schedule-to-close");
    Ok(())
}

#[test]
fn whoever_holds_a_task_is_left_alone_until_its_lease_has_long_lapsed() -> Tried<()> {
    let mut scene = Scene::new()?;
    let lease = lease(300)?;
    scene.task("a", |task| task.lease = lease)?;
    assert_eq!(scene.quiet(290)?, (vec![], Some(421)));
    assert_eq!(scene.quiet(420)?, (vec![], Some(450)));
    assert_eq!(scene.quiet(421)?, (list(&["a 301"]), Some(541)));
    Ok(())
}

#[test]
fn a_task_that_waits_for_its_next_attempt_is_no_suspect_before_it() -> Tried<()> {
    let mut scene = Scene::new()?;
    scene.task("a", |task| {
        (task.not_before, task.charged) = (Some(after(600)), 1);
        task.attempts.push(ended(10, false));
    })?;
    assert_eq!(scene.quiet(500)?, (vec![], Some(720)));
    assert_eq!(scene.quiet(720)?, (list(&["a 600"]), Some(840)));
    Ok(())
}

#[test]
fn a_lapsed_last_attempt_is_ended_and_the_job_closed_for_it() -> Tried<()> {
    let mut scene = Scene::new()?;
    let lease = lease(300)?;
    scene.task("a", |task| (task.lease, task.attempt, task.charged) = (lease, 3, 2))?;
    assert_eq!(scene.quiet(400)?.0, list(&[]), "its message may still come");
    assert_eq!(scene.mended(421)?.kind(), "end");
    assert_eq!(scene.mended(421)?.kind(), "close");
    let closing = scene.job.closings.first().ok_or("no closing")?;
    assert_eq!((closing.verdict, closing.error_type.as_deref()), (Verdict::TimedOut, Some("Heartbeat")));
    Ok(())
}

#[test]
fn a_job_without_time_is_closed_and_its_notification_is_sent_at_once() -> Tried<()> {
    let mut scene = Scene::new()?;
    let write = scene.mended(900)?;
    assert_eq!(scene.job.status, JobStatus::TimedOut);
    let sent = follow_up(&scene.pipeline, &write, &scene.job);
    assert_eq!(sent.iter().map(|message| message.task.to_string()).collect::<Vec<_>>(), ["z@0"]);
    assert_eq!(scene.quiet(900)?, (vec![], Some(1_020)));
    assert_eq!(scene.quiet(1_020)?, (list(&["z@0 900"]), Some(1_140)));
    Ok(())
}

#[test]
fn a_job_whose_last_task_is_recorded_is_closed() -> Tried<()> {
    let mut scene = Scene::of_width(1)?;
    scene.done("b#0", None)?;
    scene.done("c", None)?;
    assert_eq!(scene.mended(1)?.kind(), "close");
    assert_eq!(scene.job.status, JobStatus::Completed);
    Ok(())
}

#[test]
fn of_a_paused_step_nothing_is_sent_and_its_time_goes_on() -> Tried<()> {
    let mut scene = Scene::of_width(2)?;
    scene.job.paused = Some(Pause { changes: 1, since: Some(BORN), ..Pause::default() });
    assert_eq!(scene.quiet(200)?, (vec![], Some(400)), "as long again as it has been paused");
    assert_eq!(scene.quiet(600)?, (vec![], Some(900)));
    assert_eq!(scene.mended(900)?.kind(), "close");
    let mut resumed = Scene::of_width(2)?;
    resumed.job.paused = Some(Pause { changes: 2, resumed_at: Some(after(600)), ..Pause::default() });
    assert_eq!(resumed.quiet(700)?.0, list(&[]));
    assert_eq!(resumed.quiet(720)?.0, list(&["b#0 600", "b#1 600"]), "whoever resumed it died before it sent");
    Ok(())
}

#[test]
fn of_a_wide_step_only_what_is_not_recorded_is_sent_and_a_full_shard_is_folded_by_one_message() -> Tried<()> {
    let mut scene = Scene::of_width(5)?;
    let record = Done { attempt: 1, at: after(50), width: None, payload: None };
    for (shard, elements) in [("b@0/0", vec![0, 1]), ("b@0/1", vec![2])] {
        let mut there = Shard::new(1, 0);
        there.done.extend(elements.into_iter().map(|element| (element, record.clone())));
        scene.shards.insert(shard.parse()?, there);
    }
    assert_eq!(scene.quiet(130)?.0, list(&["b#3 0", "b#4 0"]));
    assert_eq!(scene.quiet(170)?.0, list(&["b#0 50", "b#3 0", "b#4 0"]));
    let write = scene.mended(900)?;
    assert!(matches!(write, Write::Bury { element: 3, closing: 0, .. }), "{write:?}");
    assert_eq!(scene.mended(900)?.kind(), "close");
    Ok(())
}

#[test]
fn a_notification_whose_attempts_are_used_up_is_tried_anew_for_a_day() -> Tried<()> {
    let mut scene = Scene::new()?;
    scene.closed(Verdict::Completed, BORN);
    scene.task("z@0", |task| {
        task.charged = 3;
        task.attempts.push(ended(200, false));
    })?;
    assert_eq!(scene.quiet(300)?, (vec![], Some(400)));
    let write = scene.mended(400)?;
    assert!(matches!(&write, Write::Task { set, .. } if set.charged == 0), "{write:?}");
    assert_eq!(scene.quiet(400)?.0, list(&["z@0 200"]));
    scene.task("z@0", |task| {
        task.charged = 3;
        task.attempts.push(ended(86_400, false));
    })?;
    assert_eq!(scene.quiet(90_000)?, (vec![], None), "a day is over");
    scene.task("z@0", |task| task.attempts.push(ended(200, true)))?;
    assert_eq!(scene.quiet(90_000)?, (vec![], None), "it can't be mended by trying again");
    Ok(())
}

#[test]
fn what_is_told_or_was_rejected_is_not_looked_after() -> Tried<()> {
    let mut scene = Scene::new()?;
    scene.closed(Verdict::Canceled, BORN);
    scene.done("z@0", None)?;
    assert_eq!(scene.quiet(1_000)?, (vec![], None));
    scene.job.status = JobStatus::Rejected;
    assert_eq!(scene.quiet(1_000)?, (vec![], None));
    Ok(())
}

#[test]
fn into_an_empty_queue_all_is_sent_and_into_a_backlog_the_longest_standing_few() -> Tried<()> {
    let scene = Scene::of_width(40)?;
    let Looking::Quiet(Outlook { mut suspects, .. }) = scene.look(after(200)) else { return Err("a write".into()) };
    assert_eq!(suspects.len(), 40);
    suspects.last_mut().ok_or("none")?.since = Time(1);
    assert_eq!(choose(suspects.clone(), ABOUT_EMPTY, 0).len(), 40);
    let few = choose(suspects.clone(), ABOUT_EMPTY + 1, 0);
    assert_eq!((few.len(), few[0].message.task.to_string().as_str()), (RESENDS_IN_BACKLOG_MAX, "b#39"));
    assert_eq!(choose(suspects.clone(), 11, RESENDS_IN_BACKLOG_MAX - 1).len(), 1);
    assert!(choose(suspects, 11, RESENDS_IN_BACKLOG_MAX).is_empty());
    Ok(())
}

/// A job whose first step is recorded, and that waits for a signal or four hours.
fn on_wait(wait: Wait) -> Tried<Scene> {
    let mut scene = Scene::new()?;
    scene.pipeline = Pipeline::builder("p")
        .job_timeout(Duration::from_secs(48 * 3_600))
        .step(StepSpec::new("a"))
        .step(StepSpec::new("w").after(["a"]).wait(wait))
        .step(StepSpec::new("c").after(["w"]))
        .finalizer(StepSpec::new("z"))
        .build()?;
    scene.job = Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &scene.pipeline, BORN);
    scene.done("a", None)?;
    Ok(scene)
}

#[test]
fn a_job_that_only_waits_rests_until_its_time_or_for_hours_and_nothing_of_it_is_sent() -> Tried<()> {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let scene = on_wait(Wait::signal("go").or_after(hours(4)))?;
    assert_eq!(scene.quiet(1_000)?, (vec![], Some(4 * 3_600)), "a timer fires at the next look after its time");
    let scene = on_wait(Wait::signal("go").timeout(hours(24)))?;
    assert_eq!(scene.quiet(1_000)?, (vec![], Some(1_000 + WAIT_INTERVAL_MAX.as_secs())));
    Ok(())
}

#[test]
fn a_timer_that_is_due_is_recorded_and_what_follows_it_sent() -> Tried<()> {
    let mut scene = on_wait(Wait::after(Duration::from_secs(4 * 3_600)))?;
    let write = scene.mended(4 * 3_600)?;
    assert!(matches!(&write, Write::Record { done, .. } if done.attempt == 1), "{write:?}");
    let sent = follow_up(&scene.pipeline, &write, &scene.job);
    assert_eq!(sent.iter().map(|message| message.task.to_string()).collect::<Vec<_>>(), ["c"]);
    Ok(())
}

#[test]
fn a_wait_without_time_closes_the_job_and_so_does_the_deadline() -> Tried<()> {
    for (wait, secs, why) in [
        (Wait::signal("go").timeout(Duration::from_secs(24 * 3_600)), 24 * 3_600, "WaitTimeout"),
        (Wait::signal("go"), 48 * 3_600, "JobDeadline"),
    ] {
        let mut scene = on_wait(wait)?;
        scene.quiet(secs - 1)?;
        let write = scene.mended(secs)?;
        let sent = follow_up(&scene.pipeline, &write, &scene.job);
        assert_eq!(sent.iter().map(|message| message.task.to_string()).collect::<Vec<_>>(), ["z@0"]);
        let closing = scene.job.closings.first().ok_or("no closing")?;
        assert_eq!((closing.verdict, closing.error_type.as_deref()), (Verdict::TimedOut, Some(why)));
    }
    Ok(())
}

#[test]
fn what_a_signal_made_ready_and_its_sender_lost_is_a_suspect() -> Tried<()> {
    let mut scene = on_wait(Wait::signal("go"))?;
    scene.done("w", None)?;
    assert_eq!(scene.quiet(120)?.0, list(&["c 0"]));
    Ok(())
}

#[test]
fn of_several_that_look_one_moves_the_next_look() -> Tried<()> {
    let mut scene = Scene::new()?;
    let seen = scene.job.check_at.ok_or("nobody looks")?;
    let write = Write::Look { seen, next: Some(after(500)) };
    let job = |scene: &Scene| Part::Job(Box::new(scene.job.clone()));
    let Some(Part::Job(now)) = apply(&write, Some(&job(&scene))) else { return Err("it was refused".into()) };
    scene.job = *now;
    assert_eq!(apply(&write, Some(&job(&scene))), None);
    let last = Write::Look { seen: after(500), next: None };
    let Some(Part::Job(now)) = apply(&last, Some(&job(&scene))) else { return Err("it was refused".into()) };
    assert_eq!((now.check_at, now.check_shard), (None, None), "it leaves the index");
    Ok(())
}

proptest! {
    #[test]
    fn every_look_at_an_open_job_ends_in_a_write_that_holds_or_a_next_look_within_bounds(
        width in 0_u32..6,
        recorded in prop::collection::vec(0_u32..6, 0..4),
        lease_secs in prop::option::of(1_u64..2_000),
        charged in 0_u32..4,
        secs in 0_u64..4_000,
    ) {
        let mut scene = Scene::of_width(width).map_err(|error| TestCaseError::fail(error.to_string()))?;
        for element in recorded.into_iter().filter(|_| width <= 2) {
            let _ = scene.done(&format!("b#{element}"), None);
        }
        if let Some(until) = lease_secs {
            let held = lease(until).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let _ = scene.task("b#0", |task| (task.lease, task.charged) = (held, charged));
        }
        for _ in 0..4 {
            match scene.look(after(secs)) {
                Looking::Mend(_) => {
                    scene.mended(secs).map_err(|error| TestCaseError::fail(error.to_string()))?;
                }
                Looking::Quiet(Outlook { next, .. }) => {
                    let next = next.ok_or_else(|| TestCaseError::fail("nobody looks any more"))?;
                    prop_assert!(next >= after(secs).plus(LOOK_INTERVAL_MIN));
                    prop_assert!(next <= after(secs).plus(LOOK_INTERVAL_MAX));
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "it never came to rest");
    }
}
