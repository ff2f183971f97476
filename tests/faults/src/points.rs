//! Where a fault can be: the calls of a run, and which of them are tried.

use core::fmt;
use std::collections::BTreeMap;

use qsketch_sim::{Call, Fault};

/// A call of a run without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its number in the run.
    pub number: u64,
    /// Who made it: `w0.0`, `operator-0`, `reconciler.1`.
    pub process: String,
    /// Its kind: `claim`, `send`, `put`.
    pub kind: &'static str,
    /// The part, queue or key.
    pub target: String,
    /// The how-many-th of this kind, process and target it is, from 1.
    pub ordinal: u32,
}

impl Point {
    /// The faults that it can have.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        Fault::of_call(self.kind)
    }

    /// Whether a run's call is this one.
    #[must_use]
    pub fn is(&self, call: &Call) -> bool {
        (call.number, call.process.as_str(), call.kind, call.target.as_str())
            == (self.number, self.process.as_str(), self.kind, self.target.as_str())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, process, kind, target, ordinal } = self;
        write!(f, "{process}'s {kind} on {target}, no. {ordinal} (call {number})")
    }
}

/// The points of a run's calls. Of calls that are alike but for the element or the job that they are about, the first
/// `most_alike` are taken.
#[must_use]
pub fn points(calls: &[Call], most_alike: u32) -> Vec<Point> {
    let mut seen: BTreeMap<(String, &str, String), u32> = BTreeMap::new();
    let mut alike: BTreeMap<(String, &str, String), u32> = BTreeMap::new();
    let mut points = Vec::new();
    for call in calls {
        let ordinal = seen.entry((call.process.clone(), call.kind, call.target.clone())).or_default();
        *ordinal += 1;
        let shape: String = call.target.chars().filter(|c| !c.is_ascii_digit()).collect();
        let count = alike.entry((call.process.clone(), call.kind, shape)).or_default();
        *count += 1;
        if *count <= most_alike {
            let (process, target) = (call.process.clone(), call.target.clone());
            points.push(Point { number: call.number, process, kind: call.kind, target, ordinal: *ordinal });
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use qsketch_core::Time;
    use qsketch_sim::Port;

    use super::*;

    #[test]
    fn every_call_is_a_point_unless_too_many_are_alike() {
        let call = |number, target: &str| Call {
            number,
            process: "w".to_owned(),
            port: Port::Store,
            kind: "put",
            target: target.to_owned(),
            size: 1,
            at: Time(0),
            ended_at: None,
            fault: None,
        };
        let calls = [call(0, "b#0"), call(1, "b#1"), call(2, "b#1"), call(3, "c")];
        let named = |most| points(&calls, most).iter().map(|point| (point.number, point.ordinal)).collect::<Vec<_>>();
        assert_eq!(named(u32::MAX), [(0, 1), (1, 1), (2, 2), (3, 1)]);
        assert_eq!(named(1), [(0, 1), (3, 1)]);
    }
}
