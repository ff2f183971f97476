//! qsketch ops.
