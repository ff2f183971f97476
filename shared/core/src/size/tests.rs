use core::time::Duration;

use serde_json::json;

use super::*;
use crate::ids::Tenant;
use crate::parts::JobStatus;
use crate::parts::{Closing, Done, Verdict};
use crate::pipeline::StepSpec;
use crate::time::Time;
use crate::write::{Write, apply};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn job() -> Result<Job, Box<dyn std::error::Error>> {
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    Ok(Job::begun(JobId::try_from("j")?, Tenant::try_from("t")?, &pipeline, Time(1_795_382_157_042)))
}

/// An item of exactly so many bytes that is in no index.
fn item(bytes: usize) -> Item {
    let keys = Item::keyed("j", "input", Map::new());
    let pad = bytes - usize::try_from(keys.bytes()).unwrap() - "pad".len();
    Item::keyed("j", "input", [("pad".to_owned(), Value::from("x".repeat(pad)))].into_iter().collect())
}

#[test]
fn a_number_takes_a_byte_for_two_significant_digits_one_more_and_one_for_a_minus() {
    let known = [
        ("0", 1),
        ("-0", 1),
        ("0.0", 1),
        ("7", 2),
        ("42", 2),
        ("-42", 3),
        ("100", 2),
        ("123", 3),
        ("1200", 2),
        ("1234", 3),
        ("1795382157042", 8),
        ("1795382157000", 6),
        ("1797939000", 5),
        ("18446744073709551615", 11),
        ("1.5", 3),
        ("0.5", 2),
        ("0.001", 2),
        ("12.345", 4),
        ("-12.345", 5),
        ("1e21", 2),
        ("1.25e2", 3),
        ("25e-1", 3),
        ("-1E-130", 3),
        ("99999999999999999999999999999999999999", 20),
    ];
    for (text, bytes) in known {
        assert_eq!(number_bytes(text), bytes, "{text}");
    }
}

#[test]
fn every_kind_of_value_has_its_size() {
    let known = [
        (json!(null), 1),
        (json!(true), 1),
        (json!(""), 0),
        (json!("abc"), 3),
        (json!("é"), 2),
        (json!("数学"), 6),
        (json!("👩‍🔬"), 11),
        (json!([]), 3),
        (json!({}), 3),
        // 3 + (1 + 1) + (1 + 2)
        (json!(["a", 7]), 8),
        // 3 + (1 + 4 + 2) + (1 + 2 + 3)
        (json!({ "name": 42, "ok": [] }), 16),
        // 3 + (1 + 1 + (3 + (1 + 1 + (3 + (1 + 1)))))
        (json!({ "a": { "b": [null] } }), 15),
    ];
    for (value, bytes) in known {
        assert_eq!(value_bytes(&value), bytes, "{value}");
    }
}

#[test]
fn an_item_is_the_names_and_values_of_its_attributes_and_its_keys() -> Outcome {
    let input = Input {
        layout: 1,
        job_id: JobId::try_from("demo-1")?,
        content_hash: "00".to_owned(),
        submission: json!({ "prompt": "two" }),
        received_at: Time(1_200),
        expires_at: 9,
    };
    // By hand: job_id 6 + 6, part 4 + 5, layout 6 + 2, content_hash 12 + 2, submission 10 + 3 + 1 + 6 + 3,
    // received_at 11 + 2, expires_at 10 + 2.
    assert_eq!(Item::of_input(&input).bytes(), 12 + 9 + 8 + 14 + 23 + 13 + 12);
    let task = Task::begun(1, 0, Time(12), 9);
    // job_id 6 + 1, part 4 + 8, layout 6 + 2, attempt 7 + 2, closing 7 + 1, started_at 10 + 2, charged 7 + 1,
    // released 8 + 1, attempts 8 + 3, expires_at 10 + 2. What is absent has no attribute.
    let bytes = Item::of_task(&JobId::try_from("j")?, &"b#0".parse()?, &task).bytes();
    assert_eq!(bytes, 7 + 12 + 8 + 9 + 8 + 12 + 8 + 9 + 11 + 12);
    Ok(())
}

#[test]
fn a_pipeline_s_item_is_its_document_its_name_its_layout_and_its_keys() -> Outcome {
    let pipeline = Pipeline::builder("p").step(StepSpec::new("a")).finalizer(StepSpec::new("z")).build()?;
    // job_id 6 + 9 + 32, part 4 + 8, layout 6 + 2, name 4 + 1, document 8 and itself.
    let bytes = 47 + 12 + 8 + 5 + 8 + pipeline.document().len() as u64;
    assert_eq!(Item::of_pipeline(&pipeline).bytes(), bytes);
    Ok(())
}

