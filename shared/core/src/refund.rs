//! Refund tokens: whoever holds one may take back, once, what a failed job cost.
//!
//! ```text
//!   FAILED, TIMED_OUT ── Issue: the token's hash, in the closing ──► the event `generation.failed` carries the token
//!   token ── Redeem, on a closed job that is not redeemed ──► `refunded`: the only one this job will ever have
//! ```
//! A token is made from a secret, the job and its closing, so that every repetition of the notification makes the same one;
//! what is stored is its hash. It is recorded before the event leaves. Whoever redeems needs no secret.
//!
//! The tokens of all failed closings stay good until one is redeemed, the job is COMPLETED, or they expire. A job that runs
//! again is not refunded: it may complete yet. So a redemption and a redrive stand on each other: `Redeem` on a closed job,
//! `Reopen` on whether it is refunded, as it was seen. Of the two at the same moment one wins, and the other one is refused.
//!
//! # Invariants (each names its test)
//! - A job is refunded once: `tests::of_two_redemptions_of_any_two_tokens_one_is_written`.
//! - A completed job is not refunded: `tests::each_refusal_has_its_reason`.
//! - A redemption and a redrive keep each other out: `tests::a_redemption_and_a_redrive_keep_each_other_out`.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::digest::sha256;
use crate::ids::{IdError, JobId, Reference};
use crate::limits::{REFUND_FOR, SECRET_BYTES_MAX, SECRET_BYTES_MIN};
use crate::parts::{Job, JobStatus, Verdict};
use crate::time::Time;
use crate::write::Write;

/// The first word of a token, and what its code is made for: no code of anything else is ever a token.
const KIND: &str = "qsr1";

/// How many hexadecimal digits a token's code has: an HMAC-SHA256.
const CODE_DIGITS: usize = 64;

/// What tokens are made from. It is never shown.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// Why this is no secret to make tokens from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the refund secret has {0} bytes: it needs {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} that nobody can guess, such as \
     what `openssl rand -hex 32` prints"
)]
pub struct BadSecret(usize);

impl TryFrom<&str> for Secret {
    type Error = BadSecret;

    fn try_from(text: &str) -> Result<Self, BadSecret> {
        let bytes = text.trim().as_bytes();
        let is_long = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len());
        let mac = Hmac::new_from_slice(bytes).ok().filter(|_| is_long);
        mac.map(Self).ok_or(BadSecret(bytes.len()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A refund token: `qsr1.JOB.CLOSING.CODE`, the code in 64 hexadecimal digits. It is shown by [`Token::text`] alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    job: JobId,
    closing: u32,
    text: String,
}

/// Why a text is no token. The text is not repeated: it may be most of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It has other parts.
    #[error("a refund token reads qsr1.JOB.CLOSING.CODE: take it as it is from the event generation.failed")]
    Form,
    /// Its job is none.
    #[error("the refund token's job is not valid")]
    Job(#[source] IdError),
    /// Its closing is none.
    #[error("the refund token's third part is no closing's number, such as 0: take it as it is from the event")]
    Closing,
    /// Its code is none.
    #[error("the refund token's code is not {CODE_DIGITS} of 0-9 a-f, it has {0} characters: was it cut off?")]
    Code(usize),
}

impl Token {
    /// The token of the closing of this number, which was made at `at`. An id that is used again has other tokens: `at` is
    /// part of the code.
    #[must_use]
    pub fn new(secret: &Secret, job: &JobId, closing: u32, at: Time) -> Self {
        let head = format!("{KIND}.{job}.{closing}");
        let code = code(secret, &format!("{head}.{}", at.0));
        Self { job: job.clone(), closing, text: format!("{head}.{code}") }
    }

    /// The token whole: whoever reads it may redeem it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose it is.
    #[must_use]
    pub const fn job(&self) -> &JobId {
        &self.job
    }

    /// The number of the closing that it was made for.
    #[must_use]
    pub const fn closing(&self) -> u32 {
        self.closing
    }

    /// What is stored of it: its SHA-256, as 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256(self.text.as_bytes())
    }
}

impl TryFrom<&str> for Token {
    type Error = BadToken;

