//! The step that writes the script.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_generate_script::{GenerateScript, PROVIDER_VARIABLE, RATE_VARIABLE, provider};
use qsketch_runtime::Throttle;

fn main() -> ExitCode {
    let service = Service {
        name: "generate-script",
        about: "writes the script of a video",
        concurrency: 16,
        settings: &[
            (PROVIDER_VARIABLE, "who writes scripts; template, which needs no model"),
            (RATE_VARIABLE, "how often all workers together ask for one, as in 60/min burst 5; no limit"),
        ],
    };
    host::run(service, async |context| {
        let provider = provider(context.environment.get(PROVIDER_VARIABLE).map(String::as_str))?;
        let throttle = Throttle::read(&context.environment, RATE_VARIABLE, provider.name())?;
        Ok(Role::Step(Arc::new(GenerateScript::new(provider).throttled(throttle))))
    })
}
