//! The dates of replies, for the clock: whoever speaks to AWS hears in every reply what time it is there.

use aws_sdk_sqs::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use qsketch_core::Time;
use qsketch_runtime::Clock;
use qsketch_runtime::clock::WatchedClock;

/// Tells the clock of every reply's date.
#[derive(Clone, Debug)]
pub(crate) struct Dates(pub(crate) WatchedClock);

/// When the newest try of a request left.
#[derive(Clone, Copy, Debug)]
struct Sent(Time);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Dates {
    fn name(&self) -> &'static str {
        "Dates"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Sent(self.0.now()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let date = date.and_then(|date| u64::try_from(date.secs()).ok()).map(|secs| Time(secs.saturating_mul(1_000)));
        if let (Some(Sent(sent)), Some(date)) = (bag.load::<Sent>().copied(), date) {
            self.0.hear(sent, self.0.now(), date);
        }
        Ok(())
    }
}
