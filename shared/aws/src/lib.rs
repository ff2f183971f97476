//! qsketch aws.
