//! A breadth-first search of our own, for what stateright has no property for: from every state the job can still
//! close and its notification can still be recorded, without any further fault.

use core::hash::{Hash, Hasher};
use std::collections::{HashSet, VecDeque};

use stateright::Model;

use crate::action::{self, Action};
use crate::names::Fx;
use crate::promise::Promise;
use crate::protocol::Protocol;
use crate::state::State;

/// What the search found.
#[derive(Debug)]
pub struct Explored {
    /// How many distinct states.
    pub unique: usize,
    /// How many states, each time that one was reached.
    pub states: usize,
    /// The longest of the shortest ways to a state, in actions.
    pub depth: usize,
    /// How many states there are from which the job can't close any more, or its notification not be recorded.
    pub stuck: usize,
    /// The shortest way to a broken promise.
    pub counterexample: Option<Counterexample>,
}

/// The shortest way to a broken promise.
#[derive(Debug)]
pub struct Counterexample {
    /// The promise, as a sentence.
    pub promise: &'static str,
    /// What happened, one line per action.
    pub trace: Vec<String>,
}

/// The liveness that is checked.
pub const CAN_END: &str = "from every state the job can still close and its notification be recorded";

const NOBODY: u32 = u32::MAX;

/// The states found so far, the way to each, and the edges that are no fault.
struct Found {
    states: Vec<State>,
    /// Numbers of states plus one, each at its hash or behind it; 0 where there is none.
    places: Vec<u32>,
    from: Vec<u32>,
    /// Where the edges of each state begin.
    starts: Vec<u32>,
    edges: Vec<u32>,
}

impl Found {
    fn new(start: State) -> Self {
        let mut found = Self {
            states: Vec::new(),
            places: vec![0; 1 << 16],
            from: Vec::new(),
            starts: Vec::new(),
            edges: Vec::new(),
        };
        found.add(start, NOBODY);
        found
    }

    fn add(&mut self, state: State, from: u32) -> u32 {
        let place = self.place(&state);
        if self.places[place] > 0 {
            return self.places[place] - 1;
        }
        self.states.push(state);
        self.from.push(from);
        let number = self.count();
        self.places[place] = number;
        if self.states.len() * 2 > self.places.len() {
            self.places = vec![0; self.places.len() * 2];
            for number in 0..self.states.len() {
                let place = self.place(&self.states[number]);
                self.places[place] = u32::try_from(number + 1).expect("fewer than 2^32 states");
            }
        }
        number - 1
    }

    fn place(&self, state: &State) -> usize {
        let mask = self.places.len() - 1;
        let mut hasher = Fx::default();
        state.hash(&mut hasher);
        let mut place = usize::try_from(hasher.finish() >> 8).unwrap_or_default() & mask;
        while self.places[place] > 0 && self.states[self.places[place] as usize - 1] != *state {
            place = (place + 1) & mask;
        }
        place
    }

    fn count(&self) -> u32 {
        u32::try_from(self.states.len()).expect("fewer than 2^32 states")
    }

    fn edges_of(&self, number: u32) -> &[u32] {
        let number = number as usize;
        &self.edges[self.starts[number] as usize..self.starts[number + 1] as usize]
    }

    fn way(&self, to: u32) -> Vec<u32> {
        let mut way: Vec<u32> =
            core::iter::successors(Some(to), |number| Some(self.from[*number as usize]).filter(|from| *from != NOBODY))
                .collect();
        way.reverse();
        way
    }

    /// The shortest way, without a fault, from a state to one where nothing is on its way; empty if there is none.
    fn way_to_rest(&self, start: u32) -> Vec<u32> {
        let (mut seen, mut open) = (HashSet::from([start]), VecDeque::from([vec![start]]));
        while let Some(way) = open.pop_front() {
            let last = *way.last().expect("a way has a start");
            if !self.states[last as usize].is_moving() {
                return way;
            }
            for to in self.edges_of(last) {
                if seen.insert(*to) {
                    open.push_back([&way[..], &[*to]].concat());
                }
            }
        }
        Vec::new()
    }
}

