//! The step that speaks a scene's narration.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_generate_tts::{ESPEAK_VARIABLE, GenerateTts, RATE_VARIABLE};

fn main() -> ExitCode {
    let service = Service {
        name: "generate-tts",
        about: "speaks the narration of one scene with espeak-ng",
        concurrency: 4,
        settings: &[
            (ESPEAK_VARIABLE, "the program espeak-ng; default espeak-ng"),
            (RATE_VARIABLE, "how often all workers together ask for a sentence, as in 60/min burst 5; no limit"),
        ],
    };
    host::run(service, async |context| {
        let step = GenerateTts::new(&context.environment)?.throttled(&context.environment)?;
        step.check().await?;
        Ok(Role::Step(Arc::new(step)))
    })
}
