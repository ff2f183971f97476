use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use proptest::prelude::*;

use super::*;
use crate::limits::COMMITS_MAX;

const NOW: Time = Time(1_795_382_157_042);

fn limit(text: &str) -> RateLimit {
    text.parse().unwrap()
}

const fn ask(limit: RateLimit, standing: Standing) -> Ask {
    Ask { limit, turns: 1, standing, by: Time(u64::MAX) }
}

/// What an implementation makes of a take.
type Law = fn(&Take, Option<&Cell>) -> Option<Cell>;

/// Asks until something is written, as the shell does; none where there was no place, or others won every race.
fn settle(ask: &Ask, cell: &mut Option<Cell>, known: &mut Option<Cell>, now: Time, law: Law) -> Option<Turn> {
    for _ in 0..COMMITS_MAX {
        let Next::Take(take) = next(ask, known.as_ref(), now) else { return None };
        match law(&take, cell.as_ref()) {
            Some(written) => {
                (*cell, *known) = (Some(written), Some(written));
                return Some(take.brought(ask, &written));
            }
            None => *known = *cell,
        }
    }
    None
}

#[test]
fn a_limit_reads_as_it_is_written_and_says_what_is_wrong_with_it() {
    for (text, interval, tolerance) in [
        ("60/min", 1_000_000, 0),
        ("600/min burst 20", 100_000, 1_900_000),
        ("7/min", 8_571_429, 0),
        ("1000/s burst 2", 1_000, 1_000),
    ] {
        let read = limit(text);
        assert_eq!((read.interval(), read.tolerance(), read.to_string().as_str()), (interval, tolerance, text));
    }
    assert_eq!(limit("  1/h   burst 1 "), limit("1/h"));
    let wrong = |text: &str| text.parse::<RateLimit>().unwrap_err().to_string();
    for text in [
        "",
        "60",
        "60/",
        "/min",
        "60/day",
        "-1/s",
        "1.5/s",
        "60/min burst",
        "60/min 5",
        "60/min burst x",
        "60/min burst 5 6",
    ] {
        assert!(wrong(text).contains("is no rate limit: use a number of requests per s, min or h"), "{}", wrong(text));
    }
    assert_eq!(
        wrong("0/min"),
        "a rate limit of \"0/min\" lets nothing through: use at least 1, and to let everything through leave it out"
    );
    assert!(wrong("1001/s").contains("is too fast: use at most 1000/s"), "{}", wrong("1001/s"));
    assert!(wrong("60001/min").contains("is too fast"));
    assert!(limit("60000/min").interval() == 1_000);
    assert!(wrong("60/min burst 61").contains("use 1 to the number of requests"));
    assert!(wrong("60/min burst 0").contains("use 1 to the number of requests"));
}

#[test]
fn turns_come_at_once_up_to_the_burst_and_then_evenly() {
    let (mut cell, mut known) = (None, None);
    let ask = ask(limit("60/min burst 3"), Standing::New);
    let mut at = || match settle(&ask, &mut cell, &mut known, NOW, apply) {
        Some(Turn::Granted(mut turns)) => turns.next().unwrap().since(NOW).as_millis(),
        other => panic!("{other:?}"),
    };
    assert_eq!([(); 8].map(|()| at()), [0, 0, 0, 1_000, 2_000, 3_000, 4_000, 5_000]);
    // Whoever comes now stands in the line, and so does who comes after.
    let place =
        |by, known: &mut Option<Cell>, cell: &mut Option<Cell>| settle(&Ask { by, ..ask }, cell, known, NOW, apply);
    assert_eq!(place(Time(u64::MAX), &mut known, &mut cell), Some(Turn::Place(Time(NOW.0 + 6_000))));
    assert_eq!(place(Time(u64::MAX), &mut known, &mut cell), Some(Turn::Place(Time(NOW.0 + 7_000))));
    let full = next(&Ask { by: Time(NOW.0 + 7_999), ..ask }, cell.as_ref(), NOW);
    assert_eq!(full, Next::Full(Time(NOW.0 + 8_000)));
}

