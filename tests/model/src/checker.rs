//! The protocol as a stateright model.

use stateright::{Checker, Model, Property};

use crate::action::{self, Action};
use crate::promise::Promise;
use crate::protocol::Protocol;
use crate::state::State;

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        action::list(self, &self.book(), state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.after(&mut self.book(), state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! kept {
            ($($promise:ident),*) => {
                vec![$(Property::always(Promise::$promise.sentence(), |_: &Self, state: &State| {
                    state.broken != Some(Promise::$promise)
                })),*]
            };
        }
        let mut properties = kept![
            OutputStays,
            SuccessorsSeeTheRecorded,
            InputsFirst,
            AttemptsBounded,
            NotRunAgain,
            OneWorkerPerAttempt,
            LeaseStays,
            ClosingStays,
            FinalizerLast,
            FailsForCause,
            ChargedAlone,
            FailedStaysUnrecorded,
            CompletesWhole,
            NoDeadLetter,
            ClosingFences,
            ClosingsNumbered,
            ForgottenIsGone
        ];
        assert_eq!(properties.len(), Promise::ALL.len(), "stateright checks every promise");
        properties.push(Property::always(QUIET, |protocol: &Self, state: &State| {
            let book = protocol.book();
            // Whoever paused a job resumes it, and whoever has a signal for it sends that.
            let is_paused = book.job_at(state.job).paused.is_some();
            let is_open = is_paused || protocol.is_up_to_somebody(&book, state);
            state.broken.is_some() || state.is_moving() || is_open || protocol.is_over(&book, state)
        }));
        properties.push(Property::sometimes(OVER, |protocol: &Self, state: &State| {
            protocol.is_over(&protocol.book(), state)
        }));
        properties
    }
}

/// The promise about states in which nothing is on its way.
pub const QUIET: &str = "when nothing is on its way any more, the job is closed and notified";

/// The job gets there at all.
pub const OVER: &str = "a job is closed and notified";

/// What stateright found.
#[derive(Debug)]
pub struct Checked {
    /// How many distinct states.
    pub unique: usize,
    /// How many states, each time that one was reached.
    pub states: usize,
    /// The longest of the shortest ways to a state, in actions.
    pub depth: usize,
    /// The promises that it found broken.
    pub broken: Vec<&'static str>,
}

/// Checks every state with stateright, breadth first.
#[must_use]
pub fn check(protocol: Protocol) -> Checked {
    let checker = protocol.checker().threads(1).spawn_bfs().join();
    let mut broken: Vec<_> = checker.discoveries().into_keys().filter(|name| *name != OVER).collect();
    broken.sort_unstable();
    Checked {
        unique: checker.unique_state_count(),
        states: checker.state_count(),
        depth: checker.max_depth() - 1,
        broken,
    }
}