#[test]
fn every_started_kibibyte_written_is_a_unit_and_every_started_four_read_are() {
    for (bytes, units) in [(0, 1), (1, 1), (1_024, 1), (1_025, 2), (2_048, 2), (2_049, 3), (409_600, 400)] {
        assert_eq!(write_units(bytes), units, "{bytes}");
    }
    for (bytes, units) in [(0, 1), (1, 1), (4_096, 1), (4_097, 2), (8_192, 2), (8_193, 3), (409_600, 100)] {
        assert_eq!(read_halves(bytes, Consistency::Strong), 2 * units, "{bytes}");
        assert_eq!(read_halves(bytes, Consistency::Eventual), units, "{bytes}");
    }
}

#[test]
fn a_write_is_billed_by_the_larger_of_what_was_and_what_is_and_a_refused_one_by_what_is_there() {
    let table = |before: Option<usize>, after| written(before.map(item).as_ref(), &item(after)).table;
    assert_eq!(table(None, 1_024), 1);
    assert_eq!(table(None, 1_025), 2);
    assert_eq!(table(Some(1_025), 100), 2);
    assert_eq!(table(Some(100), 1_025), 2);
    assert_eq!(table(Some(3_000), 2_000), 3);
    assert_eq!(refused(None), WriteUnits { table: 1, indexes: 0 });
    assert_eq!(refused(Some(&item(1_024))), WriteUnits { table: 1, indexes: 0 });
    assert_eq!(refused(Some(&item(1_025))), WriteUnits { table: 2, indexes: 0 });
}

#[test]
fn an_entry_added_or_removed_costs_one_a_moved_one_two_and_one_that_stays_nothing() -> Outcome {
    let born = Item::of_job(&job()?);
    let other = |change: fn(&mut Job)| -> Result<Item, Box<dyn std::error::Error>> {
        let mut job = job()?;
        change(&mut job);
        Ok(Item::of_job(&job))
    };
    let moved = other(|job| job.check_at = job.check_at.map(|at| at.plus(Duration::from_secs(1))))?;
    let gone = other(|job| (job.check_at, job.check_shard) = (None, None))?;
    let half_gone = other(|job| job.check_at = None)?;
    let closed = other(|job| job.status = JobStatus::Completed)?;
    let indexes = |before: Option<&Item>, after: &Item| written(before, after).indexes;
    assert_eq!(indexes(None, &born), 2, "it enters both");
    assert_eq!(indexes(Some(&born), &closed), 0, "neither holds the status");
    assert_eq!(indexes(Some(&born), &moved), 2, "it moves in one");
    assert_eq!(indexes(Some(&born), &gone), 1, "it leaves one");
    assert_eq!(indexes(Some(&born), &half_gone), 1, "without one of the keys it is not there");
    assert_eq!(indexes(Some(&gone), &born), 1, "it comes back");
    assert_eq!(indexes(None, &gone), 1, "a rejected job is only in the tenant's");
    assert_eq!(indexes(None, &item(2_000)), 0, "an input is in none");
    Ok(())
}

#[test]
fn an_entry_is_the_keys_and_nothing_else() -> Outcome {
    let mut job = job()?;
    job.result = Some("r".repeat(5_000));
    // job_id 6 + 1, part 4 + 3, tenant_day 10 + 12, created_at 10 + 8.
    let entry = Item::of_job(&job).entry(INDEXES[1]).ok_or("it is in the index")?;
    assert_eq!(entry.bytes(), 7 + 7 + 22 + 18);
    assert_eq!(written(None, &Item::of_job(&job)), WriteUnits { table: 6, indexes: 2 });
    Ok(())
}

#[test]
fn a_job_s_life_costs_its_indexes_three_units_two_at_birth_and_one_at_the_end() -> Outcome {
    let mut part = Part::Job(Box::new(job()?));
    let id = JobId::try_from("j")?;
    let of = |part: &Part| Item::of_part(&id, "job", part);
    assert_eq!(of(&part), Item::of_job(&job()?));
    let mut units = written(None, &of(&part));
    let done = || Done { attempt: 1, at: Time(1_795_382_157_099), width: None, payload: None };
    let entry = Closing {
        verdict: Verdict::Completed,
        at: Time(1),
        task: None,
        attempt: None,
        error_type: None,
        error: None,
        result: None,
        refund: None,
    };
    for write in [
        Write::Record { task: "a".parse()?, closing: 0, done: done(), result: None, close: Some(Box::new(entry)) },
        Write::RecordFinal { task: "z@0".parse()?, closing: 0, done: done() },
    ] {
        let next = apply(&write, Some(&part)).ok_or("it is written")?;
        let more = written(Some(&of(&part)), &of(&next));
        units = WriteUnits { table: units.table + more.table, indexes: units.indexes + more.indexes };
        part = next;
    }
    assert_eq!(units, WriteUnits { table: 3, indexes: 3 });
    Ok(())
}
