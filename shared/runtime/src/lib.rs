//! qsketch runtime.
