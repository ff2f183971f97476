//! The finalizer.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::SecretParameter;
use qsketch_aws::host::{self, Role, Service, StartError};
use qsketch_core::refund::Secret;
use qsketch_notify::{Notify, SecretSource};
use qsketch_runtime::config::Environment;

const SECRET: &str = "QSKETCH_REFUND_SECRET";
const PARAMETER: &str = "QSKETCH_REFUND_SECRET_PARAMETER";

fn main() -> ExitCode {
    let service = Service {
        name: "notify",
        about: "puts one event per closing of a job on the notifications queue",
        concurrency: 16,
        settings: &[
            (PARAMETER, "the SSM parameter with the secret of refund tokens"),
            (SECRET, "that secret itself, where there is no parameter"),
        ],
    };
    host::run(service, async |context| Ok(Role::Step(Arc::new(Notify::new(secrets(&context.environment).await?)))))
}

/// Where the secret comes from; none where neither variable is set.
async fn secrets(environment: &Environment) -> Result<Option<Arc<dyn SecretSource>>, StartError> {
    let given = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    match (given(PARAMETER), given(SECRET)) {
        (Some(_), Some(_)) => Err(format!("{PARAMETER} and {SECRET} are both set: set one of them").into()),
        (Some(name), None) => Ok(Some(Arc::new(SecretParameter::new(&qsketch_aws::sdk_config().await, name)))),
        (None, Some(secret)) => {
            let secret = Secret::try_from(secret.as_str()).map_err(|error| format!("{SECRET}: {error}"))?;
            Ok(Some(Arc::new(secret)))
        }
        (None, None) => {
            tracing::warn!("neither {PARAMETER} nor {SECRET} is set: events of failed jobs carry no refund token");
            Ok(None)
        }
    }
}
