//! What can go wrong in the simulated world, each kind switched on by itself.

use core::time::Duration;

/// How disorderly the world is. The default is perfect order, without latency.
///
/// Shares are in thousandths: of the calls, or of the messages sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disorder {
    /// How long every call takes; its effect takes place halfway.
    pub latency: Duration,
    /// By how much a call may take longer, drawn evenly.
    pub latency_spread: Duration,
    /// The share of messages that are there twice.
    pub duplicate_permille: u16,
    /// In which order messages are received.
    pub order: Order,
    /// The share of messages that become visible late.
    pub delay_permille: u16,
    /// The longest such delay.
    pub delay_max: Duration,
    /// The share of calls that take effect while the caller is told [`Fault::LostReply`].
    pub lost_reply_permille: u16,
    /// The share of calls that fail before any effect: [`Fault::Unavailable`].
    pub unavailable_permille: u16,
    /// The share of calls that are refused: [`Fault::Throttled`].
    pub throttled_permille: u16,
    /// The share of messages of a batch that are refused while the rest of the batch is sent.
    pub partial_permille: u16,
    /// The share of calls at which the calling process crashes.
    pub crash_permille: u16,
}

/// In which order messages are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they were sent.
    #[default]
    Sent,
    /// Drawn among those that are visible.
    Drawn,
}

impl Disorder {
    /// Everything at once, as a bad day has it; crashes are left out.
    #[must_use]
    pub const fn wild() -> Self {
        Self {
            latency: Duration::from_millis(2),
            latency_spread: Duration::from_millis(60),
            duplicate_permille: 250,
            order: Order::Drawn,
            delay_permille: 300,
            delay_max: Duration::from_secs(4),
            lost_reply_permille: 60,
            unavailable_permille: 40,
            throttled_permille: 30,
            partial_permille: 50,
            crash_permille: 0,
        }
    }
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails before any effect.
    Unavailable,
    /// It is refused because there are too many.
    Throttled,
    /// It takes effect, and the caller is told that the other side is unavailable.
    LostReply,
    /// The calling process dies before the call takes effect.
    CrashBefore,
    /// The call takes effect, and the calling process dies before it hears of it.
    CrashAfter,
    /// The call takes effect, and the caller is told after [`TIMED_OUT_AFTER`] that there was no answer.
    TimedOut,
    /// The call takes effect twice, as when a client that lost the first answer repeats it by itself; the second answer counts.
    Twice,
    /// The receipt of a delete or of a hide has lost its validity: nothing takes effect. On other calls nothing.
    StaleReceipt,
    /// The first message of a send is refused, the others are sent. On other calls nothing.
    PartlyRefused,
}

/// How long a caller waits for the answer of a call that is [`Fault::TimedOut`].
pub const TIMED_OUT_AFTER: Duration = Duration::from_secs(5);

impl Fault {
    /// Every fault that disorder draws.
    pub const ALL: [Self; 5] =
        [Self::Unavailable, Self::Throttled, Self::LostReply, Self::CrashBefore, Self::CrashAfter];

    /// Every fault that a call of this kind can have, those that are only planned included.
    #[must_use]
    pub fn of_call(kind: &str) -> Vec<Self> {
        let mut faults = Self::ALL.to_vec();
        faults.extend([Self::TimedOut, Self::Twice]);
        match kind {
            "delete" | "hide" => faults.push(Self::StaleReceipt),
            "send" => faults.push(Self::PartlyRefused),
            _ => {}
        }
        faults
    }
}
