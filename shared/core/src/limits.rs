//! Every bound of the core, with its reason.

use core::time::Duration;

/// The layout that this release writes into messages and items, and the newest that it reads.
pub const LAYOUT: u32 = 1;

/// The most steps of one pipeline; keeps its document far below one item of the table.
pub const STEPS_MAX: usize = 32;

/// The most elements of a mapped step.
///
/// Its folded shards stand in the part `job`, about 30 bytes each: at this width they fill 10 KB, and every write of that
/// part is billed by its size.
pub const WIDTH_MAX: u32 = 10_000;

/// Up to how many elements a mapped step's records stand in the part `job`; those of a wider one stand in shards.
///
/// A record costs about 50 bytes there, and every write is billed by the item's size.
pub const INLINE_WIDTH_MAX: u32 = 8;

/// How many records a shard holds: as many as fit into one write unit with the longest names.
pub const SHARD_WIDTH: u32 = 32;

/// The longest error text kept in an item, in bytes; the whole text stands in the attempt's log.
pub const ERROR_BYTES_MAX: usize = 200;

/// The most ended attempts kept in a task's part; older ones are counted, not kept.
pub const ATTEMPTS_KEPT_MAX: usize = 16;

/// The longest result of a job kept in its part, in bytes: a location, never the thing itself.
pub const RESULT_BYTES_MAX: usize = 1_024;

/// The longest payload of a signal, in bytes: it stands in the part `job`, and every write of that part is billed by its size.
pub const PAYLOAD_BYTES_MAX: usize = 1_024;

/// The longest text that is read as a payload, in bytes: the white space between its parts is not kept.
pub const PAYLOAD_READ_MAX: usize = 16 * PAYLOAD_BYTES_MAX;

/// The most attempts that a retry policy may allow.
pub const ATTEMPTS_MAX: u32 = 100;

/// How often an attempt may be given back (SIGTERM, Spot reclaim) before giving back is charged like a failure.
pub const RELEASES_MAX: u32 = 100;

/// How often an attempt of one closing may meet an overload before that is charged like a failure. At the longest wait
/// that is over eight hours, so that a step's schedule-to-close ends it first.
pub const OVERLOADS_MAX: u32 = 100;

/// The wait after the first overload of a task; it doubles with each one.
pub const OVERLOAD_INTERVAL: Duration = Duration::from_secs(5);

/// The longest wait after an overload, jitter apart.
pub const OVERLOAD_INTERVAL_MAX: Duration = Duration::from_secs(300);

/// How many crashes of its worker a task is told of before each further attempt has its worker to itself.
///
/// The first one says nothing about the task: every attempt of that process died. A task that was there twice may be the cause.
pub const CRASHES_IN_COMPANY_MAX: u32 = 2;

/// How many crashes of one closing may go uncharged. Where every worker keeps attempts alone that must be, it is never more
/// than [`CRASHES_IN_COMPANY_MAX`]; this bounds it where one does not.
pub const CRASHES_MAX: u32 = 16;

/// The wait after the second crash of a task; it doubles with each further one. The first goes back at once.
pub const CRASH_INTERVAL: Duration = Duration::from_secs(5);

/// The longest wait after a crash, jitter apart.
pub const CRASH_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// How long a message rests whose attempt must be alone in its worker, where the worker had no such time for it.
pub const ALONE_PAUSE: Duration = Duration::from_secs(10);

/// How often a job may close: its first time, and once per redrive. Each closing stands in the part `job`, up to 400 bytes.
pub const CLOSINGS_MAX: usize = 16;

/// How much time a redriven job must have in the table beyond its new deadline: as long as SQS keeps a message of it.
///
/// # Source
/// SQS API reference, `SetQueueAttributes`, `MessageRetentionPeriod`: at most 14 days; read 2026-11-26.
pub const REDRIVE_ROOM: Duration = Duration::from_secs(14 * 24 * 3_600);

/// How often one drive decides again after a lost race before it leaves the message for later.
///
/// Each refusal means that somebody else made progress, so a few suffice.
pub const COMMITS_MAX: u32 = 8;

/// How much the clocks of two workers may differ.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(1);

/// The largest message that is read: a pointer is about 200 bytes, with its job about a kilobyte.
pub const MESSAGE_BYTES_MAX: usize = 4_096;

/// The most recorded tasks of a job that travels in a message: a larger one is loaded.
pub const KNOWN_TASKS_MAX: usize = 16;

