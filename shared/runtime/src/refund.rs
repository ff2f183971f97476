//! The refund token of a closing, for whoever tells that it failed.

use qsketch_core::limits::COMMITS_MAX;
use qsketch_core::refund::{Issuing, Secret, Token, issue};
use qsketch_core::{Commit, Failure, Part, Time};

use crate::attempt::{Attempt, failure_of};

/// A token that may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The token; its hash is recorded.
    pub token: Token,
    /// From when on it can't be redeemed.
    pub expires_at: Time,
}

impl Attempt {
    /// The refund token of the closing that this finalizes, the same one for every repetition: its hash is recorded before it
    /// is returned. None where the closing did not fail, and where the job was refunded before it got one.
    ///
    /// # Errors
    /// [`Failure`], to be tried again: the hash could not be recorded, the job is not closed with this closing any more, or
    /// its token was made from another secret.
    pub async fn refund(&self, secret: &Secret) -> Result<Option<Refund>, Failure> {
        let Some((number, _)) = self.closing() else { return Ok(None) };
        let id = &self.job().job_id;
        let mut there = self.job().clone();
        for _ in 0..COMMITS_MAX {
            let write = match issue(secret, &there, number, self.now()) {
                Issuing::Is { token, expires_at } => return Ok(Some(Refund { token, expires_at })),
                Issuing::None => return Ok(None),
                Issuing::OtherSecret => {
                    let reason =
                        "its refund token was made from another secret: restore the one that the parameter held";
                    return Err(Failure::retry("RefundSecretChanged", reason));
                }
                Issuing::Overtaken => {
                    return Err(Failure::retry("Overtaken", "the job is not closed with this closing any more"));
                }
                Issuing::Write(write) => write,
            };
            let commit = self.ports().table.commit(id, &write).await.map_err(|error| failure_of(&error))?;
            match commit {
                Commit::Written(Part::Job(now)) | Commit::Overtaken(Some(Part::Job(now))) => there = *now,
                Commit::Written(_) | Commit::Overtaken(_) => {
                    return Err(Failure::fail("NoJob", "the job's part is gone"));
                }
            }
        }
        Err(Failure::retry("Crowded", "others changed the job whenever its refund was to be recorded"))
    }
}
