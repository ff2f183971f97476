//! The reconciler: looks after the jobs that nobody is at work on, once a minute.

use std::process::ExitCode;

use qsketch_aws::host::{self, Scheduled};
use qsketch_runtime::reconcile::{Mode, PERIOD, reconcile};

fn main() -> ExitCode {
    let service = Scheduled {
        name: "reconciler",
        about: "looks after the jobs that nobody is at work on: sends lost messages again, closes what is out of time",
        period: PERIOD,
    };
    host::run_scheduled(service, async |ports| {
        let swept = reconcile(&ports, Mode::Mend).await.map_err(|error| error.chain())?;
        Ok(serde_json::to_value(swept)?)
    })
}
