//! Redeeming a refund token.

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::refund::{Redeeming, Redemption, Token, redeem as plan};
use qsketch_core::{Commit, JobId, Part, Reference, Write};
use qsketch_runtime::Ports;

use crate::error::OpsError;

/// What redeeming a token did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// Whether it was redeemed before, under the same reference.
    pub is_again: bool,
    /// The job whose refund it was.
    pub job: JobId,
    /// Of which closing, when, and under which reference.
    pub redemption: Redemption,
}

/// Redeems a refund token under a reference of the caller's own, such as a payment's id: once per job, for ever.
///
/// Of several at the same moment one wins. Whoever does not know whether it was done, because the answer was lost, asks again
/// under the same reference: then it is done, once, and [`Redeemed::is_again`] tells. A reference is one refund: two payers
/// must not share one.
///
/// # Errors
/// [`OpsError::NotFound`]; [`OpsError::NoRefund`] with the reason; [`OpsError::Port`]: whether it was redeemed is not known.
pub async fn redeem(ports: &Ports, token: &Token, reference: &Reference) -> Result<Redeemed, OpsError> {
    let job = token.job();
    let mut there = ports.table.load_job(job).await?.ok_or_else(|| OpsError::no_job(job))?;
    // A write whose answer was lost may be repeated below us, and be refused for its own first try: what is found says so.
    let mut ours: Option<Redemption> = None;
    for _ in 0..COMMITS_MAX {
        let write = match plan(&there, token, reference, ports.clock.now()) {
            Redeeming::Is(redemption) => {
                return Ok(Redeemed { is_again: ours.as_ref() != Some(&redemption), job: job.clone(), redemption });
            }
            Redeeming::Refused(refusal) => return Err(OpsError::NoRefund { job: job.clone(), refusal }),
            Redeeming::Write(write) => write,
        };
        if let Write::Redeem { redemption, .. } = &write {
            ours = Some(redemption.clone());
        }
        match ports.table.commit(job, &write).await? {
            Commit::Written(Part::Job(now)) | Commit::Overtaken(Some(Part::Job(now))) => there = *now,
            Commit::Written(_) | Commit::Overtaken(_) => return Err(OpsError::no_job(job)),
        }
    }
    Err(OpsError::crowded(job))
}