/// Visits every state of the protocol; stops at the first broken promise.
#[must_use]
pub fn explore(protocol: &Protocol) -> Explored {
    let mut found = Found::new(protocol.start());
    let (mut states, mut depth, mut end_of_level) = (1, 0, 1);
    let mut actions = Vec::new();
    let mut book = protocol.book();
    let mut next = 0;
    while next < found.states.len() {
        if next == end_of_level {
            (depth, end_of_level) = (depth + 1, found.states.len());
        }
        let state = found.states[next];
        let number = u32::try_from(next).expect("fewer than 2^32 states");
        found.starts.push(u32::try_from(found.edges.len()).expect("fewer than 2^32 edges"));
        if let Some(promise) = state.broken {
            drop(book);
            return Explored::broken(protocol, &found, number, states, depth, promise);
        }
        action::list(protocol, &book, &state, &mut actions);
        for action in actions.drain(..) {
            let Some(after) = protocol.after(&mut book, &state, action) else { continue };
            states += 1;
            let to = found.add(after, number);
            if action::cost(&book, &state, action) == 0 {
                found.edges.push(to);
            }
        }
        next += 1;
    }
    drop(book);
    found.starts.push(u32::try_from(found.edges.len()).expect("fewer than 2^32 edges"));
    let stuck = stuck(protocol, &found);
    let counterexample = stuck.first().map(|first| {
        let mut trace = told(protocol, &found, &found.way(*first));
        let rest = told(protocol, &found, &found.way_to_rest(*first));
        let how = if rest.is_empty() { "— from here on it can't" } else { "— from here on it can't; for example:" };
        trace.push(how.to_owned());
        trace.extend(rest);
        Counterexample { promise: CAN_END, trace }
    });
    Explored { unique: found.states.len(), states, depth, stuck: stuck.len(), counterexample }
}

impl Explored {
    fn broken(protocol: &Protocol, found: &Found, at: u32, states: usize, depth: usize, promise: Promise) -> Self {
        let counterexample =
            Counterexample { promise: promise.sentence(), trace: told(protocol, found, &found.way(at)) };
        Self { unique: found.states.len(), states, depth, stuck: 0, counterexample: Some(counterexample) }
    }
}

/// The states from which no way without a fault leads to a closed and notified job, nearest first.
fn stuck(protocol: &Protocol, found: &Found) -> Vec<u32> {
    let count = found.states.len();
    let book = protocol.book();
    let mut starts = vec![0_u32; count + 1];
    for to in &found.edges {
        starts[*to as usize + 1] += 1;
    }
    for index in 0..count {
        starts[index + 1] += starts[index];
    }
    let mut filled = starts.clone();
    let mut back = vec![0_u32; found.edges.len()];
    for from in 0..found.count() {
        for to in found.edges_of(from) {
            let to = *to as usize;
            back[filled[to] as usize] = from;
            filled[to] += 1;
        }
    }
    let mut can_end: Vec<bool> = found.states.iter().map(|state| protocol.is_over(&book, state)).collect();
    let mut open: Vec<usize> = (0..count).filter(|index| can_end[*index]).collect();
    while let Some(to) = open.pop() {
        for from in &back[starts[to] as usize..starts[to + 1] as usize] {
            let from = *from as usize;
            if !core::mem::replace(&mut can_end[from], true) {
                open.push(from);
            }
        }
    }
    (0..count).filter(|index| !can_end[*index]).filter_map(|index| u32::try_from(index).ok()).collect()
}

/// A way, one line per action.
fn told(protocol: &Protocol, found: &Found, way: &[u32]) -> Vec<String> {
    let step = |pair: &[u32]| {
        let (before, after) = (found.states[pair[0] as usize], found.states[pair[1] as usize]);
        let mut actions: Vec<Action> = Vec::new();
        protocol.actions(&before, &mut actions);
        let taken = actions.into_iter().find(|action| protocol.next_state(&before, *action) == Some(after));
        taken.map_or_else(String::new, |action| crate::tell::tell(protocol, &before, action, &after))
    };
    way.windows(2).map(step).collect()
}
