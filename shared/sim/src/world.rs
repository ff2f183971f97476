//! What every call goes through: the log, the latency, the faults, the crash of the caller.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qsketch_core::rate::Cell;
use qsketch_core::{Provider, Time};
use qsketch_runtime::{Clock, PortError, PortErrorKind};
use tokio::sync::Notify;

use crate::clock::SimClock;
use crate::disorder::{Disorder, Fault, TIMED_OUT_AFTER};
use crate::queues::QueueSet;
use crate::random::Random;
use crate::store::Files;
use crate::table::Items;

/// Which port a call was made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The job table.
    Table,
    /// The queues.
    Queues,
    /// The store.
    Store,
}

/// One call of a process, in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number, from 0: what [`crate::Sim::fail_call`] takes.
    pub number: u64,
    /// Who made it.
    pub process: String,
    /// The port.
    pub port: Port,
    /// The function of the port; for a write of the table its kind, such as `claim`.
    pub kind: &'static str,
    /// The part, queue or key.
    pub target: String,
    /// How many messages it carried, for the queues; else 1.
    pub size: usize,
    /// When it began.
    pub at: Time,
    /// When its caller had the answer; none while it has not.
    pub ended_at: Option<Time>,
    /// What went wrong with it.
    pub fault: Option<Fault>,
}

/// What a call is, before it is made.
pub(crate) struct Request {
    pub(crate) port: Port,
    pub(crate) kind: &'static str,
    pub(crate) target: String,
    pub(crate) size: usize,
}

/// Who makes calls.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    /// Whether its calls are logged, delayed and disturbed.
    pub(crate) is_real: bool,
    crashed: AtomicBool,
    crash: Notify,
    frozen: AtomicBool,
    thaw: Notify,
    /// By how many milliseconds its clock is ahead.
    ahead: AtomicI64,
}

impl Actor {
    pub(crate) fn new(name: &str, is_real: bool) -> Arc<Self> {
        let (crashed, frozen) = (AtomicBool::new(false), AtomicBool::new(false));
        let (crash, thaw) = (Notify::new(), Notify::new());
        Arc::new(Self { name: name.to_owned(), is_real, crashed, crash, frozen, thaw, ahead: AtomicI64::new(0) })
    }

    pub(crate) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::SeqCst)
    }

    pub(crate) fn set_ahead(&self, millis: i64) {
        self.ahead.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn crash(&self) {
        self.crashed.store(true, Ordering::SeqCst);
        self.crash.notify_waiters();
    }

    pub(crate) fn is_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    pub(crate) async fn crashed(&self) {
        loop {
            let notified = self.crash.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.is_crashed() {
                return;
            }
            notified.await;
        }
    }

    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.frozen.store(is_frozen, Ordering::SeqCst);
        self.thaw.notify_waiters();
    }

    /// Never returns once the actor has crashed: a dead process makes no call and hears no answer. A frozen one does
    /// so later.
    pub(crate) async fn live(&self) {
        // Those who wait go on in the order in which they came.
        loop {
            let thawed = self.thaw.notified();
            if !self.frozen.load(Ordering::SeqCst) {
                break;
            }
            thawed.await;
        }
        if self.is_crashed() {
            core::future::pending::<()>().await;
        }
    }
}

