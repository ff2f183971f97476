//! The cap on a tenant's jobs, on a deployed stack: one tenant's many jobs keep another's one from nothing.

use anyhow::{Context, Result, ensure};
use qsketch_local_tests::{Stack, wait_for};
use serde_json::{Value, json};

/// How many jobs the one tenant submits.
const MANY: usize = 200;

#[test]
fn one_tenant_s_many_jobs_wait_in_their_queue_while_another_s_one_runs() -> Result<()> {
    let stack = Stack::up_with("tenants", &[("QSKETCH_TENANT_JOBS_MAX", "1")])?;
    for first in (0..MANY).step_by(10) {
        let entry = |n: usize| {
            let body =
                json!({"id": format!("many-{n:03}"), "tenant": "many", "prompt": "Explain the Pythagorean theorem"});
            json!({"Id": n.to_string(), "MessageBody": body.to_string()})
        };
        let entries = Value::from((first..first + 10).map(entry).collect::<Vec<_>>()).to_string();
        let queue = stack.setting("QSKETCH_INTAKE_QUEUE_URL")?;
        let sent = stack.aws(&["sqs", "send-message-batch", "--queue-url", queue, "--entries", &entries])?;
        ensure!(sent["Successful"].as_array().is_some_and(|sent| sent.len() == 10), "{sent}");
    }
    stack.send(&json!({"id": "one", "tenant": "one", "prompt": "Explain the Pythagorean theorem"}).to_string())?;
    // The other's tasks stand beside those of one job of the many, and not of two hundred.
    stack.wait_for_status("one", "COMPLETED")?;
    let many = jobs(&stack, "many")?;
    let count = |status: &str| many.iter().filter(|job| job["status"] == status).count();
    println!("when it was COMPLETED: {} of {MANY} QUEUED, {} RUNNING", count("QUEUED"), count("RUNNING"));
    ensure!(many.len() == MANY, "{} jobs of {MANY} were taken in", many.len());
    ensure!(count("RUNNING") <= 1, "{} run at a cap of one", count("RUNNING"));
    ensure!(
        count("QUEUED") > MANY / 2,
        "only {} were queued: that the one was not kept waiting proves nothing",
        count("QUEUED")
    );
    let queued = many.iter().find(|job| job["status"] == "QUEUED").and_then(|job| job["job"].as_str());
    let queued = json_of(&stack, queued.context("none is queued")?)?;
    ensure!(queued["status"] == "QUEUED" && queued["started_at"].is_null(), "{queued}");
    // Whoever is next starts by itself. Which one that is, the order tells in which intake came to them.
    wait_for("the next one to start", || {
        let left = jobs(&stack, "many")?.iter().filter(|job| job["status"] != "QUEUED").count();
        Ok((left > 1).then_some(()))
    })
}

fn json_of(stack: &Stack, id: &str) -> Result<Value> {
    stack.json(&["show", id, "--json"])
}

fn jobs(stack: &Stack, tenant: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut arguments = vec!["list", "--tenant", tenant, "--limit", "100", "--json"];
        if let Some(cursor) = &cursor {
            arguments.extend(["--cursor", cursor]);
        }
        let page = stack.json(&arguments)?;
        found.extend(page["jobs"].as_array().cloned().unwrap_or_default());
        cursor = page["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