    fn try_from(text: &str) -> Result<Self, BadToken> {
        let parts: Vec<_> = text.trim().split('.').collect();
        let [KIND, job, closing, code] = parts[..] else { return Err(BadToken::Form) };
        let job = JobId::try_from(job).map_err(BadToken::Job)?;
        let number = closing.parse::<u32>().ok().filter(|number| number.to_string() == closing);
        let number = number.ok_or(BadToken::Closing)?;
        let is_code = code.len() == CODE_DIGITS && code.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_code {
            return Err(BadToken::Code(code.chars().count()));
        }
        Ok(Self { job, closing: number, text: text.trim().to_owned() })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({KIND}.{}.{}.…)", self.job, self.closing)
    }
}

/// The HMAC-SHA256 of a text, as hexadecimal digits.
///
/// # Source
/// RFC 2104, and RFC 4231 for the test's vector.
fn code(secret: &Secret, text: &str) -> String {
    let mut mac = secret.0.clone();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a failed closing keeps of its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Issued {
    /// The token's SHA-256, as 64 hexadecimal digits.
    pub hash: String,
    /// When it was made.
    pub at: Time,
    /// From when on it can't be redeemed.
    pub expires_at: Time,
}

/// The one redemption of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Redemption {
    /// The closing whose token it was.
    pub closing: u32,
    /// When.
    pub at: Time,
    /// What whoever redeemed calls it, such as the id of the payment.
    pub reference: Reference,
}

/// What to do so that a closing has its token, given the job as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuing {
    /// Carry this write out, and look at the job again.
    Write(Write),
    /// It has this one.
    Is {
        /// The token.
        token: Token,
        /// From when on it can't be redeemed.
        expires_at: Time,
    },
    /// It has none, and never will: it did not fail, or the job was refunded before.
    None,
    /// It has another one: the secret was changed since. The event must not leave with a token that nobody can redeem.
    OtherSecret,
    /// The job is not closed with this closing any more: it was redriven.
    Overtaken,
}

/// What to do so that the closing of this number has its token, given the job as it is now.
#[must_use]
pub fn issue(secret: &Secret, job: &Job, number: u32, now: Time) -> Issuing {
    let Some(closing) = job.closings.get(number as usize) else { return Issuing::Overtaken };
    if !matches!(closing.verdict, Verdict::Failed | Verdict::TimedOut) {
        return Issuing::None;
    }
    let token = Token::new(secret, &job.job_id, number, closing.at);
    match &closing.refund {
        Some(issued) if issued.hash == token.hash() => Issuing::Is { token, expires_at: issued.expires_at },
        Some(_) => Issuing::OtherSecret,
        None if job.refunded.is_some() => Issuing::None,
        None if job.status == JobStatus::Running || job.closing != number => Issuing::Overtaken,
        None => {
            let expires_at = closing.at.plus(REFUND_FOR).min(kept_until(job));
            Issuing::Write(Write::Issue { closing: number, issued: Issued { hash: token.hash(), at: now, expires_at } })
        }
    }
}

/// What to do to redeem a token, given its job as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeeming {
    /// Carry this write out, and look at the job again.
    Write(Write),
    /// It is redeemed, under this reference.
    Is(Redemption),
    /// It can't be redeemed.
    Refused(Refused),
}

/// Why a token can't be redeemed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody ever issued it.
    #[error("it is none of this job's: it was guessed, mistyped, or made by another deployment; nothing was redeemed")]
    Unknown,
    /// The job was refunded.
    #[error(
        "its job was refunded before, at {} under the reference {}, by the token of closing {}: a job is refunded once, \
         however often it fails",
        .0.at, .0.reference, .0.closing
    )]
    Redeemed(Redemption),
    /// The job completed after all.
    #[error("its job is COMPLETED after all, which makes the token void: there is nothing to refund")]
    Completed,
    /// The job runs again.
    #[error(
        "its job was redriven and runs again: redeem it should that fail too; once it is COMPLETED the token is void"
    )]
    Runs,
    /// It is too late.
    #[error("it has expired, at {0}")]
    Expired(Time),
}

/// What to do to redeem a token under this reference, given its job as it is now.
///
/// Whoever redeems again under the same reference is told that it is redeemed: one reference is one refund.
#[must_use]
pub fn redeem(job: &Job, token: &Token, reference: &Reference, now: Time) -> Redeeming {
    let closing = job.closings.get(token.closing as usize).filter(|_| job.job_id == token.job);
    let issued = closing.and_then(|closing| closing.refund.as_ref()).filter(|issued| issued.hash == token.hash());
    let Some(issued) = issued else { return Redeeming::Refused(Refused::Unknown) };
    let expires_at = issued.expires_at.min(kept_until(job));
    match (&job.refunded, job.status) {
        (Some(before), _) if before.reference == *reference && before.closing == token.closing => {
            Redeeming::Is(before.clone())
        }
        (Some(before), _) => Redeeming::Refused(Refused::Redeemed(before.clone())),
        (None, JobStatus::Completed) => Redeeming::Refused(Refused::Completed),
        (None, JobStatus::Queued | JobStatus::Running) => Redeeming::Refused(Refused::Runs),
        (None, _) if now >= expires_at => Redeeming::Refused(Refused::Expired(expires_at)),
        (None, JobStatus::Failed | JobStatus::TimedOut | JobStatus::Canceled | JobStatus::Rejected) => {
            let redemption = Redemption { closing: token.closing, at: now, reference: reference.clone() };
            Redeeming::Write(Write::Redeem { closing: job.closing, redemption })
        }
    }
}

/// Until when the table keeps the job, and with it what was redeemed.
const fn kept_until(job: &Job) -> Time {
    Time(job.expires_at.saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