/// How long the parts of a job are kept after its deadline.
pub const KEEP_AFTER_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long a job that is queued is kept: for as long as the longest queue of one tenant may take.
///
/// A thousand jobs of an hour, one at a time, take 42 days.
pub const KEEP_QUEUED: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The most jobs of one tenant that a cap may allow to run: the set of their ids is part of each write of the tenant's
/// item, which is billed by its size: a write unit for every kilobyte, 27 ids of 36 bytes.
pub const TENANT_JOBS_MAX: u32 = 500;

/// How often a tenant is looked after whose jobs are capped, while one of them runs or is queued.
pub const TENANT_LOOK_INTERVAL: Duration = Duration::from_secs(120);

/// How long after a job was queued its tenant's queue may not count as empty: the index shows what was written a moment
/// ago, most often within a second.
pub const QUEUE_SETTLED: Duration = Duration::from_secs(15 * 60);

/// Until when nobody looks after a job that seems quiet.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The longest time between two looks at a job of which something stands still. Up to it, a look follows after as long as
/// that has stood still: 2 min, 4, 8.
pub const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(15 * 60);

/// The longest time between two looks at a job that only waits. It has no message to lose, and whoever signals it says so.
pub const WAIT_INTERVAL_MAX: Duration = Duration::from_secs(6 * 3_600);

/// The shortest time between two looks at a job.
pub const LOOK_INTERVAL_MIN: Duration = Duration::from_secs(30);

/// How many messages may wait in a queue that counts as empty: its numbers are about right, and somebody has just sent.
pub const ABOUT_EMPTY: u64 = 10;

/// How many messages one sweep sends again into a queue that is not about empty: those that stood still longest.
///
/// A task that waits in a backlog looks like one whose message is lost. Lost ones are the oldest, so a few a minute find
/// them; and a backlog can't grow by them unless fewer than these leave it in a minute.
pub const RESENDS_IN_BACKLOG_MAX: usize = 10;

/// For how long after a closing its notification is tried anew, once its attempts are used up.
pub const NOTIFY_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Over how many keys the index of jobs to look after is spread: one key carries 1,000 writes/s.
///
/// # Source
/// DynamoDB developer guide, "Best practices for designing and using partition keys effectively", read 2026-11-22.
pub const CHECK_SHARDS: u32 = 16;

/// How long a refund token may be redeemed, counted from the closing that it was made for. It ends sooner where the table
/// may delete the job sooner: what was redeemed must be known for as long as a token is good.
pub const REFUND_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The shortest secret that refund tokens are made from: as long as the hash, so that guessing it is no way in.
///
/// # Source
/// RFC 2104, section 3, "Keys": less than the hash's length is strongly discouraged.
pub const SECRET_BYTES_MIN: usize = 32;

/// The longest secret that refund tokens are made from: what a parameter of the standard tier holds.
///
/// # Source
/// Systems Manager user guide, "Managing parameter tiers": 4 KB, read 2026-11-27.
pub const SECRET_BYTES_MAX: usize = 4_096;

/// How long an attempt waits in place for its turn at a provider; one whose turn is farther away ends and comes back.
///
/// A Lambda that writes scripts has 30 s, and what waits in place holds a message that others might work on.
pub const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a turn may stand free while others wait for theirs, until their line counts as left.
///
/// Who comes back is late by a second of visibility, another of clocks, and its receipt.
pub const LINE_IDLE_MAX: Duration = Duration::from_secs(5);

/// The farthest place in the line of those who wait for a provider: half of the time for which SQS can hide a message.
pub const LINE_MAX: Duration = Duration::from_secs(6 * 3_600);

/// The most turns a second of one provider: what one item of the table takes, each turn being one write of it.
///
/// # Source
/// DynamoDB developer guide, "Best practices for designing and using partition keys effectively": 1,000 write units a second of
/// one partition key; read 2026-11-22.
pub const TURNS_PER_SECOND_MAX: u64 = 1_000;

const _: () = assert!(INLINE_WIDTH_MAX >= 1 && WIDTH_MAX >= INLINE_WIDTH_MAX, "a mapped step may have one element");
const _: () = assert!(CRASHES_MAX >= CRASHES_IN_COMPANY_MAX, "a crash in company is not charged");
const _: () = assert!(SHARD_WIDTH >= 1, "a shard holds a record");
const _: () = assert!(LOOK_INTERVAL_MAX.as_secs() >= PATIENCE.as_secs(), "looks get rarer, not more frequent");
const _: () = assert!(ATTEMPTS_KEPT_MAX >= 2, "the story shows at least the first failure and the last");
