//! A real process under its real parent, killed for real: what it had told is given back, once nothing of it is left.
//!
//! The test runs this program again as a parent, which runs it again as its child. The parent holds the simulated world;
//! the child tells of deliveries and a claim, starts a tool, and waits to be killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qsketch_core::decide::start_message;
use qsketch_core::parts::{Lease, Outcome};
use qsketch_core::{Job, JobId, Message, Owner, Pipeline, StepSpec, TaskId, Tenant, Write};
use qsketch_runtime::parent::{self, CHILD_VARIABLE};
use qsketch_runtime::ports::{Delivery, Outgoing, Receipt};
use qsketch_runtime::process::{Keep, Tool, ToolLog};
use qsketch_runtime::{Ports, QueueName};
use qsketch_sim::Sim;

/// Where the three processes meet.
const FOLDER: &str = "QSKETCH_TEST_FOLDER";

/// How long anything may take here, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long received messages are hidden: far longer than the test may take.
const LEASE: Duration = Duration::from_secs(600);

const TEST: &str = "a_killed_process_s_work_is_visible_again_once_its_tools_are_gone";

#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no main: the environment tells which of the three it is")]
fn a_killed_process_s_work_is_visible_again_once_its_tools_are_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match std::env::var_os(FOLDER).map(PathBuf::from) {
        None => outside(),
        Some(folder) if std::env::var_os(CHILD_VARIABLE).is_some() => runtime.block_on(child(&folder)),
        Some(folder) => runtime.block_on(parent(&folder)),
    }
}

/// Starts the parent, kills its child, and reads what the parent found.
fn outside() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let child = wait_for(&at("child"));
    std::fs::write(at("killed"), "").unwrap();
    kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).unwrap();
    let found = wait_for(&at("found"));
    assert!(parent.wait().unwrap().success());
    let modified = |name: &str| std::fs::metadata(at(name)).unwrap().modified().unwrap();
    let took = modified("visible").duration_since(modified("killed")).unwrap();
    println!("visible again {} ms after kill -9", took.as_millis());
    assert_eq!(found, "tool gone; claimed: visible, CRASHED attempt 1, 0 charged; begun: visible; settled: hidden");
    assert!(took < PATIENCE, "{took:?}");
}

/// The parent, and the world.
async fn parent(folder: &Path) {
    let sim = Sim::new(1);
    let ports = sim.observer();
    let spec = |name| StepSpec::new(name);
    let pipeline = Pipeline::builder("p").step(spec("a")).finalizer(spec("z")).build().unwrap();
    let (id, tenant) = (JobId::try_from("j").unwrap(), Tenant::try_from("t").unwrap());
    let job = Job::begun(id.clone(), tenant, &pipeline, sim.now());
    let message = start_message(&pipeline, &job);
    ports.table.keep_pipeline(&pipeline).await.unwrap();
    ports.table.commit(&id, &Write::CreateJob(Box::new(job))).await.unwrap();
    receive_three(&ports, &message, folder).await;
    claim(&ports, &message, LEASE).await;

    let watched = sim.clone();
    let visible = folder.join("visible");
    let watch = tokio::spawn(async move {
        watched.until(|sim| visible_now(sim).iter().filter(|is_visible| **is_visible).count() == 2).await;
        std::fs::write(visible, "").unwrap();
    });
    let scratch = folder.join("scratch");
    let connect = || async {
        let tool: i32 = std::fs::read_to_string(folder.join("tool")).unwrap().trim().parse().unwrap();
        std::fs::write(folder.join("order"), if is_alive(tool) { "tool alive" } else { "tool gone" }).unwrap();
        ports.clone()
    };
    let code = parent::supervise("test", &scratch, connect).await.unwrap();
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS),
        "the second child ended by itself"
    );
    watch.await.unwrap();
    let told = |is_visible: bool| if is_visible { "visible" } else { "hidden" };
    let [claimed, begun, settled] = visible_now(&sim)[..] else { panic!("three messages") };
    let task = sim.parts(&id).tasks[&message.task].clone();
    let [ended] = &task.attempts[..] else { panic!("{task:?}") };
    assert_eq!((ended.outcome, task.lease.is_none(), task.crashed), (Outcome::Crashed, true, 1));
    let found = format!(
        "{}; claimed: {}, {} attempt {}, {} charged; begun: {}; settled: {}",
        std::fs::read_to_string(folder.join("order")).unwrap(),
        told(claimed),
        ended.outcome.as_str(),
        ended.attempt,
        task.charged,
        told(begun),
        told(settled)
    );
    write(&folder.join("found"), &found);
}