/// The simulated world.
pub(crate) struct World {
    pub(crate) clock: Arc<SimClock>,
    /// Told after every effect of a call.
    pub(crate) moved: Notify,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) random: Random,
    pub(crate) disorder: Disorder,
    pub(crate) planned: BTreeMap<u64, Fault>,
    /// What is wrong with every call of a kind.
    pub(crate) troubles: BTreeMap<&'static str, (Option<Fault>, Duration)>,
    pub(crate) calls: Vec<Call>,
    pub(crate) items: Items,
    /// The rate limits, by provider.
    pub(crate) cells: BTreeMap<Provider, Cell>,
    pub(crate) queues: QueueSet,
    pub(crate) files: Files,
    pub(crate) abandoned_polls: u64,
    /// Whether a queue sees the connections of a crashed process close.
    pub(crate) is_closing_seen: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            random: Random::new(seed),
            disorder: Disorder::default(),
            planned: BTreeMap::new(),
            troubles: BTreeMap::new(),
            calls: Vec::new(),
            items: Items::default(),
            cells: BTreeMap::new(),
            queues: QueueSet::default(),
            files: Files::default(),
            abandoned_polls: 0,
            is_closing_seen: false,
        };
        Arc::new(Self { clock: Arc::new(SimClock::new(seed)), moved: Notify::new(), state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Makes a call whose effect takes no time.
    pub(crate) async fn call<T>(
        &self,
        actor: &Actor,
        request: Request,
        mut effect: impl FnMut(&mut State, Time) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError>
    where
        T: Send,
    {
        self.call_knowing(actor, request, |state, now, _| effect(state, now)).await
    }

    /// The same for an effect that depends on what goes wrong with the call.
    pub(crate) async fn call_knowing<T>(
        &self,
        actor: &Actor,
        request: Request,
        mut effect: impl FnMut(&mut State, Time, Option<Fault>) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError>
    where
        T: Send,
    {
        let pass = self.begin(actor, request).await?;
        if pass.is_twice() {
            drop(effect(&mut self.state(), self.now(), pass.fault));
        }
        let effected = effect(&mut self.state(), self.now(), pass.fault);
        self.end(actor, pass, effected).await
    }

    /// The way of a call up to its effect.
    pub(crate) async fn begin(&self, actor: &Actor, request: Request) -> Result<Pass, PortError> {
        actor.live().await;
        let what = format!("{} {}", request.kind, request.target);
        if !actor.is_real {
            return Ok(Pass { number: None, what, fault: None, way: Duration::ZERO });
        }
        let pass = self.enter(actor, request, what);
        rest(pass.way).await;
        actor.live().await;
        let failed = match pass.fault {
            Some(Fault::Unavailable) => PortErrorKind::Unavailable,
            Some(Fault::Throttled) => PortErrorKind::Throttled,
            Some(Fault::CrashBefore) => {
                actor.crash();
                return core::future::pending().await;
            }
            Some(_) | None => return Ok(pass),
        };
        let error = PortError::new(&pass.what, failed).because("simulated");
        self.end(actor, Pass { fault: None, ..pass }, Err(error)).await
    }

    fn enter(&self, actor: &Actor, request: Request, what: String) -> Pass {
        let at = self.now();
        let mut state = self.state();
        let number = state.calls.len() as u64;
        let (trouble, slow) = state.troubles.get(request.kind).copied().unwrap_or_default();
        let fault = match state.planned.remove(&number).or(trouble) {
            Some(planned) => Some(planned),
            None => state.draw_fault(),
        };
        let spread = u64::try_from(state.disorder.latency_spread.as_micros()).unwrap_or(u64::MAX);
        let way = (slow + state.disorder.latency + Duration::from_micros(state.random.under(spread))) / 2;
        let Request { port, kind, target, size } = request;
        let process = actor.name.clone();
        state.calls.push(Call { number, process, port, kind, target, size, at, ended_at: None, fault });
        Pass { number: Some(number), what, fault, way }
    }

    /// The way of a call from its effect back to the caller.
    pub(crate) async fn end<T>(
        &self,
        actor: &Actor,
        pass: Pass,
        effected: Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.moved.notify_waiters();
        if pass.fault == Some(Fault::CrashAfter) {
            actor.crash();
        }
        actor.live().await;
        rest(pass.way).await;
        actor.live().await;
        if let Some(number) = pass.number {
            let now = self.now();
            let mut state = self.state();
            if let Some(call) = usize::try_from(number).ok().and_then(|index| state.calls.get_mut(index)) {
                call.ended_at = Some(now);
            }
        }
        match pass.fault {
            Some(Fault::LostReply) => {
                Err(PortError::new(pass.what, PortErrorKind::Unavailable).because("simulated lost reply"))
            }
            Some(Fault::TimedOut) => {
                rest(TIMED_OUT_AFTER).await;
                actor.live().await;
                Err(PortError::new(pass.what, PortErrorKind::Unavailable).because("simulated time-out"))
            }
            _ => effected,
        }
    }
}

/// A call on its way.
pub(crate) struct Pass {
    number: Option<u64>,
    what: String,
    fault: Option<Fault>,
    way: Duration,
}

impl Pass {
    /// Whether the call is to take effect twice.
    pub(crate) fn is_twice(&self) -> bool {
        self.fault == Some(Fault::Twice)
    }
}

impl State {
    fn draw_fault(&mut self) -> Option<Fault> {
        let disorder = self.disorder;
        let mut drawn = |permille: u16, fault: Fault| self.random.happens(permille).then_some(fault);
        drawn(disorder.lost_reply_permille, Fault::LostReply)
            .or_else(|| drawn(disorder.unavailable_permille, Fault::Unavailable))
            .or_else(|| drawn(disorder.throttled_permille, Fault::Throttled))
            .or_else(|| drawn(disorder.crash_permille / 2, Fault::CrashBefore))
            .or_else(|| drawn(disorder.crash_permille / 2, Fault::CrashAfter))
    }
}

async fn rest(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
}
