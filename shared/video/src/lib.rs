//! qsketch video.
