//! Waiting for one's turn at a provider: the rate limit that all workers share, before each request.
//!
//! ```text
//!   attempt.turns(throttle, n) ─► take (one write) ─┬─ granted ─► turns.next(): waits in place, heartbeating goes on
//!                                                   └─ a place ─► soon: waits for it in place, and takes again
//!                                                                 far: the attempt ends, uncharged, and comes back then
//! ```

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use qsketch_core::limits::{COMMITS_MAX, TURN_WAIT_MAX};
use qsketch_core::rate::{self, Ask, Cell, Next, Standing, Taken, Turn};
use qsketch_core::{Failure, IdError, Provider, RateLimit, Time};
use thiserror::Error;

use crate::attempt::{Attempt, failure_of};
use crate::config::Environment;
use crate::drive::patiently;
use crate::ports::{PortError, Turns};

/// The rate limit of one provider, as one process asks for its turns.
#[derive(Debug)]
pub struct Throttle {
    provider: Provider,
    limit: RateLimit,
    /// The cell as it was written or read here last: what is guessed on it is mostly right, and saves the first look.
    known: Mutex<Option<Cell>>,
}

/// How many places in the line an attempt waits for in place, each for at most [`TURN_WAIT_MAX`].
const PLACES_MAX: u32 = 2;

/// Why a setting is no rate limit.
#[derive(Debug, Error)]
#[error("{variable}: {source}")]
pub struct ThrottleError {
    variable: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// What asking for turns brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Turns, or a place.
    Turn(Turn),
    /// The line is longer than the asker has time; it ends then.
    Full(Time),
    /// Others won every race.
    Crowded,
}

impl Throttle {
    /// A provider's limit.
    #[must_use]
    pub const fn new(provider: Provider, limit: RateLimit) -> Self {
        Self { provider, limit, known: Mutex::new(None) }
    }

    /// The limit that a variable of the environment sets for this provider; none where it is not set or empty.
    ///
    /// # Errors
    /// [`ThrottleError`] when it is no limit.
    pub fn read(
        environment: &Environment,
        variable: &'static str,
        provider: &str,
    ) -> Result<Option<Self>, ThrottleError> {
        let Some(text) = environment.get(variable).filter(|text| !text.is_empty()) else { return Ok(None) };
        let limit = text.parse().map_err(|error| ThrottleError { variable, source: Box::new(error) })?;
        let provider = Provider::try_from(provider)
            .map_err(|error: IdError| ThrottleError { variable, source: Box::new(error) })?;
        Ok(Some(Self::new(provider, limit)))
    }

    /// Asks for turns: one write, and one more for each race that it loses.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn ask(&self, turns: &dyn Turns, ask: &Ask, now: Time) -> Result<Asked, PortError> {
        let mut seen = *self.known();
        for _ in 0..COMMITS_MAX {
            let take = match rate::next(ask, seen.as_ref(), now) {
                Next::Take(take) => take,
                Next::Full(ends) => return Ok(Asked::Full(ends)),
            };
            let taken = patiently(|| turns.take(&self.provider, &take)).await?;
            tracing::debug!(provider = %self.provider, take = take.kind(), ?taken, "turn");
            match taken {
                Taken::Written(cell) => {
                    *self.known() = Some(cell);
                    return Ok(Asked::Turn(take.brought(ask, &cell)));
                }
                Taken::Overtaken(cell) => seen = cell,
            }
        }
        *self.known() = seen;
        Ok(Asked::Crowded)
    }

    fn known(&self) -> MutexGuard<'_, Option<Cell>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns at a provider, to be waited for one by one.
pub struct Pace<'a> {
    attempt: &'a Attempt,
    throttle: Option<&'a Throttle>,
    granted: Option<rate::Turns>,
}

impl Attempt {
    /// Takes `count` turns at a provider, for as many requests: one write. Where there is no limit, nothing is asked.
    ///
    /// Ask for all that the attempt needs: it may have to come back for the first of them, and not between them.
    ///
    /// # Errors
    /// [`Failure`], uncharged, when the first turn is farther away than [`TURN_WAIT_MAX`]: return it, and the attempt begins
    /// again in time. One that no repetition mends where the requests take longer by the limit than an attempt may.
    pub async fn turns<'a>(&'a self, throttle: Option<&'a Throttle>, count: u32) -> Result<Pace<'a>, Failure> {
        let granted = match throttle {
            Some(throttle) if count > 0 => Some(self.take(throttle, count).await?),
            Some(_) | None => None,
        };
        Ok(Pace { attempt: self, throttle, granted })
    }