/// Three messages are in the child's hands: their receipts stand in the folder.
async fn receive_three(ports: &Ports, message: &Message, folder: &Path) {
    let queue = QueueName::new("a");
    let bodies = [(); 3].map(|()| Outgoing::new(message.body()));
    ports.queues.send(&queue, &bodies).await.unwrap();
    let received = ports.queues.receive(&queue, 3, Duration::ZERO, LEASE).await.unwrap();
    let receipts: Vec<_> = received.iter().map(|delivery| delivery.receipt.0.clone()).collect();
    assert_eq!(receipts.len(), 3);
    std::fs::write(folder.join("receipts"), receipts.join("\n")).unwrap();
    std::fs::write(folder.join("body"), message.body()).unwrap();
}

/// Claims the task, as the child would.
async fn claim(ports: &Ports, message: &Message, lease: Duration) {
    let now = ports.clock.now();
    let set: qsketch_core::Task = serde_json::from_value(serde_json::json!({
        "layout": 1, "attempt": 1, "closing": 0, "started_at": now, "charged": 0, "released": 0, "attempts": [],
        "lease": Lease { owner: me(), until: now.plus(lease) }, "expires_at": 9_000_000_000_u64,
    }))
    .unwrap();
    let footing = qsketch_core::Footing::Absent;
    let write = Write::Task { task: message.task.clone(), footing, set: Box::new(set) };
    assert!(matches!(ports.table.commit(&message.job, &write).await.unwrap(), qsketch_core::Commit::Written(_)));
}

/// Which of the three messages are visible, in the order in which they were received.
fn visible_now(sim: &Sim) -> Vec<bool> {
    let now = sim.now();
    sim.messages(&QueueName::new("a")).iter().map(|message| message.visible_at <= now).collect()
}

/// The child: the first one waits to be killed, the second one has nothing to do.
async fn child(folder: &Path) {
    if folder.join("child").exists() {
        return;
    }
    let inherited = parent::inherit().unwrap();
    let announcer = inherited.announcer.clone();
    let queue = QueueName::new("a");
    let body = std::fs::read_to_string(folder.join("body")).unwrap();
    let message = Message::parse(&body).unwrap();
    let receipts = std::fs::read_to_string(folder.join("receipts")).unwrap();
    let deliveries: Vec<Delivery> = receipts.lines().map(|receipt| delivery(receipt, &body)).collect();
    for delivery in &deliveries {
        announcer.begin(&queue, delivery, &message);
    }
    let task: TaskId = message.task.clone();
    announcer.claim(&deliveries[0], qsketch_core::Claim { task, attempt: 1, owner: me() });
    announcer.settled(&deliveries[2]);
    let (tool, log) = (folder.join("tool"), ToolLog::default());
    let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", tool.display());
    let run = Tool::new("/bin/sh").args(["-c", &script]).run(&announcer, &log, |_| Keep::Yes);
    let told = async {
        while !tool.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        write(&folder.join("child"), &std::process::id().to_string());
        inherited.parent_gone().await;
    };
    tokio::select! {
        ended = run => panic!("the tool ended by itself: {ended:?}"),
        () = told => panic!("nobody killed it"),
    }
}

fn delivery(receipt: &str, body: &str) -> Delivery {
    Delivery {
        message_id: "m".to_owned(),
        receipt: Receipt(receipt.to_owned()),
        receives: 1,
        body: body.to_owned(),
        attributes: std::collections::BTreeMap::new(),
        group: None,
        sent_at: None,
        hidden_for: Some(LEASE),
    }
}

fn me() -> Owner {
    Owner::try_from("me").unwrap()
}

/// Writes a file that is whole as soon as it is there.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "no runtime is there to be blocked")]
fn wait_for(path: &Path) -> String {
    let pause = Duration::from_millis(5);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if let Ok(text) = std::fs::read_to_string(path) {
            return text;
        }
        std::thread::sleep(pause);
    }
    panic!("{} never was there", path.display())
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
