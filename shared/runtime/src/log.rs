//! Structured logs: one event per transition, with stable field names.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging to standard error: JSON lines, or plain lines on a terminal.
///
/// `filter` is a tracing filter such as `info,qsketch_runtime=debug`; one that can't be read is taken as `info`.
pub fn start(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second start in one process, as tests do, keeps the first.
    let _ = if is_terminal {
        lines.with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
}
