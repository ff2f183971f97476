//! Sound input, damaged.

use proptest::prelude::*;
use serde_json::Value;

/// The most damages to one input.
const DAMAGES_MAX: usize = 4;

/// The longest text that is made of nothing, in characters.
const NOTHING_CHARS_MAX: usize = 200;

/// One damage: where, in thousandths of the length, what kind, and with which byte.
type Damage = (u16, u8, u8);

/// Bytes that are one of these, damaged.
pub(crate) fn damaged_bytes(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damages = prop::collection::vec((0_u16..1_000, 0_u8..5, any::<u8>()), 0..=DAMAGES_MAX);
    (prop::sample::select(samples), damages).prop_map(|(mut bytes, damages)| {
        damages.into_iter().for_each(|damage| harm(&mut bytes, damage));
        bytes
    })
}

fn harm(bytes: &mut Vec<u8>, (at, kind, byte): Damage) {
    let at = bytes.len() * usize::from(at) / 1_000;
    let end = (at + usize::from(byte)).min(bytes.len());
    match kind {
        0 if at < bytes.len() => bytes[at] = byte,
        1 => bytes.truncate(at),
        2 => bytes.insert(at, byte),
        3 => drop(bytes.drain(at..end)),
        _ => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

/// Text that is one of these, damaged by the byte, or text made of nothing.
pub(crate) fn text(samples: Vec<String>) -> impl Strategy<Value = String> {
    let bytes = damaged_bytes(samples.iter().cloned().map(String::into_bytes).collect());
    let nothing =
        prop::collection::vec(any::<char>(), 0..NOTHING_CHARS_MAX).prop_map(|chars| chars.into_iter().collect());
    prop_oneof![
        2 => bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        3 => json(samples).prop_map(|value| value.to_string()),
        1 => nothing,
    ]
}

/// JSON that is one of these documents with some of its values replaced, removed or added.
pub(crate) fn json(samples: Vec<String>) -> impl Strategy<Value = Value> {
    let samples: Vec<Value> = samples.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    let samples = if samples.is_empty() { vec![Value::Null] } else { samples };
    let damages = prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, odd()), 0..=DAMAGES_MAX);
    (prop::sample::select(samples), damages).prop_map(|(mut value, damages)| {
        for (place, kind, odd) in damages {
            let mut place = place.index(count(&value));
            replace(&mut value, &mut place, kind, &odd);
        }
        value
    })
}

/// A value that is seldom expected.
fn odd() -> impl Strategy<Value = Value> {
    let texts = ["", "0", "-1", "a/b", "\u{0}", "\u{feff}", "RUNNING", "a#0", "a#4294967296", "z@0", "done:a@0/0", "…"];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![0_i64, 1, -1, i64::MAX, i64::MIN, 4_294_967_296]).prop_map(Value::from),
        prop::sample::select(vec![0.5, -0.0, 1e300]).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(texts.map(Value::from).to_vec()),
        any::<String>().prop_map(Value::from),
        Just(Value::from("x".repeat(5_000))),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([[[[]]], {"a": {"b": null}}])),
    ]
}

/// How many values there are in one, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(values) => values.values().map(count).sum(),
        _ => 0,
    }
}

/// Replaces the value at a place, counted through the tree; or removes it, or adds one beside it.
fn replace(value: &mut Value, place: &mut usize, kind: u8, odd: &Value) -> bool {
    if *place == 0 {
        match (value, kind) {
            (Value::Object(values), 1) => drop(values.insert("unknown".to_owned(), odd.clone())),
            (Value::Array(values), 1) => values.push(odd.clone()),
            (Value::Object(values), 2) => values.retain(|name, _| !name.len().is_multiple_of(2)),
            (Value::Array(values), 2) => values.clear(),
            (value, _) => *value = odd.clone(),
        }
        return true;
    }
    *place -= 1;
    match value {
        Value::Array(values) => values.iter_mut().any(|value| replace(value, place, kind, odd)),
        Value::Object(values) => values.values_mut().any(|value| replace(value, place, kind, odd)),
        _ => false,
    }
}
