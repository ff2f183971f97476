//! What must hold in every state: the properties of the model.

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// Invariant 1, first half.
    OutputStays,
    /// Invariant 1, second half.
    SuccessorsSeeTheRecorded,
    /// Inputs before start.
    InputsFirst,
    /// Invariant 6.
    AttemptsBounded,
    /// Invariant 3.
    NotRunAgain,
    /// Invariant 4: the attempt is the fence and the key of its outputs.
    OneWorkerPerAttempt,
    /// Invariant 4: the lease of another stays while it is live, and attempts only grow.
    LeaseStays,
    /// Invariant 7.
    ClosingStays,
    /// The finalizer runs after the closing.
    FinalizerLast,
    /// Rule 4: what is given back is not charged.
    FailsForCause,
    /// Rule 8.
    ChargedAlone,
    /// Rule 7, and the condition of every closing.
    FailedStaysUnrecorded,
    /// Rule 6: what follows a shard stands on all its records.
    CompletesWhole,
    /// No message of a sound job is moved to the dead letters.
    NoDeadLetter,
    /// Rule 6: what was made for a closing counts for no other.
    ClosingFences,
    /// Invariant 7, second half: one notification for each closing.
    ClosingsNumbered,
    /// Rule 6: a redrive from a step forgets it.
    ForgottenIsGone,
}

impl Promise {
    /// Every promise.
    pub const ALL: [Self; 17] = [
        Self::OutputStays,
        Self::SuccessorsSeeTheRecorded,
        Self::InputsFirst,
        Self::AttemptsBounded,
        Self::NotRunAgain,
        Self::OneWorkerPerAttempt,
        Self::LeaseStays,
        Self::ClosingStays,
        Self::FinalizerLast,
        Self::FailsForCause,
        Self::ChargedAlone,
        Self::FailedStaysUnrecorded,
        Self::CompletesWhole,
        Self::NoDeadLetter,
        Self::ClosingFences,
        Self::ClosingsNumbered,
        Self::ForgottenIsGone,
    ];

    /// The promise as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::OutputStays => "a recorded output never changes",
            Self::SuccessorsSeeTheRecorded => "successors see exactly the recorded attempts of their inputs",
            Self::InputsFirst => "no attempt begins before its inputs are recorded",
            Self::AttemptsBounded => "charged attempts never exceed the maximum",
            Self::NotRunAgain => "a recorded step is not run again by an attempt that begins later",
            Self::OneWorkerPerAttempt => "no two drives work on one attempt",
            Self::LeaseStays => "a live lease is not taken by another, and attempts only grow",
            Self::ClosingStays => "a closed job stays closed, with the same closing",
            Self::FinalizerLast => "the finalizer works only on a closed job",
            Self::FailsForCause => {
                "a job fails only when an attempt failed for good, its attempts are used up, or it is late"
            }
            Self::ChargedAlone => "a crash is charged only to an attempt that had its process to itself",
            Self::FailedStaysUnrecorded => "the task for which a job failed is never recorded",
            Self::CompletesWhole => "a job completes only once every task is recorded",
            Self::NoDeadLetter => "no message of a sound job goes to the dead letters",
            Self::ClosingFences => "a record, a fold or a closing counts only for the closing that it was made for",
            Self::ClosingsNumbered => "each closing of a job has a number of its own, and so a notification",
            Self::ForgottenIsGone => "after a redrive from a step no task of that step is recorded",
        }
    }
}
