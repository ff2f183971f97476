//! The step that renders a scene.

use std::process::ExitCode;
use std::sync::Arc;

use qsketch_aws::host::{self, Role, Service};
use qsketch_render_manim::{PYTHON_VARIABLE, RenderManim};

fn main() -> ExitCode {
    let service = Service {
        name: "render-manim",
        about: "renders one scene of a script with Manim",
        // A second render on the same core makes both late.
        concurrency: std::thread::available_parallelism().map_or(1, usize::from),
        settings: &[
            (PYTHON_VARIABLE, "the Python that has Manim; needed"),
            ("QSKETCH_FFMPEG", "the program ffmpeg; default ffmpeg"),
            ("QSKETCH_FFPROBE", "the program ffprobe; default ffprobe"),
        ],
    };
    host::run(service, async |context| {
        let step = RenderManim::new(&context.environment)?;
        step.check().await?;
        let languages = step.languages_without_font().await;
        if !languages.is_empty() {
            tracing::warn!(?languages, "no font has their letters: install fonts-noto-core and fonts-noto-cjk");
        }
        Ok(Role::Step(Arc::new(step)))
    })
}
