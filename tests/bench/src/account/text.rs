//! The account as text for people, read back and compared number for number.

use core::fmt;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use crate::account::{COMMAND, LATENCY};
use crate::consumers::{POLL_WAIT, QUEUES};
use crate::counted::Counted;
use crate::prices::{Bill, PRICES, idle_dollars_a_month};
use crate::way::Way;

/// By how much a number may differ that depends on what shares a batch, with more than one job in flight, in thousandths.
///
/// The same code counts the same. But any change to the order of calls gives them other latencies of those that are
/// drawn, as another seed does: over three seeds, what was batched differed by up to 40 thousandths.
pub const TOLERANCE_PERMILLE: u32 = 50;

/// What the names of the numbers begin with that depend on what shares a batch.
const BATCHED: [&str; 4] = [CALLS, "queues.", REQUESTS, "$"];

/// The name of the line that says what a million jobs cost.
pub const DOLLARS: &str = "$ a million jobs";

const CALLS: &str = "calls";
const REQUESTS: &str = "requests of SQS";

/// What one job costs, a section for each way and number of jobs in flight.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The sections.
    pub sections: Vec<Section>,
}

/// What one job costs in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// How the jobs were run.
    pub title: Title,
    /// Its numbers by name, in their order.
    pub lines: Vec<Line>,
}

/// How jobs were run: `through the queues, 1 in flight`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Title {
    /// The name of the way.
    pub way: String,
    /// How many were in flight.
    pub in_flight: usize,
}

impl Title {
    /// The title of a way.
    #[must_use]
    pub fn of(way: Way, in_flight: usize) -> Self {
        Self { way: way.name().to_owned(), in_flight }
    }

    fn parse(text: &str) -> Option<Self> {
        let (way, in_flight) = text.strip_suffix(IN_FLIGHT)?.rsplit_once(", ")?;
        Some(Self { way: way.to_owned(), in_flight: in_flight.parse().ok()? })
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}{IN_FLIGHT}", self.way, self.in_flight)
    }
}

const IN_FLIGHT: &str = " in flight";

/// One number of a section.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name, with its unit.
    pub name: String,
    /// The number, for one job.
    pub number: f64,
}

/// A number that is not the committed one.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The section's title.
    pub section: Title,
    /// The number's name.
    pub name: String,
    /// What was committed; none where the line is new.
    pub committed: Option<f64>,
    /// What was counted; none where the line is gone.
    pub counted: Option<f64>,
}

impl Section {
    /// The section of these jobs.
    #[must_use]
    pub fn of(way: Way, in_flight: usize, counted: &Counted) -> Self {
        let mut section = Self { title: Title::of(way, in_flight), lines: Vec::new() };
        section.add(CALLS, counted.per_job(counted.calls()));
        for (kind, calls) in counted.tally.calls.iter().filter(|(kind, _)| *kind != crate::counted::EMPTY) {
            section.add(kind, counted.per_job(*calls));
            if let Some(messages) = counted.tally.messages.get(kind) {
                section.add(&format!("{kind}, messages in each"), *messages as f64 / (*calls).max(1) as f64);
            }
        }
        let job = counted.consumption();
        section.add("write units, table", job.table_writes);
        section.add("write units, indexes", job.index_writes);
        section.add("read units", job.reads);
        section.add(REQUESTS, job.queue_requests);
        let bill = Bill::of(&job);
        section.add(DOLLARS, bill.sum());
        section.add("$ of these, table writes", bill.table_writes);
        section.add("$ of these, index writes", bill.index_writes);
        section.add("$ of these, reads", bill.reads);
        section.add("$ of these, SQS", bill.queues);
        section.add("$ on top, fair queues (unconfirmed)", bill.fair_queues);
        section
    }

    /// The number of this name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.lines.iter().find(|line| line.name == name).map(|line| line.number)
    }

    fn add(&mut self, name: &str, number: f64) {
        // As it is written: what can't be seen in the file is no difference.
        let number = (number * 100.0).round() / 100.0;
        self.lines.push(Line { name: name.to_owned(), number });
    }
}

impl Account {
    /// The section of a way.
    #[must_use]
    pub fn section(&self, way: Way, in_flight: usize) -> Option<&Section> {
        let title = Title::of(way, in_flight);
        self.sections.iter().find(|section| section.title == title)
    }