#[test]
fn several_turns_are_one_write_and_as_far_apart_as_the_limit_wants() {
    let ask = Ask { turns: 4, ..ask(limit("60/min burst 2"), Standing::New) };
    let Some(Turn::Granted(turns)) = settle(&ask, &mut None, &mut None, NOW, apply) else { panic!("none") };
    let at: Vec<_> = turns.map(|at| at.0.saturating_sub(NOW.0)).collect();
    assert_eq!(at, [0, 0, 1_000, 2_000]);
    assert_eq!(ask.limit.takes(4).as_secs(), 2);
}

#[test]
fn who_has_waited_goes_first_and_who_is_new_passes_only_a_line_that_is_over_or_left() {
    let limit = limit("60/min");
    let now = micros(NOW);
    let waits = Cell { tat: now + 100_000, line: now + 60_000_000 };
    let kind = |standing, cell: &Cell| match next(&ask(limit, standing), Some(cell), NOW) {
        Next::Take(take) => take.kind(),
        Next::Full(_) => "full",
    };
    assert_eq!((kind(Standing::New, &waits), kind(Standing::Waited, &waits)), ("take-place", "take-turns"));
    assert_eq!(kind(Standing::New, &Cell { line: now, ..waits }), "take-turns");
    let left = Cell { tat: now - micros_of(LINE_IDLE_MAX), ..waits };
    assert_eq!(kind(Standing::New, &left), "take-turns");
    assert_eq!(kind(Standing::New, &Cell { tat: left.tat + 1, ..left }), "take-place");
    // Passing it ends it.
    let (mut cell, mut known) = (Some(left), Some(left));
    let _ = settle(&ask(limit, Standing::New), &mut cell, &mut known, NOW, apply);
    assert_eq!(cell, Some(Cell { tat: now + 1_000_000, line: 0 }));
}

#[test]
fn a_clock_that_is_behind_sees_no_line_where_nobody_waits() {
    let (mut cell, ask) = (None, ask(limit("60/min burst 5"), Standing::New));
    for behind in [0, 900, 1_000] {
        let turn = settle(&ask, &mut cell, &mut None, Time(NOW.0 - behind), apply);
        assert!(matches!(turn, Some(Turn::Granted(_))), "{behind} ms behind: {turn:?}");
    }
}

/// One ask of an interleaving.
#[derive(Clone, Debug)]
struct Asked {
    after_millis: u64,
    client: usize,
    turns: u32,
    has_waited: bool,
}

/// When the turns are, by the true time, that clients get whose clocks are ahead by so many milliseconds.
fn granted(limit: RateLimit, ahead: &[u64], asked: &[Asked], law: Law, is_shared: bool) -> Vec<u64> {
    let (mut cells, mut known) = (BTreeMap::new(), BTreeMap::<usize, Option<Cell>>::new());
    let (mut real, mut at) = (NOW.0, Vec::new());
    for one in asked {
        real += one.after_millis;
        let client = one.client % ahead.len();
        let standing = if one.has_waited { Standing::Waited } else { Standing::New };
        let ask = Ask { turns: one.turns, ..ask(limit, standing) };
        let cell = cells.entry(if is_shared { 0 } else { client }).or_default();
        let now = Time(real + ahead[client]);
        if let Some(Turn::Granted(turns)) = settle(&ask, cell, known.entry(client).or_default(), now, law) {
            at.extend(turns.map(|turn| turn.max(now).0 - ahead[client]));
        }
    }
    at.sort_unstable();
    at
}

/// By how many turns a window has more than `burst + rate × (its length + what clocks differ + a millisecond of rounding)`.
fn excess(limit: RateLimit, at: &[u64], skew_millis: u64) -> u64 {
    let windows = (0..at.len()).flat_map(|from| (from..at.len()).map(move |to| (from, to)));
    let over = windows.map(|(from, to)| {
        let micros = (at[to] - at[from] + skew_millis + 1) * MICROS_PER_MILLI;
        ((to - from + 1) as u64).saturating_sub(u64::from(limit.burst()) + micros / limit.interval())
    });
    over.max().unwrap_or(0)
}

