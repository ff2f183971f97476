//! The step that speaks a scene's narration.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_generate_tts::{ESPEAK_VARIABLE, GenerateTts};

fn main() -> ExitCode {
    let service = Service {
        name: "generate-tts",
        about: "speaks the narration of one scene with espeak-ng",
        concurrency: 4,
        settings: &[(ESPEAK_VARIABLE, "the program espeak-ng; default espeak-ng")],
    };
    host::run(service, async |context| {
        let step = GenerateTts::new(&context.environment)?;
        step.check().await?;
        Ok(Role::Step(Arc::new(step)))
    })
}
