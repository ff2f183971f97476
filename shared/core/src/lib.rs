//! qsketch core.
