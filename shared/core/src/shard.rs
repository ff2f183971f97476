//! The part `done:<shard>`: the records of some elements of a wide step, packed.
//!
//! As an item it is flat, so that its first record needs no part to be there: an attribute for each element.
//!
//! | attribute | value |
//! |---|---|
//! | `7` | `"2@1795339895000"`: element 7 of the step is recorded, by attempt 2, at that time |
//! | `x9` | `0`: element 9 failed for good in closing 0; this is its tombstone |
//! | `layout`, `expires_at` | as in every part |
//!
//! Invariant: an element that is recorded stays so, and one with a tombstone of a closing is not recorded in that
//! closing or an earlier one: `write::tests::a_tombstone_and_a_record_keep_each_other_out`.

use core::fmt;
use std::collections::BTreeMap;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::parts::Done;
use crate::time::Time;

/// The part `done:<shard>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    /// The layout that it was written in.
    pub layout: u32,
    /// The recorded completions, by element.
    pub done: BTreeMap<u32, Done>,
    /// The closing for which an element failed for good, by element.
    pub closed: BTreeMap<u32, u32>,
    /// When the table may delete it, in seconds since the epoch.
    pub expires_at: u64,
}

impl Shard {
    /// A shard without a record.
    #[must_use]
    pub const fn new(layout: u32, expires_at: u64) -> Self {
        Self { layout, done: BTreeMap::new(), closed: BTreeMap::new(), expires_at }
    }

    /// When its last record was made; none without a record.
    #[must_use]
    pub fn last_at(&self) -> Option<Time> {
        self.done.values().map(|done| done.at).max()
    }

    /// The name of the attribute that holds an element's record.
    #[must_use]
    pub fn record_name(element: u32) -> String {
        element.to_string()
    }

    /// The name of the attribute that holds an element's tombstone.
    #[must_use]
    pub fn tombstone_name(element: u32) -> String {
        format!("{TOMBSTONE}{element}")
    }

    /// The value of the attribute that holds a record.
    #[must_use]
    pub fn record_value(done: &Done) -> String {
        format!("{}@{}", done.attempt, done.at.0)
    }
}

const TOMBSTONE: char = 'x';

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.done.len() + self.closed.len()))?;
        map.serialize_entry("layout", &self.layout)?;
        for (element, done) in &self.done {
            map.serialize_entry(&Self::record_name(*element), &Self::record_value(done))?;
        }
        for (element, closing) in &self.closed {
            map.serialize_entry(&Self::tombstone_name(*element), closing)?;
        }
        map.serialize_entry("expires_at", &self.expires_at)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Attributes)
    }
}

struct Attributes;

impl<'de> Visitor<'de> for Attributes {
    type Value = Shard;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the attributes of a shard")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shard, A::Error> {
        let (mut layout, mut expires_at) = (None, None);
        let (mut done, mut closed) = (BTreeMap::new(), BTreeMap::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == "layout" {
                layout = Some(map.next_value()?);
            } else if name == "expires_at" {
                expires_at = Some(map.next_value()?);
            } else if let Ok(element) = name.parse::<u32>() {
                let value: String = map.next_value()?;
                let record = record_of(&value).ok_or_else(|| A::Error::custom(format!("{value:?} is no record")))?;
                done.insert(element, record);
            } else if let Some(Ok(element)) = name.strip_prefix(TOMBSTONE).map(str::parse) {
                closed.insert(element, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let layout = layout.ok_or_else(|| A::Error::missing_field("layout"))?;
        let expires_at = expires_at.ok_or_else(|| A::Error::missing_field("expires_at"))?;
        Ok(Shard { layout, done, closed, expires_at })
    }
}

fn record_of(value: &str) -> Option<Done> {
    let (attempt, at) = value.split_once('@')?;
    Some(Done { attempt: attempt.parse().ok()?, at: Time(at.parse().ok()?), width: None, payload: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shard_reads_back_as_it_was_written(
            layout: u32,
            expires_at: u64,
            done in prop::collection::btree_map(any::<u32>(), (any::<u32>(), any::<u64>()), 0..40),
            closed in prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..5),
        ) {
            let record = |(attempt, at)| Done { attempt, at: Time(at), width: None, payload: None };
            let done = done.into_iter().map(|(element, of)| (element, record(of))).collect();
            let shard = Shard { layout, done, closed, expires_at };
            let text = serde_json::to_string(&shard).unwrap();
            prop_assert_eq!(serde_json::from_str::<Shard>(&text).unwrap(), shard);
        }
    }
}
