//! Logs and metrics of a process. Set up once, before anything else is made: metric handles that
//! were taken earlier would count into the void.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{CommonConfig, LogFormat};

/// Histogram bounds for durations, in seconds: from a cached read to a request that has given up.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same for the time until something is visible, which takes as long as an outage.
const CRITICAL_SECONDS: &[f64] =
    &[0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Histogram bounds for counts of things, as the size of a batch.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// How often recorded samples are folded into their buckets. Between two folds each sample takes
/// eight bytes, so 40,000 a second need about a third of a megabyte.
const FOLD_INTERVAL: Duration = Duration::from_secs(1);

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_LEVEL` cannot be parsed.
    #[error("LOG_LEVEL: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another subscriber is installed.
    #[error("logging: {0}")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    /// Another recorder is installed.
    #[error("metrics: {0}")]
    Metrics(#[from] BuildError),
    /// The thread that folds histograms could not be started.
    #[error("metrics: {0}")]
    Thread(#[from] std::io::Error),
}

/// Renders all metrics of this process for Prometheus.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the process's recorder, or returns the one that this function installed before.
    pub fn install() -> Result<Self, TelemetryError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)?
            .set_buckets_for_metric(Matcher::Full("orderflow_critical_time_seconds".to_owned()), CRITICAL_SECONDS)?
            .install_recorder()?;
        let folding = handle.clone();
        // A thread of its own: it has to go on even when the runtime is saturated.
        std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(FOLD_INTERVAL);
                folding.run_upkeep();
            }
        })?;
        Ok(installed.insert(Self(handle)).clone())
    }

    /// The text exposition format.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

/// Makes a panic a log line like any other, with its place in the code. Where a request caused it,
/// the route's own line follows and says which.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("of an unknown kind");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(panic.place = place, panic.message = message, "panicked");
    }));
}

/// Sets up logging and metrics as configured.
pub fn init(config: &CommonConfig) -> Result<Metrics, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_level)?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter);
    match config.log_format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).finish().try_init()?,
        LogFormat::Pretty => logs.finish().try_init()?,
    }
    log_panics();
    Metrics::install()
}

#[cfg(test)]
mod tests;
