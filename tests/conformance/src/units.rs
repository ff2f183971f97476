//! A walk through a job's life, and along the edges of the units, for what each step of it consumes.

use anyhow::{Context, Result, bail, ensure};
use qsketch_core::parts::Progress;
use qsketch_core::size::{Item, READ_UNIT_BYTES, WRITE_UNIT_BYTES};
use qsketch_core::{Commit, Footing, Input, Job, JobId, Owner, Task, TaskId, Tenant, Time, Verdict, Write};
use qsketch_runtime::ports::{DayPage, LOAD_MAX};
use qsketch_runtime::{Lists, Table};

use crate::gallery::{self, NOW};

/// How many jobs the longest list has.
const LIST: usize = LOAD_MAX;

/// What `read` says after each step of a walk, by the step's name. Every write in it is written: of a refused one a
/// store tells nothing.
///
/// # Errors
/// With the first step that fails, or is refused.
pub async fn walk<U>(
    table: &dyn Table,
    lists: &dyn Lists,
    id: &JobId,
    read: impl Fn() -> U + Send,
) -> Result<Vec<(String, U)>> {
    let mut told = Vec::new();
    for (name, step) in life(id)?.into_iter().chain(edges(id)?).chain(many(id)?) {
        match step {
            Step::Write(id, write) => match table.commit(&id, &write).await.with_context(|| name.clone())? {
                Commit::Written(_) => {}
                Commit::Overtaken(_) => bail!("{name} was refused"),
            },
            Step::LoadInput(id) => drop(table.load_input(&id).await.with_context(|| name.clone())?),
            Step::LoadJob(id) => drop(table.load_job(&id).await.with_context(|| name.clone())?),
            Step::LoadShard(id, shard) => drop(table.load_shard(&id, &shard).await.with_context(|| name.clone())?),
            Step::Places(page) => drop(lists.places(&page).await.with_context(|| name.clone())?),
            Step::Jobs(jobs) => drop(lists.jobs(&jobs).await.with_context(|| name.clone())?),
            Step::LoadTask(id, task) => drop(table.load_task(&id, &task).await.with_context(|| name.clone())?),
        }
        told.push((name, read()));
    }
    Ok(told)
}

enum Step {
    Write(JobId, Write),
    LoadInput(JobId),
    LoadJob(JobId),
    LoadTask(JobId, TaskId),
    LoadShard(JobId, qsketch_core::ShardId),
    Places(DayPage),
    Jobs(Vec<JobId>),
}

type Steps = Vec<(String, Step)>;

/// A job from its submission to its notification, one of its tasks tried again.
fn life(id: &JobId) -> Result<Steps> {
    let mut steps = Steps::new();
    let mut step = |name: &str, step| steps.push((name.to_owned(), step));
    let (a, b): (TaskId, TaskId) = ("a".parse()?, "b#0".parse()?);
    let write = |write| Step::Write(id.clone(), write);
    let record = |task: &TaskId, width| {
        let (task, done) = (task.clone(), gallery::done(1, width));
        write(Write::Record { task, closing: 0, done, result: None, close: None })
    };
    let task = |task: &TaskId, footing, set| write(Write::Task { task: task.clone(), footing, set: Box::new(set) });
    let held = |attempt| gallery::task(attempt, "owner", NOW);
    let mine = Footing::Mine { attempt: 1, owner: Owner::try_from("owner")? };

    step("the input", write(Write::CreateInput(Box::new(small_input(id)))));
    step("the job enters both indexes", write(Write::CreateJob(Box::new(gallery::job(id)?))));
    step("a load of the input", Step::LoadInput(id.clone()));
    step("a load of the job", Step::LoadJob(id.clone()));
    step("a load of a task that is not there", Step::LoadTask(id.clone(), a.clone()));
    step("a claim", task(&a, Footing::Absent, held(1)?));
    let progress = Some(Progress { permille: 425, note: gallery::UNICODE.to_owned() });
    step("a heartbeat", task(&a, mine.clone(), Task { progress, ..held(1)? }));
    step("a load of a task", Step::LoadTask(id.clone(), a.clone()));
    step("a record", record(&a, Some(3)));
    step("another claim", task(&b, Footing::Absent, held(1)?));
    step("a failure", task(&b, mine, gallery::ended(held(1)?)));
    step("a second claim", task(&b, Footing::Seen { attempt: 1, lease_until: None }, held(2)?));
    step("another record", record(&b, None));
    let last = Write::Record {
        task: "c".parse()?,
        closing: 0,
        done: gallery::done(1, None),
        result: Some(gallery::UNICODE.to_owned()),
        close: Some(Box::new(gallery::full_closing(Verdict::Completed, "c")?)),
    };
    let (shard, done) = ("w@0/3".parse::<qsketch_core::ShardId>()?, gallery::done(1, None));
    let element = |element| Write::RecordElement {
        shard: shard.clone(),
        element,
        closing: 0,
        done: done.clone(),
        expires_at: 1_900_000_000,
    };
    step("a wide step's first record in a shard", write(element(96)));
    step("its second", write(element(97)));
    step(
        "a tombstone",
        write(Write::Bury { shard: shard.clone(), element: 98, closing: 0, expires_at: 1_900_000_000 }),
    );
    step("a load of the shard", Step::LoadShard(id.clone(), shard.clone()));
    step("its fold", write(Write::Fold { shard: shard.clone(), closing: 0, at: NOW, close: None }));
    step("the last record closes the job", write(last));
    let task = "z@0".parse()?;
    let last = Write::RecordFinal { task, closing: 0, done: gallery::done(1, None) };
    step("the finalizer's record takes the job out of one index", write(last));
    step("a load of the closed job", Step::LoadJob(id.clone()));
    step("a load of a job that is not there", Step::LoadJob(JobId::try_from(format!("{id}-none"))?));
    Ok(steps)
}

