//! The ways in which the job is run and measured: what is added to this list is measured, accounted for and guarded.

use clap::ValueEnum;
use qsketch_core::Pipeline;
use qsketch_core::pipeline::{PipelineError, StepSpec};
use serde::{Deserialize, Serialize};

use crate::pipeline::five_steps;

/// How tasks reach their workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Every task has a message of its own.
    #[default]
    Queues,
    /// The process hands light successors on to itself instead of sending them.
    HandedOn,
    /// Every task has a message of its own, and its first attempt begins without a claim.
    Unclaimed,
    /// Both: handed on, and begun without a claim.
    HandedOnUnclaimed,
}

impl Way {
    /// All of them, in the order of the reports.
    pub const ALL: [Self; 4] = [Self::Queues, Self::HandedOn, Self::Unclaimed, Self::HandedOnUnclaimed];

    /// Its name on the command line.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Queues => "queues",
            Self::HandedOn => "handed-on",
            Self::Unclaimed => "unclaimed",
            Self::HandedOnUnclaimed => "handed-on-unclaimed",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queues => "through the queues",
            Self::HandedOn => "handed on",
            Self::Unclaimed => "through the queues, unclaimed",
            Self::HandedOnUnclaimed => "handed on, unclaimed",
        }
    }

    /// Whether the workers of the process are a crew.
    #[must_use]
    pub const fn is_crew(self) -> bool {
        matches!(self, Self::HandedOn | Self::HandedOnUnclaimed)
    }

    /// The job's pipeline.
    ///
    /// # Errors
    /// [`PipelineError`] never: a test builds all of them.
    pub fn pipeline(self) -> Result<Pipeline, PipelineError> {
        match self {
            Self::Queues | Self::HandedOn => five_steps(StepSpec::light),
            Self::Unclaimed | Self::HandedOnUnclaimed => five_steps(StepSpec::unclaimed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_a_pipeline_and_the_name_that_the_command_line_takes() -> Result<(), PipelineError> {
        for way in Way::ALL {
            way.pipeline()?;
            assert_eq!(Way::from_str(way.id(), false), Ok(way));
        }
        assert_eq!(Way::ALL.as_slice(), Way::value_variants());
        Ok(())
    }
}