fn limits() -> impl Strategy<Value = RateLimit> {
    let per = prop_oneof![Just(Per::Second), Just(Per::Minute), Just(Per::Hour)];
    (1u32..400, per, 0u32..400).prop_map(|(count, per, burst)| RateLimit::new(count, per, 1 + burst % count).unwrap())
}

fn interleavings() -> impl Strategy<Value = (Vec<u64>, Vec<Asked>)> {
    let one = (0u64..3_000, 0usize..4, 1u32..4, any::<bool>()).prop_map(|(after, client, turns, has_waited)| Asked {
        // Half of them at once.
        after_millis: after.saturating_sub(1_500),
        client,
        turns,
        has_waited,
    });
    (prop::collection::vec(0u64..=1_000, 1..4), prop::collection::vec(one, 1..80))
}

proptest! {
    #[test]
    fn no_window_of_any_length_has_more_turns_than_the_limit(limit in limits(), (ahead, asked) in interleavings()) {
        let at = granted(limit, &ahead, &asked, apply, true);
        prop_assert!(!at.is_empty());
        prop_assert_eq!(excess(limit, &at, 1_000), 0, "{:?}", at);
    }

    #[test]
    fn a_take_that_was_chosen_on_the_cell_as_it_is_is_never_refused(
        limit in limits(), tat in 0u64..20_000_000, line in 0u64..20_000_000, has_waited in any::<bool>(),
    ) {
        let cell = Cell { tat: micros(NOW) - 10_000_000 + tat, line: micros(NOW) - 10_000_000 + line };
        let standing = if has_waited { Standing::Waited } else { Standing::New };
        match next(&ask(limit, standing), Some(&cell), NOW) {
            Next::Take(take) => prop_assert!(apply(&take, Some(&cell)).is_some(), "{:?} {:?}", take, cell),
            Next::Full(_) => prop_assert!(false, "it has all the time there is"),
        }
    }
}

#[test]
fn limits_that_are_broken_on_purpose_are_caught() {
    let limit = limit("60/min burst 5");
    let asked: Vec<_> =
        (0..60).map(|n| Asked { after_millis: 300, client: n % 3, turns: 1, has_waited: true }).collect();
    let ahead = [0, 500, 1_000];
    let found = |law: Law, is_shared| excess(limit, &granted(limit, &ahead, &asked, law, is_shared), 1_000);
    assert_eq!(found(apply, true), 0);
    assert!(found(apply, false) > 0, "a limit per worker");
    // Whoever writes last wins: it stands on nothing.
    let blind: Law = |take, cell| match take.kind {
        TakeKind::First { now, .. } | TakeKind::Next { now, .. } => Some(Cell { tat: now + take.span, line: 0 }),
        TakeKind::FirstPlace { .. } | TakeKind::Place { .. } => apply(take, cell),
    };
    assert!(found(blind, true) > 0, "no footing");
    // A rest that counts more than the burst.
    let hoards: Law = |take, cell| match (take.kind, cell) {
        (TakeKind::First { .. }, Some(cell)) => Some(Cell { tat: cell.tat + take.span, ..*cell }),
        _ => apply(take, cell),
    };
    let mut rested = asked.clone();
    rested[1].after_millis = 60_000;
    let at = granted(limit, &ahead, &rested, hoards, true);
    assert!(excess(limit, &at, 1_000) > 0, "a rest is saved up: {at:?}");
}

/// What became of a crowd.
#[derive(Debug, Default)]
struct Crowd {
    /// By task: when it had its turn, in milliseconds from the beginning.
    served: BTreeMap<usize, u64>,
    /// By task: how many of its attempts ended to wait, or found no place.
    ended: BTreeMap<usize, u32>,
}

