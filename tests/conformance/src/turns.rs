//! The turns at providers: every take means what [`apply`] says, and races give no turn twice.

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use qsketch_core::rate::{Ask, Cell, Standing, Take, TakeKind, Taken, Turn, apply};
use qsketch_core::{Provider, RateLimit, Time};
use qsketch_runtime::Throttle;
use qsketch_runtime::throttle::Asked;

use crate::{Case, World, cases};

/// The cases of the turns.
#[must_use]
pub fn turn_cases() -> Vec<Case> {
    cases![
        every_take_on_every_edge_means_what_the_core_says,
        of_takes_at_once_as_many_are_granted_as_fit_and_each_has_a_turn_of_its_own,
        of_places_at_once_each_is_given_once,
        two_clients_who_race_have_no_more_turns_than_the_limit,
    ]
}

/// Microseconds since the epoch, today.
const NOW: u64 = 1_795_382_157_042_000;

const EXPIRES_AT: u64 = 1_900_000_000;

/// How many ask at once.
const CROWD: u64 = 24;

const fn take(kind: TakeKind, span: u64) -> Take {
    Take { kind, span, expires_at: EXPIRES_AT }
}

fn provider(world: &World) -> Result<Provider> {
    Ok(Provider::try_from(format!("p{}", world.unique().get(..20).unwrap_or_default()))?)
}

/// Every kind of take, on and beside each of its edges.
fn takes() -> Vec<Take> {
    let around = |at: u64| [at - 1, at, at + 1];
    let idle = [None, Some(NOW - 1), Some(NOW), Some(NOW + 1)];
    let mut kinds = Vec::new();
    for now in around(NOW) {
        kinds.extend(idle.map(|idle| TakeKind::First { now, idle }));
        for latest in around(NOW + 1) {
            kinds.extend(idle.map(|idle| TakeKind::Next { now, latest, idle }));
        }
        kinds.push(TakeKind::FirstPlace { from: now });
        kinds.extend(around(NOW + 1).map(|by| TakeKind::Place { from: now, by }));
    }
    kinds.into_iter().map(|kind| take(kind, 1)).collect()
}

async fn every_take_on_every_edge_means_what_the_core_says(world: World) -> Result<()> {
    let turns = &world.ports.turns;
    let (kinds, mut written) = (takes(), 0);
    // One provider for each take that begins, and all takes after it, the written ones moving the cell over the edges.
    let chains = kinds.iter().enumerate().step_by(3).map(|(nth, begin)| (nth, *begin)).map(|(nth, begin)| {
        let kinds = &kinds;
        let world = &world;
        async move {
            let (provider, mut cell, mut written) = (provider(world)?, None, 0);
            for take in [begin].iter().chain(&kinds[nth..]).chain(&kinds[..nth]) {
                let expected = match apply(take, cell.as_ref()) {
                    Some(next) => Taken::Written(next),
                    None => Taken::Overtaken(cell),
                };
                let found = turns.take(&provider, take).await?;
                ensure!(found == expected, "{take:?} on {cell:?}\n  found    {found:?}\n  expected {expected:?}");
                if let Taken::Written(next) = found {
                    (cell, written) = (Some(next), written + 1);
                }
            }
            Ok(written)
        }
    });
    for count in try_join_all(chains).await? {
        written += count;
    }
    ensure!(written > 100, "hardly any was written: {written}");
    Ok(())
}

/// A cell whose `tat` and line are as said.
async fn begun(world: &World, provider: &Provider) -> Result<Cell> {
    let first = take(TakeKind::First { now: NOW, idle: Some(NOW) }, 1_000);
    match world.ports.turns.take(provider, &first).await? {
        Taken::Written(cell) => Ok(cell),
        other @ Taken::Overtaken(_) => anyhow::bail!("nobody has taken a turn yet: {other:?}"),
    }
}

async fn of_takes_at_once_as_many_are_granted_as_fit_and_each_has_a_turn_of_its_own(world: World) -> Result<()> {
    let provider = provider(&world)?;
    begun(&world, &provider).await?;
    let next = take(TakeKind::Next { now: NOW, latest: NOW + 10_000, idle: Some(NOW) }, 1_000);
    let takes = (0..CROWD).map(|_| world.ports.turns.take(&provider, &next));
    let taken = try_join_all(takes).await?;
    let mut tats: Vec<u64> = taken
        .iter()
        .filter_map(|taken| match taken {
            Taken::Written(cell) => Some(cell.tat - NOW),
            Taken::Overtaken(_) => None,
        })
        .collect();
    tats.sort_unstable();
    ensure!(tats == (2..=11).map(|n| n * 1_000).collect::<Vec<u64>>(), "{tats:?}");
    let full = Taken::Overtaken(Some(Cell { tat: NOW + 11_000, line: 0 }));
    ensure!(taken.iter().filter(|taken| **taken == full).count() as u64 == CROWD - 10, "{taken:?}");
    Ok(())
}

async fn of_places_at_once_each_is_given_once(world: World) -> Result<()> {
    let provider = provider(&world)?;
    begun(&world, &provider).await?;
    world.ports.turns.take(&provider, &take(TakeKind::FirstPlace { from: NOW }, 1_000)).await?;
    let place = take(TakeKind::Place { from: NOW, by: NOW + 5_000 }, 1_000);
    let takes = (0..CROWD).map(|_| world.ports.turns.take(&provider, &place));
    let mut lines: Vec<u64> = try_join_all(takes)
        .await?
        .iter()
        .filter_map(|taken| match taken {
            Taken::Written(cell) => Some(cell.line - NOW),
            Taken::Overtaken(_) => None,
        })
        .collect();
    lines.sort_unstable();
    ensure!(lines == (2..=6).map(|n| n * 1_000).collect::<Vec<u64>>(), "{lines:?}");
    Ok(())
}

async fn two_clients_who_race_have_no_more_turns_than_the_limit(world: World) -> Result<()> {
    let (provider, limit) = (provider(&world)?, "600/min burst 3".parse::<RateLimit>()?);
    let clients = [Throttle::new(provider.clone(), limit), Throttle::new(provider, limit)];
    let ask = Ask { limit, turns: 1, standing: Standing::New, by: Time(u64::MAX) };
    let asked = (0..CROWD as usize).map(|n| {
        let (client, world) = (&clients[n % 2], &world);
        async move {
            let now = world.ports.clock.now();
            anyhow::Ok((now, client.ask(&*world.ports.turns, &ask, now).await?))
        }
    });
    let mut at = Vec::new();
    for answer in join_all(asked).await {
        match answer? {
            (now, Asked::Turn(Turn::Granted(turns))) => at.extend(turns.map(|turn| turn.max(now).0)),
            (_, other) => anyhow::bail!("its turn is soon: {other:?}"),
        }
    }
    at.sort_unstable();
    for (from, to) in (0..at.len()).flat_map(|from| (from..at.len()).map(move |to| (from, to))) {
        let allowed = u64::from(limit.burst()) + (at[to] - at[from] + 1) * 1_000 / limit.interval();
        ensure!((to - from + 1) as u64 <= allowed, "{} turns in {} ms: {at:?}", to - from + 1, at[to] - at[from]);
    }
    Ok(())
}
