//! What every write stands on and does, in DynamoDB's own words as they go over the wire: `golden/writes.md`, which
//! `docs/protocol.md` has as its table of writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use qsketch_aws::DynamoTable;
use qsketch_core::parts::{Lease, Pause};
use qsketch_core::refund::{Issued, Redemption};
use qsketch_core::write::{Kept, Reopened, Started};
use qsketch_core::{
    Closing, Commit, Done, Footing, Input, Job, JobId, Owner, Pipeline, ShardId, StepName, StepSpec, Task, TaskId,
    Tenant, Time, Verdict, Write,
};
use qsketch_runtime::Table;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest request that is read, in bytes: each of these writes is a few hundred.
const REQUEST_BYTES_MAX: usize = 65_536;

/// One row: what it is called, who makes it, the write.
type Row = (&'static str, &'static str, Write);

#[tokio::test]
async fn the_table_of_writes_has_the_expressions_that_go_over_the_wire() -> Result<()> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let server = tokio::spawn(refuse_everything(listener, Arc::clone(&heard)));
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await;
    let (table, id) = (DynamoTable::new(&sdk, "jobs"), JobId::try_from("j")?);
    let mut kinds = BTreeSet::new();
    let mut text = "| write | made by | part | stands on | does |\n|---|---|---|---|---|\n".to_owned();
    for (name, by, write) in rows(&id)? {
        kinds.insert(kind(&write));
        let commit = table.commit(&id, &write).await?;
        ensure!(commit == Commit::Overtaken(None), "{name}: {commit:?}");
        let request = heard.lock().unwrap().pop().with_context(|| format!("{name}: no request"))?;
        let part = request.pointer("/Key/part/S").or(request.pointer("/Item/part/S")).and_then(Value::as_str);
        let (stands_on, does) = (words(&request, "ConditionExpression"), words(&request, "UpdateExpression"));
        let does = if does.is_empty() { "puts the part".to_owned() } else { format!("`{does}`") };
        writeln!(text, "| {name} | {by} | `{}` | `{stands_on}` | {does} |", part.context("no part")?)?;
    }
    server.abort();
    ensure!(kinds.into_iter().eq(0..KINDS), "a kind of write has no row");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/writes.md");
    if is_blessed() {
        std::fs::write(&path, &text)?;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    ensure!(kept == text, "golden/writes.md is not what is sent now: BLESS=1 writes it anew; it says\n{text}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says so in their environment")]
fn is_blessed() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// An expression with its names in place; the values stay placeholders.
fn words(request: &Value, expression: &str) -> String {
    let mut text = request[expression].as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> =
        serde_json::from_value(request["ExpressionAttributeNames"].clone()).unwrap_or_default();
    // The longer ones first: `#closings` begins as `#closing` does.
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|(placeholder, _)| core::cmp::Reverse(placeholder.len()));
    for (placeholder, name) in names {
        text = text.replace(&placeholder, &name);
    }
    text
}

/// How many kinds of writes there are.
const KINDS: u8 = 17;

/// The number of a write's kind. A new one does not compile without a number here, and then wants a row.
const fn kind(write: &Write) -> u8 {
    match write {
        Write::CreateInput(_) => 0,
        Write::CreateJob(_) => 1,
        Write::Task { .. } => 2,
        Write::Record { .. } => 3,
        Write::RecordFinal { .. } => 4,
        Write::RecordElement { .. } => 5,
        Write::Bury { .. } => 6,
        Write::Fold { .. } => 7,
        Write::Close { .. } => 8,
        Write::Reopen { .. } => 9,
        Write::Pause { .. } => 10,
        Write::Expire { .. } => 11,
        Write::Look { .. } => 12,
        Write::Issue { .. } => 13,
        Write::Redeem { .. } => 14,
        Write::Start(_) => 15,
        Write::Withdraw { .. } => 16,
    }
}

