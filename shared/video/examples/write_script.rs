//! Reads a submission from the standard input and prints the template provider's script: `echo '{"prompt":"…"}' | cargo run --example write_script`.
use std::io::{Read, Write};

use qsketch_video::{TemplateProvider, VideoRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let script = TemplateProvider.script(&VideoRequest::parse(&text)?)?;
    writeln!(std::io::stdout(), "{}", script.to_json())?;
    Ok(())
}
