//! Checks sound files and prints what was found: `cargo run --example check_audio FILE...`.
use std::io::Write;

use qsketch_video::media::{Expected, check_audio};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    for path in std::env::args().skip(1) {
        match check_audio(&std::fs::read(&path)?, Expected::ANY) {
            Ok(report) => writeln!(out, "{path}: good {report:?}")?,
            Err(bad) => writeln!(out, "{path}: {bad} {:?}", bad.report)?,
        }
    }
    Ok(())
}