/// Tasks that come at these times (in milliseconds), and who of them never comes back from the line; who comes back is up to 2 s late.
fn crowd(limit: RateLimit, come: impl IntoIterator<Item = u64>, leaves: impl Fn(usize) -> bool) -> Crowd {
    let (mut crowd, mut cell, mut seed) = (Crowd::default(), None, 1u64);
    let mut known = [None; 4];
    let mut ahead: BinaryHeap<_> = come.into_iter().enumerate().map(|(task, at)| Reverse((at, task, false))).collect();
    while let Some(Reverse((at, task, has_waited))) = ahead.pop() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let late = (seed >> 33) % 2_000;
        let standing = if has_waited { Standing::Waited } else { Standing::New };
        let now = Time(NOW.0 + at);
        match settle(&ask(limit, standing), &mut cell, &mut known[task % 4], now, apply) {
            Some(Turn::Granted(mut turns)) => {
                crowd.served.insert(task, turns.next().unwrap().0.saturating_sub(NOW.0).max(at));
            }
            Some(Turn::Place(place)) if place.since(now) <= TURN_WAIT_MAX => {
                ahead.push(Reverse((place.0 - NOW.0, task, true)))
            }
            Some(Turn::Place(place)) => {
                *crowd.ended.entry(task).or_default() += 1;
                if !leaves(task) {
                    ahead.push(Reverse((place.0 - NOW.0 + late, task, true)));
                }
            }
            None => panic!("task {task} found neither a turn nor a place"),
        }
    }
    crowd
}

#[test]
fn a_crowd_is_served_in_order_at_the_full_rate() {
    for (text, tasks, millis) in
        [("60/min", 10_000u64, 1_000), ("600/min burst 20", 10_000, 100), ("6/min", 300, 10_000)]
    {
        let limit = limit(text);
        let crowd = crowd(limit, (0..tasks).map(|_| 0), |_| false);
        assert_eq!(crowd.served.len() as u64, tasks);
        // As fast as the limit allows, and the few seconds that the first come back late.
        let last = crowd.served.values().max().unwrap();
        assert!(*last <= tasks * millis + 5_000, "{text}: {last}");
        // All of them wait once. No storm burns anything.
        let most = crowd.ended.values().max().unwrap();
        assert!(*most <= 2, "{text}: {most} attempts of one task ended to wait");
        // None is served more than a few seconds before one that came before it.
        let mut latest = 0;
        for (task, at) in &crowd.served {
            assert!(*at + 15_000 >= latest, "{text}: task {task} at {at}, one before it at {latest}");
            latest = latest.max(*at);
        }
    }
}

#[test]
fn those_who_keep_coming_do_not_starve_those_who_wait() {
    // A thousand at once, and as many again, one each second.
    let come = (0..1_000).map(|_| 0).chain((0..1_000).map(|n| n * 1_000));
    let crowd = crowd(limit("60/min"), come, |_| false);
    let first = crowd.served.iter().filter(|(task, _)| **task < 1_000).map(|(_, at)| *at).max().unwrap();
    assert!(first <= 1_015_000, "the last of those who came first: {first}");
    assert!(*crowd.served.values().max().unwrap() <= 2_015_000);
    assert!(*crowd.ended.values().max().unwrap() <= 2, "{:?}", crowd.ended.values().max());
}

#[test]
fn a_line_that_nobody_comes_back_from_is_forgotten() {
    // A thousand are canceled while they wait; ten come a minute later, one a second.
    let come = (0..1_000).map(|_| 0).chain((0..10).map(|n| 60_000 + n * 1_000));
    let crowd = crowd(limit("60/min"), come, |task| task < 1_000);
    let last = crowd.served.iter().filter(|(task, _)| **task >= 1_000).map(|(_, at)| *at).max().unwrap();
    assert!(last <= 75_000, "they wait for nobody: {last}");
}

#[test]
fn where_half_of_the_line_is_gone_the_others_keep_their_places() {
    let crowd = crowd(limit("60/min"), (0..1_000).map(|_| 0), |task| task % 2 == 0);
    let last = *crowd.served.values().max().unwrap();
    assert!(last <= 1_005_000 && crowd.served.len() >= 500, "{last} {}", crowd.served.len());
}

#[test]
fn a_failure_of_ours_ends_one_line_of_text_however_long_the_names_are() {
    let provider = Provider::try_from("a".repeat(40).as_str()).unwrap();
    let limit = limit("60000/min burst 60000");
    for failure in [waits(&provider, limit, NOW), finds_no_place(&provider, limit, NOW)] {
        assert!(!failure.error.as_str().ends_with('…'), "{failure}");
    }
}
