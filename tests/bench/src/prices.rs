//! What the coordination costs in dollars, by a dated price table.

use core::fmt;
use core::time::Duration;

/// A list price, us-east-1, free tiers left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// What it is for.
    pub what: &'static str,
    /// Dollars for a million of them.
    pub dollars_per_million: f64,
    /// Where it was found.
    pub source: &'static str,
    /// From when that is.
    pub date: &'static str,
    /// What else must be known.
    pub note: &'static str,
}

/// A write unit of DynamoDB, of a table or of an index.
pub const WRITE_UNIT: Price = Price {
    what: "DynamoDB on demand, write units of the table and of its indexes",
    dollars_per_million: 0.625,
    source: "airbyte.com, an article on DynamoDB's prices",
    date: "2025, read 2026-11-22",
    note: "",
};

/// A read unit of DynamoDB.
pub const READ_UNIT: Price = Price {
    what: "DynamoDB on demand, read units",
    dollars_per_million: 0.125,
    source: "airbyte.com, an article on DynamoDB's prices",
    date: "2025, read 2026-11-22",
    note: "",
};

/// A request of SQS.
pub const QUEUE_REQUEST: Price = Price {
    what: "SQS standard queues, requests",
    dollars_per_million: 0.40,
    source: "cloudburn.io, an article on SQS's prices",
    date: "March 2026, read 2026-11-22",
    note: "each started 64 KB of a call's messages is a request; a batch is one",
};

/// A message through a fair queue, on top of its requests.
pub const FAIR_MESSAGE: Price = Price {
    what: "SQS fair queues, messages",
    dollars_per_million: 0.10,
    source: "cloudburn.io, an article on SQS's prices",
    date: "March 2026, read 2026-11-22",
    note: "unconfirmed: no page of AWS that was read names it; not in the sum",
};

/// All prices, in the order of the reports.
pub const PRICES: [Price; 4] = [WRITE_UNIT, READ_UNIT, QUEUE_REQUEST, FAIR_MESSAGE];

/// How many bytes of messages one request of SQS carries.
///
/// # Source
/// Amazon SQS pricing, "How are Amazon SQS requests priced?": "Each 64 KB chunk of a payload is billed as 1 request", as
/// told by the articles above, read 2026-11-22.
pub const REQUEST_BYTES: u64 = 65_536;

/// The most that a million jobs may cost, one in flight, in dollars.
pub const DOLLARS_MAX_ALONE: f64 = 20.0;

/// The most that a million jobs may cost with [`MANY_IN_FLIGHT`] in flight in one process, in dollars.
pub const DOLLARS_MAX_MANY: f64 = 15.0;

/// How many jobs in flight [`DOLLARS_MAX_MANY`] is for.
pub const MANY_IN_FLIGHT: usize = 64;

/// How long a month is here.
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How many requests a call of SQS is that carries so many bytes.
#[must_use]
pub const fn requests(bytes: u64) -> u64 {
    let requests = bytes.div_ceil(REQUEST_BYTES);
    if requests == 0 { 1 } else { requests }
}

/// What one job consumes, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consumption {
    /// Write units of the table.
    pub table_writes: f64,
    /// Write units of its indexes.
    pub index_writes: f64,
    /// Read units.
    pub reads: f64,
    /// Requests of SQS, receives that brought nothing left out.
    pub queue_requests: f64,
    /// Messages sent.
    pub messages: f64,
    /// Receives that brought nothing.
    pub empty_receives: f64,
}

/// Dollars for a million jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// Writes of the table.
    pub table_writes: f64,
    /// Writes of its indexes.
    pub index_writes: f64,
    /// Reads.
    pub reads: f64,
    /// Calls of SQS; intake and its queue included.
    pub queues: f64,
    /// What fair queues would add; not in the sum.
    pub fair_queues: f64,
    /// What the receives cost that brought nothing; not in the sum, since they come with time and not with jobs.
    pub empty_receives: f64,
}

impl Bill {
    /// The bill of jobs of which each consumes this.
    #[must_use]
    pub fn of(job: &Consumption) -> Self {
        Self {
            table_writes: job.table_writes * WRITE_UNIT.dollars_per_million,
            index_writes: job.index_writes * WRITE_UNIT.dollars_per_million,
            reads: job.reads * READ_UNIT.dollars_per_million,
            queues: job.queue_requests * QUEUE_REQUEST.dollars_per_million,
            fair_queues: job.messages * FAIR_MESSAGE.dollars_per_million,
            empty_receives: job.empty_receives * QUEUE_REQUEST.dollars_per_million,
        }
    }

    /// What a million jobs cost.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.table_writes + self.index_writes + self.reads + self.queues
    }
}

/// What so many queues cost in a month of 30 days in which nothing happens, each with one poll open after the other.
#[must_use]
pub fn idle_dollars_a_month(queues: usize, poll: Duration) -> f64 {
    queues as f64 * MONTH.as_secs_f64() / poll.as_secs_f64() / 1e6 * QUEUE_REQUEST.dollars_per_million
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, dollars_per_million, source, date, note } = self;
        write!(f, "{what}: ${dollars_per_million} a million ({source}, {date})")?;
        if note.is_empty() { Ok(()) } else { write!(f, "; {note}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_started_64_kb_is_a_request_and_a_call_without_messages_is_one_too() {
        for (bytes, expected) in [(0, 1), (1, 1), (65_536, 1), (65_537, 2), (1_048_576, 16)] {
            assert_eq!(requests(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_bill_is_the_list_price_of_what_was_consumed_without_what_comes_with_time_or_is_not_used() {
        let job = Consumption {
            table_writes: 12.0,
            index_writes: 3.0,
            reads: 8.0,
            queue_requests: 18.0,
            messages: 6.0,
            empty_receives: 5.0,
        };
        // 15 * 0.625 + 8 * 0.125 + 18 * 0.4
        assert!((Bill::of(&job).sum() - 17.575).abs() < 1e-9);
        assert!((Bill::of(&job).fair_queues - 0.6).abs() < 1e-9);
        assert!((Bill::of(&job).empty_receives - 2.0).abs() < 1e-9);
    }

    #[test]
    fn six_idle_queues_cost_a_third_of_a_dollar_a_month() {
        let dollars = idle_dollars_a_month(6, Duration::from_secs(20));
        assert!((dollars - 0.311).abs() < 1e-3, "{dollars}");
    }
}