/// Every kind of write, each as the smallest that there is.
fn rows(id: &JobId) -> Result<Vec<Row>> {
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    let job = Job::begun(id.clone(), Tenant::try_from("t")?, &pipeline, Time(0));
    let input = Input {
        layout: 1,
        job_id: id.clone(),
        content_hash: "h".to_owned(),
        submission: json!({}),
        received_at: Time(0),
        expires_at: 0,
    };
    let (task, last) = (TaskId::only(StepName::try_from("a")?), TaskId::closing(StepName::try_from("z")?, 0));
    let shard = ShardId::new(StepName::try_from("b")?, 0, 0);
    let owner = Owner::try_from("o")?;
    let lease = Lease { owner: owner.clone(), until: Time(1) };
    let ended = Task::begun(2, 0, Time(0), 0);
    let claimed = Task { lease: Some(lease), ..ended.clone() };
    let done = Done { attempt: 1, at: Time(0), width: None, payload: None };
    let entry = |task: Option<TaskId>| Closing {
        verdict: Verdict::Failed,
        at: Time(0),
        task,
        attempt: None,
        error_type: None,
        error: None,
        result: None,
        refund: None,
    };
    let reopened = Reopened {
        done: BTreeMap::new(),
        folded: BTreeMap::new(),
        generations: BTreeMap::new(),
        deadline: Time(0),
        at: Time(0),
        check_shard: "check#0".to_owned(),
        check_at: Time(0),
    };
    let of = |footing: Footing, set: &Task| Write::Task { task: task.clone(), footing, set: Box::new(set.clone()) };
    let record = |close| Write::Record { task: task.clone(), closing: 0, done: done.clone(), result: None, close };
    let fold = |close| Write::Fold { shard: shard.clone(), closing: 0, at: Time(0), close };
    let reopen = |is_notified| Write::Reopen {
        closing: 0,
        finalizer: last.clone(),
        is_notified,
        is_refunded: false,
        set: Box::new(reopened.clone()),
    };
    let kept = Kept { check_shard: "check#0".to_owned(), check_at: Time(0), expires_at: 0 };
    let started = Started { at: Time(0), deadline: Time(0), kept: kept.clone() };
    let (worker, reconciler, person) = ("the worker", "the reconciler", "a person");
    let (seen, over) = (Some(Time(1)), None);
    Ok(vec![
        ("create input", "intake", Write::CreateInput(Box::new(input))),
        ("create job", "intake", Write::CreateJob(Box::new(job))),
        ("claim, the first", worker, of(Footing::Absent, &claimed)),
        ("claim, after a lapse", worker, of(Footing::Seen { attempt: 1, lease_until: seen }, &claimed)),
        ("claim, after an end", worker, of(Footing::Seen { attempt: 1, lease_until: over }, &claimed)),
        ("heartbeat", worker, of(Footing::Mine { attempt: 2, owner: owner.clone() }, &claimed)),
        (
            "failure, time-out, release, overload",
            worker,
            of(Footing::Mine { attempt: 2, owner: owner.clone() }, &ended),
        ),
        ("crash", "the worker's parent", of(Footing::Mine { attempt: 2, owner }, &ended)),
        (
            "end of a last attempt that lapsed",
            "the worker, the reconciler",
            of(Footing::Seen { attempt: 2, lease_until: seen }, &ended),
        ),
        ("record", "the worker; of a wait whoever signals, or the reconciler", record(None)),
        ("record of the last task", "the same", record(Some(Box::new(entry(None))))),
        (
            "record of an element",
            worker,
            Write::RecordElement { shard: shard.clone(), element: 7, closing: 0, done: done.clone(), expires_at: 0 },
        ),
        (
            "tombstone",
            "the worker, the reconciler",
            Write::Bury { shard: shard.clone(), element: 7, closing: 0, expires_at: 0 },
        ),
        ("fold", worker, fold(None)),
        ("fold of the last shard", "the same", fold(Some(entry(None)))),
        (
            "close for a task",
            "the worker, the reconciler",
            Write::Close { closing: 0, entry: entry(Some(task.clone())) },
        ),
        ("close", "the worker, the reconciler, whoever cancels", Write::Close { closing: 0, entry: entry(None) }),
        ("record of the finalizer", worker, Write::RecordFinal { task: last.clone(), closing: 0, done: done.clone() }),
        ("redrive of a job that is told", person, reopen(true)),
        ("redrive of another", person, reopen(false)),
        ("pause, the first", person, Write::Pause { closing: 0, changes: 0, set: Pause::default() }),
        ("pause, resume", person, Write::Pause { closing: 0, changes: 1, set: Pause::default() }),
        (
            "refund token of a closing",
            "notify",
            Write::Issue { closing: 0, issued: Issued { hash: "h".to_owned(), at: Time(0), expires_at: Time(1) } },
        ),
        (
            "redemption",
            person,
            Write::Redeem { closing: 0, redemption: Redemption { closing: 0, at: Time(0), reference: "r".parse()? } },
        ),
        ("start of a queued job", "intake, the worker of the finalizer, the reconciler", Write::Start(started)),
        ("withdrawal of a queued job", person, Write::Withdraw { entry: entry(None), kept }),
        ("expire", "whoever deletes", Write::Expire { closing: 0, expires_at: 0 }),
        ("next look", "the reconciler, whoever signals", Write::Look { seen: Time(1), next: Some(Time(2)) }),
        ("last look", reconciler, Write::Look { seen: Time(1), next: None }),
    ])
}

/// Keeps the body of every request and answers that its condition does not hold.
async fn refuse_everything(listener: tokio::net::TcpListener, heard: Arc<Mutex<Vec<Value>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while let Ok(Some(body)) = request(&mut stream, &mut bytes).await {
                heard.lock().unwrap().push(body);
                let answer = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#;
                let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{answer}", answer.len());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The body of the next request; none when there is none any more.
async fn request(stream: &mut tokio::net::TcpStream, bytes: &mut Vec<u8>) -> Result<Option<Value>> {
    while bytes.len() < REQUEST_BYTES_MAX {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.context("a body of no known length")?.trim().parse()?;
            if bytes.len() >= end + 4 + length {
                let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length])?;
                bytes.drain(..end + 4 + length);
                return Ok(Some(body));
            }
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
    anyhow::bail!("a request of more than {REQUEST_BYTES_MAX} bytes")
}