    /// Reads an account as it was written.
    ///
    /// # Errors
    /// A line is none.
    pub fn parse(text: &str) -> Result<Self> {
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let title = Title::parse(title).with_context(|| format!("no title of a section: {line}"))?;
                sections.push(Section { title, lines: Vec::new() });
                continue;
            }
            let (name, number) = line.rsplit_once(' ').with_context(|| format!("no number: {line}"))?;
            let number = number.parse().with_context(|| format!("no number: {line}"))?;
            let section = sections.last_mut().with_context(|| format!("it stands in no section: {line}"))?;
            section.lines.push(Line { name: name.trim_end().to_owned(), number });
        }
        ensure!(!sections.is_empty(), "the account is empty");
        Ok(Self { sections })
    }

    /// Every number of this account that is not the committed one; with more than one job in flight, those that depend on
    /// what shares a batch may differ by [`TOLERANCE_PERMILLE`].
    #[must_use]
    pub fn changes_since(&self, committed: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let titles: BTreeSet<&Title> = committed.sections.iter().chain(&self.sections).map(|all| &all.title).collect();
        for title in titles {
            let of = |account: &Self| account.sections.iter().find(|section| section.title == *title).cloned();
            let nothing = || Section { title: title.clone(), lines: Vec::new() };
            let (old, new) = (of(committed).unwrap_or_else(nothing), of(self).unwrap_or_else(nothing));
            let gone = old.lines.iter().filter(|line| new.number(&line.name).is_none());
            for line in new.lines.iter().chain(gone) {
                let (committed, counted) = (old.number(&line.name), new.number(&line.name));
                if !is_same(title, &line.name, committed, counted) {
                    changes.push(Change { section: title.clone(), name: line.name.clone(), committed, counted });
                }
            }
        }
        changes
    }
}

fn is_same(title: &Title, name: &str, committed: Option<f64>, counted: Option<f64>) -> bool {
    let (Some(committed), Some(counted)) = (committed, counted) else { return false };
    let is_exact = title.in_flight == 1 || !BATCHED.iter().any(|batched| name.starts_with(batched));
    let permille = if is_exact { 0 } else { TOLERANCE_PERMILLE };
    // Half of the last digit that is written.
    (counted - committed).abs() <= committed.abs() * f64::from(permille) / 1e3 + 0.005
}

/// What a failing guard says.
#[must_use]
pub fn complaint(changes: &[Change]) -> String {
    let mut text = String::from("a job does not cost what the committed account says:\n");
    for change in changes {
        text += &format!("  {change}\n");
    }
    let grew = changes.iter().any(|change| change.counted.unwrap_or(0.0) > change.committed.unwrap_or(0.0));
    text += if grew {
        "What grew, every job pays for: take it back, or say in the commit why it is worth it, and renew the file"
    } else {
        "A job got cheaper, and the file is out of date: renew it, so that the gain is kept"
    };
    text + ":\n  " + COMMAND
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.committed, self.counted) {
            (None, _) => "is new",
            (_, None) => "is gone",
            (Some(committed), Some(counted)) if counted > committed => "grew",
            _ => "fell",
        };
        let text = |number: Option<f64>| number.map_or_else(|| "none".to_owned(), plain);
        let (committed, counted) = (text(self.committed), text(self.counted));
        write!(f, "[{}] {} {word}: {committed} committed, {counted} counted", self.section, self.name)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# What one five-step job costs, counted on the ports in memory. Numbers are for each job.")?;
        writeln!(f, "# Written by: {COMMAND}")?;
        writeln!(
            f,
            "# `cargo test -p qsketch-bench` fails where a number is another. With many jobs in flight, what depends on"
        )?;
        writeln!(
            f,
            "# batching (SQS, and sums with it) may differ by {} %; there calls take",
            f64::from(TOLERANCE_PERMILLE) / 10.0
        )?;
        let (least, spread) = (LATENCY.0.as_millis(), LATENCY.1.as_millis());
        writeln!(f, "# {least} to {} ms, drawn: slower ones would be batched more, faster ones less.", least + spread)?;
        writeln!(f, "#\n# List prices, us-east-1, free tiers left out:")?;
        for price in PRICES {
            writeln!(f, "#   {price}")?;
        }
        let (idle, wait) = (idle_dollars_a_month(QUEUES, POLL_WAIT), POLL_WAIT.as_secs());
        writeln!(
            f,
            "# Receives that bring nothing are no calls of a job. An idle process has a poll of {wait} s open on"
        )?;
        writeln!(f, "# each of its {QUEUES} queues: ${idle:.2} in 30 days, however few jobs there are.")?;
        for section in &self.sections {
            writeln!(f, "\n[{}]", section.title)?;
            for line in &section.lines {
                writeln!(f, "{:<44} {:>6}", line.name, plain(line.number))?;
            }
        }
        Ok(())
    }
}

/// With two digits after the point, or none where it is whole.
fn plain(number: f64) -> String {
    let text = format!("{number:.2}");
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}
