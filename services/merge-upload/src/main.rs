//! The step that joins scenes and speech into the video.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_merge_upload::MergeUpload;

fn main() -> ExitCode {
    let service = Service {
        name: "merge-upload",
        about: "joins scenes and speech into the video, checks it and keeps it",
        concurrency: 2,
        settings: &[
            ("QSKETCH_FFMPEG", "the program ffmpeg; default ffmpeg"),
            ("QSKETCH_FFPROBE", "the program ffprobe; default ffprobe"),
        ],
    };
    host::run(service, async |context| {
        let step = MergeUpload::new(&context.environment)?;
        step.check().await?;
        Ok(Role::Step(Arc::new(step)))
    })
}