/// Lists of more jobs than one unit of a read holds the places of.
fn many(id: &JobId) -> Result<Steps> {
    let ids = (0..LIST).map(|n| JobId::try_from(format!("{id}-list-{n:03}"))).collect::<Result<Vec<_>, _>>()?;
    let tenant = Tenant::try_from("of-the-list")?;
    let mut steps = Steps::new();
    for (n, id) in (0..).zip(&ids) {
        let job = Job::begun(id.clone(), tenant.clone(), &gallery::pipeline()?, Time(NOW.0 + n));
        steps.push((format!("job {n} of a list"), Step::Write(id.clone(), Write::CreateJob(Box::new(job)))));
    }
    let (since, until) = (NOW.day_begin(), NOW.day_end());
    let page = |most| DayPage { tenant: tenant.clone(), since, until, after: None, most };
    let before = DayPage { since, until: Time(NOW.0 - 1), ..page(LIST) };
    steps.push(("a list of nothing".to_owned(), Step::Places(before)));
    for most in [1, 20, LIST] {
        steps.push((format!("{most} places of a list"), Step::Places(page(most))));
        steps.push((format!("{most} jobs of a list"), Step::Jobs(ids[..most].to_vec())));
    }
    let full = JobId::try_from(format!("{id}-job1"))?;
    let gone = JobId::try_from(format!("{id}-none"))?;
    steps.push(("a large job, one that is gone and a small one".to_owned(), Step::Jobs(vec![full, gone, id.clone()])));
    Ok(steps)
}

/// Parts with everything in them, each once as long as its units hold and once longer by a byte: where the sizes differ
/// by a single byte, the units do.
fn edges(id: &JobId) -> Result<Steps> {
    let mut steps = Steps::new();
    for (over, what) in [(0, "full units"), (1, "one byte more")] {
        let id = |part: &str| Ok::<_, anyhow::Error>(JobId::try_from(format!("{id}-{part}{over}"))?);
        for unit in [WRITE_UNIT_BYTES, READ_UNIT_BYTES] {
            let id = id(&format!("input{unit}-"))?;
            let input = |pad: usize| Input { content_hash: "h".repeat(pad), ..gallery::input(&id) };
            let input = input(pad(over, unit, |pad| Item::of_input(&input(pad)))?);
            steps.push((
                format!("an input of {what} of {unit} bytes"),
                Step::Write(id.clone(), Write::CreateInput(Box::new(input))),
            ));
            steps.push((format!("its load ({what})"), Step::LoadInput(id)));
        }
        let job_id = id("job")?;
        let full = gallery::full_job(&job_id)?;
        let job = |pad: usize| Job { result: Some("r".repeat(pad)), ..full.clone() };
        let job = job(pad(over, READ_UNIT_BYTES, |pad| Item::of_job(&job(pad)))?);
        steps.push((format!("a full job of {what}"), Step::Write(job_id.clone(), Write::CreateJob(Box::new(job)))));
        steps.push((format!("its load ({what})"), Step::LoadJob(job_id)));
        let (task_id, task): (_, TaskId) = (id("task")?, "b#7".parse()?);
        let full = gallery::full_task()?;
        let noted =
            |pad: usize| Task { progress: Some(Progress { permille: 999, note: "n".repeat(pad) }), ..full.clone() };
        let set = noted(pad(over, WRITE_UNIT_BYTES, |pad| Item::of_task(&task_id, &task, &noted(pad)))?);
        let write = |footing, set| Write::Task { task: task.clone(), footing, set: Box::new(set) };
        let footing = Footing::Mine { attempt: u32::MAX, owner: Owner::try_from("A-z_09")? };
        steps.push((format!("a full task of {what}"), Step::Write(task_id.clone(), write(Footing::Absent, set))));
        let less = Step::Write(task_id.clone(), write(footing, gallery::task(1, "owner", NOW)?));
        steps.push((format!("less in its place ({what})"), less));
        steps.push((format!("its load ({what})"), Step::LoadTask(task_id, task.clone())));
    }
    Ok(steps)
}

/// How long the padding must be for an item of full units, and `over` bytes more.
fn pad(over: u64, unit: u64, item: impl Fn(usize) -> Item) -> Result<usize> {
    // One byte, because an empty text may have no attribute at all.
    let least = item(1).bytes();
    let pad = usize::try_from(least.next_multiple_of(unit) - least + 1 + over)?;
    ensure!(item(pad).bytes() == least.next_multiple_of(unit) + over, "the padding is not counted byte by byte");
    Ok(pad)
}

fn small_input(id: &JobId) -> Input {
    Input { submission: serde_json::json!({ "prompt": "nothing at all" }), ..gallery::input(id) }
}
