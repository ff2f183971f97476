//! The qsketch command.
fn main() {}