    /// Waits for one turn at a provider, for one request.
    ///
    /// # Errors
    /// As for [`Attempt::turns`].
    pub async fn turn(&self, throttle: Option<&Throttle>) -> Result<(), Failure> {
        self.turns(throttle, 1).await?.next().await
    }

    async fn take(&self, throttle: &Throttle, count: u32) -> Result<rate::Turns, Failure> {
        let (provider, limit) = (&throttle.provider, throttle.limit);
        if let Some(most) = self.pipeline.step(self.task.step()).map(|step| step.timeouts.start_to_close)
            && limit.takes(count) >= most
        {
            return Err(Failure::fail(
                "RateTooLow",
                format!(
                    "its {count} requests take {} s by our limit of {limit} for provider {provider}, and an attempt may take {} s: raise one of the two",
                    limit.takes(count).as_secs(),
                    most.as_secs()
                ),
            ));
        }
        let by = rate::begins_by(&self.pipeline, &self.task, &self.job);
        let standing = if self.has_had_turn.load(Ordering::Relaxed) { Standing::Waited } else { self.standing };
        let mut ask = Ask { limit, turns: count, standing, by };
        let mut waited = 0;
        loop {
            let asked = throttle.ask(&*self.ports.turns, &ask, self.now()).await.map_err(|error| failure_of(&error))?;
            match asked {
                Asked::Turn(Turn::Granted(turns)) => {
                    self.has_had_turn.store(true, Ordering::Relaxed);
                    return Ok(turns);
                }
                Asked::Turn(Turn::Place(place)) if waited < PLACES_MAX && self.is_soon(place) => {
                    self.wait_until(place, provider).await;
                    ask.standing = Standing::Waited;
                    waited += 1;
                }
                Asked::Turn(Turn::Place(place)) => {
                    self.log.line(&format!("provider {provider} is limited to {limit}: the turn comes at {place}"));
                    return Err(rate::waits(provider, limit, place));
                }
                Asked::Full(ends) => return Err(rate::finds_no_place(provider, limit, ends)),
                Asked::Crowded => {
                    let error = format!("others won every race for a turn at provider {provider}");
                    return Err(Failure::overload("Crowded", error, None));
                }
            }
        }
    }

    fn is_soon(&self, at: Time) -> bool {
        at.since(self.now()) <= TURN_WAIT_MAX
    }

    async fn wait_until(&self, at: Time, provider: &Provider) {
        let wait = at.since(self.now());
        if wait.is_zero() {
            return;
        }
        let before = self.progress.borrow().clone();
        self.report(before.as_ref().map_or(0, |before| before.permille), &format!("waits for its turn at {provider}"));
        tokio::time::sleep(wait).await;
        self.progress.send_replace(before);
    }
}

impl Pace<'_> {
    /// Waits in place for the next turn; the request may be made then. After the last one that was asked for, it asks for one
    /// more.
    ///
    /// # Errors
    /// As for [`Attempt::turns`].
    pub async fn next(&mut self) -> Result<(), Failure> {
        let Some(throttle) = self.throttle else { return Ok(()) };
        let mut granted = self.granted;
        let at = match granted.as_mut().and_then(Iterator::next) {
            Some(at) => at,
            None => {
                let mut more = self.attempt.take(throttle, 1).await?;
                let at = more.next().unwrap_or_default();
                granted = Some(more);
                at
            }
        };
        self.granted = granted;
        self.attempt.wait_until(at, &throttle.provider).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_from_a_setting_or_the_setting_is_named_with_what_is_wrong() {
        let read = |text: Option<&str>, provider| {
            let environment = text.map(|text| ("RATE".to_owned(), text.to_owned())).into_iter().collect();
            Throttle::read(&environment, "RATE", provider).map_err(|error| error.to_string())
        };
        assert!(matches!((read(None, "model"), read(Some(""), "model")), (Ok(None), Ok(None))));
        let throttle = read(Some("600/min burst 20"), "espeak-ng").ok().flatten();
        assert_eq!(throttle.map(|throttle| throttle.limit.to_string()).as_deref(), Some("600/min burst 20"));
        let wrong = read(Some("often"), "model").err().unwrap_or_default();
        assert!(
            wrong.starts_with("RATE: \"often\" is no rate limit: use a number of requests per s, min or h"),
            "{wrong}"
        );
        let wrong = read(Some("1/s"), "A Model").err().unwrap_or_default();
        assert!(wrong.starts_with("RATE: provider \"A Model\" is not valid"), "{wrong}");
    }
}
