//! Logs, metrics and traces of a process. Set up once, before anything else is made: metric handles that
//! were taken earlier would count into the void.

mod export;
mod filter;
mod log_records;
mod otlp_client;
mod tally;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry_otlp::ExporterBuildError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{CommonConfig, ConfigError, LogFormat};

pub use self::filter::{LogFilter, UnusableFilter};
pub(crate) use self::{export::spans, filter::parse};

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
    Filter(#[from] UnusableFilter),
    /// Another subscriber is installed.
    #[error("logging: {0}")]
    Logs(#[from] tracing_subscriber::util::TryInitError),
    /// Another recorder is installed.
    #[error("metrics: {0}")]
    Metrics(#[from] BuildError),
    /// A thread could not be started.
    #[error("metrics: {0}")]
    Thread(#[from] std::io::Error),
    /// A setting of the export is wrong.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// The exporters could not be made.
    #[error("OTLP: {0}")]
    Export(#[from] ExporterBuildError),
    /// Exporting needs a runtime, and there is none here.
    #[error("OTLP: {0}")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
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

/// Sets up logging, metrics and the export of traces and logs as configured; in a Tokio runtime, if something is exported.
pub fn init(config: &CommonConfig) -> Result<Metrics, TelemetryError> {
    // First: whatever else is set up here is counted.
    let metrics = Metrics::install()?;
    let filter = filter::install(filter::parse(&config.log_level)?);
    let records = match config.otlp.settings()? {
        Some(settings) => Some(export::start(&settings)?),
        None => None,
    };
    let logs = tracing_subscriber::registry().with(filter).with(records);
    match config.log_format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
            logs.with(lines).try_init()?;
        }
        LogFormat::Pretty => logs.with(tracing_subscriber::fmt::layer()).try_init()?,
    }
    log_panics();
    Ok(metrics)
}

/// Sends what waits to be exported, as far as that goes in this time, and ends the export. Blocks: the last that a process does.
pub(crate) fn flush(within: Duration) {
    export::flush(within);
}

#[cfg(test)]
mod tests;
