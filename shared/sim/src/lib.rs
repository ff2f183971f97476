//! qsketch sim.
