//! The end of a process that could not start.

use std::{fmt::Display, io::Write, process::ExitCode, time::Duration};

use crate::telemetry;

/// What exporting the reason may take: whoever starts it is waiting.
const FLUSH: Duration = Duration::from_millis(500);

/// The exit code of a service: its own, or that of a failure, which is logged first and exported as far as that goes in half a
/// second. Where nothing is logged, because telemetry could not be set up either or `LOG_LEVEL` is `off`, it goes to stderr. To be
/// called in the service's runtime, as the last that it does.
pub fn code(outcome: Result<ExitCode, impl Display>) -> ExitCode {
    let error = match outcome {
        Ok(code) => return code,
        Err(error) => format!("{error:#}"),
    };
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(error, "cannot start");
    } else {
        // Nothing is left to tell if that is gone; the exit code still does.
        drop(writeln!(std::io::stderr(), "Error: {error}"));
    }
    telemetry::flush(FLUSH);
    ExitCode::FAILURE
}
