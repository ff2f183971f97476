//! Worker processes: each slot always has one, whatever becomes of those before.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use qsketch_intake::{Graphs, INTAKE_QUEUE, Intake};
use qsketch_runtime::batch::Outbox;
use qsketch_runtime::crew::Crew;
use qsketch_runtime::give_back::give_back;
use qsketch_runtime::intent::{Announcer, Intent, Ledger};
use qsketch_runtime::poll::{self, Polling};
use qsketch_runtime::{Consumer, PortError, Ports, QueueName, Stopper, Worker, shutdown};
use qsketch_sim::{Process, Random};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::gallery::LEASE;
use crate::player::Player;
use crate::schedule::{Mishap, Slot, millis};
use crate::world::World;

/// How many messages of one queue a process works on at once.
const CONCURRENCY: usize = 4;

/// For how long after a crash nobody follows, at most, in milliseconds.
const AWAY_MAX: u64 = 15_000;

/// Keeps a slot filled for ever.
pub(crate) async fn keep(world: World, number: usize, slot: Slot) {
    let began = Instant::now();
    let mut random = Random::new(slot.seed);
    let mut mishaps = slot.mishaps.iter().copied().peekable();
    for turn in 0.. {
        let name = format!("w{number}.{turn}");
        let mut running = start(&world, &slot, &name);
        let away = loop {
            let next = mishaps.peek().map(|(at, _)| began + *at);
            let process = running.process.clone();
            let is_crashed = tokio::select! {
                biased;
                () = process.crashed() => true,
                () = until(next) => false,
            };
            if is_crashed {
                break millis(random.under(AWAY_MAX));
            }
            match mishaps.next().map(|(_, mishap)| mishap) {
                None => {}
                Some(Mishap::Freeze(span)) => {
                    world.happened("freeze", None, format!("{name} stands still for {span:?}"));
                    process.freeze();
                    tokio::select! {
                        biased;
                        () = process.crashed() => {}
                        () = sleep(span) => {}
                    }
                    process.thaw();
                }
                Some(Mishap::Kill(away)) => {
                    world.happened("kill", None, format!("{name} is killed, followed after {away:?}"));
                    process.crash();
                    break away;
                }
                Some(Mishap::Terminate(away)) => {
                    world.happened("terminate", None, format!("{name} is told to stop, followed after {away:?}"));
                    running.stop().await;
                    break away;
                }
            }
        };
        if running.process.is_crashed() {
            world.happened("crash", None, format!("{name} has died"));
            let intents = running.abort();
            if slot.has_parent {
                let (parent, ports) = world.process(&format!("parent-of-{name}"));
                let given = tokio::select! {
                    biased;
                    given = give_back(&ports, &intents) => given,
                    () = parent.crashed() => 0,
                };
                world.happened("give-back", None, format!("{given} of {} were given back", intents.len()));
            }
        }
        sleep(away).await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => core::future::pending().await,
    }
}

/// A worker process.
struct Running {
    process: Process,
    stopper: Stopper,
    told: Told,
    loops: Vec<JoinHandle<Result<(), PortError>>>,
}

impl Running {
    /// Tells it to stop, and waits until it has, or has died over it.
    async fn stop(&mut self) {
        self.stopper.stop();
        let process = self.process.clone();
        for ended in &mut self.loops {
            tokio::select! {
                biased;
                () = process.crashed() => return,
                _ = ended => {}
            }
        }
        self.loops.clear();
    }

    /// Ends what is left of a dead one; what it had told its parent and not taken back.
    fn abort(self) -> Vec<Intent> {
        self.loops.iter().for_each(JoinHandle::abort);
        self.told.intents()
    }
}

fn start(world: &World, slot: &Slot, name: &str) -> Running {
    let (process, ports) = world.process(name);
    let ports = match world.broken {
        Some(broken) => broken.of_worker(ports),
        None => ports,
    };
    let (stopper, stop) = shutdown::pair();
    let (crew, told, outbox) = (Crew::default(), Told::default(), Outbox::new(Arc::clone(&ports.queues)));
    let workers: Vec<Arc<Worker>> = world
        .queues()
        .into_iter()
        .map(|queue| Arc::new(worker(world, &ports, &outbox, &crew, &told, name, queue)))
        .collect();
    if slot.is_crew {
        crew.enlist(workers.iter().cloned());
    }
    let graphs = Graphs { plain: (*world.pipeline).clone(), approved: (*world.pipeline).clone() };
    let intake = Intake::new(ports.clone(), outbox.clone(), graphs).in_crew(crew).with_cap(world.schedule.jobs_max);
    let mut consumers: Vec<(QueueName, Arc<dyn Consumer>)> =
        vec![(QueueName::new(INTAKE_QUEUE), Arc::new(intake) as Arc<dyn Consumer>)];
    consumers.extend(workers.into_iter().map(|worker| (worker.queue().clone(), worker as Arc<dyn Consumer>)));
    let poll = |(queue, consumer)| {
        let wait = qsketch_runtime::ports::POLL_WAIT_MAX;
        let polling = Polling { queue, concurrency: CONCURRENCY, wait, hide: LEASE };
        let (queues, outbox, stop) = (Arc::clone(&ports.queues), outbox.clone(), stop.clone());
        tokio::spawn(async move { poll::run(&polling, queues, &outbox, consumer, &stop).await })
    };
    let loops = consumers.into_iter().map(poll).collect();
    Running { process, stopper, told, loops }
}

fn worker(
    world: &World,
    ports: &Ports,
    outbox: &Outbox,
    crew: &Crew,
    told: &Told,
    name: &str,
    queue: QueueName,
) -> Worker {
    let player = Player {
        sim: world.sim.clone(),
        schedule: Arc::clone(&world.schedule),
        pipeline: Arc::clone(&world.pipeline),
        plays: Arc::clone(&world.plays),
        process: name.to_owned(),
        broken: world.broken,
    };
    let worker = Worker::new(ports.clone(), outbox.clone(), queue, Arc::new(player));
    worker.with_parent(Announcer::new(told.clone()), std::env::temp_dir()).in_crew(crew.clone())
}

/// What a process tells its parent.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Told {
    fn intents(&self) -> Vec<Intent> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ledger = Ledger::default();
        String::from_utf8_lossy(&told).lines().for_each(|line| ledger.hear(line));
        ledger.into_intents()
    }
}

/// How long a slot may be away at most by its own draw; outages are drawn apart.
const _: () = assert!(Duration::from_millis(AWAY_MAX).as_secs() < 60, "a crash is no outage");
