//! The export of traces and logs to a collector: OTLP over HTTP, in batches, by threads of the SDK's. What does not fit or is
//! not taken is counted and lost; nobody waits for it but a process that ends, and that not for long.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, logs::LoggerProvider};
use opentelemetry_otlp::{LogExporter, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{self, BatchLogProcessor, LogBatch, SdkLoggerProvider},
    resource::{EnvResourceDetector, ResourceDetector},
    trace::{self, BatchSpanProcessor, SpanData, SpanProcessor},
};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    TelemetryError,
    log_records::LogRecords,
    otlp_client::OtlpClient,
    tally::{QUEUE, Tally},
};
use crate::{config::Otlp, trace::sampling};

static SPANS: OnceLock<Spans> = OnceLock::new();
static LOGS: OnceLock<SdkLoggerProvider> = OnceLock::new();

/// Where spans go that have ended.
#[derive(Debug)]
pub(crate) struct Spans {
    processor: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl Spans {
    /// Takes a span, or drops it where too many wait.
    pub(crate) fn take(&self, span: SpanData) {
        if self.tally.admit() {
            self.processor.on_end(span);
        }
    }
}

/// Where this process's spans go; none, if they go nowhere.
pub(crate) fn spans() -> Option<&'static Spans> {
    SPANS.get()
}

/// Begins to export, and gives the layer that makes log lines records.
pub(super) fn start(settings: &Otlp) -> Result<LogRecords, TelemetryError> {
    let runtime = Handle::try_current()?;
    let resource = resource(settings, Box::new(EnvResourceDetector::new()));

    let tally = Arc::new(Tally::new("traces"));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_shared_http_client(OtlpClient::new(runtime.clone(), Arc::clone(&tally)))
        .with_retry_policy(retries())
        .with_endpoint(settings.url("/v1/traces"))
        .build()?;
    let batches = trace::BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let counted = Counted { exporter, tally: Arc::clone(&tally) };
    let mut processor = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
    processor.set_resource(&resource);
    // A process has one; the second would be of a test.
    SPANS.get_or_init(|| Spans { processor, tally });
    sampling::set_share(settings.share);

    let tally = Arc::new(Tally::new("logs"));
    let exporter = LogExporter::builder()
        .with_http()
        .with_shared_http_client(OtlpClient::new(runtime, Arc::clone(&tally)))
        .with_retry_policy(retries())
        .with_endpoint(settings.url("/v1/logs"))
        .build()?;
    let batches = logs::BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let counted = Counted { exporter, tally: Arc::clone(&tally) };
    let processor = BatchLogProcessor::builder(counted).with_batch_config(batches).build();
    let provider = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build();
    let logger = LOGS.get_or_init(|| provider).logger("orderflow");
    Ok(LogRecords::new(logger, tally))
}

/// For a connection that was closed meanwhile; who is away for longer takes nothing of what came before.
fn retries() -> RetryPolicy {
    RetryPolicy::recommended().with_max_retries(1)
}

/// Who tells all this. What the `environment` says (`OTEL_RESOURCE_ATTRIBUTES`) goes before what we say, but for the name, which
/// has a setting.
fn resource(settings: &Otlp, environment: Box<dyn ResourceDetector>) -> Resource {
    let resource = Resource::builder()
        .with_attributes([
            KeyValue::new("service.namespace", "orderflow"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .with_detector(environment);
    // Empty is unset: then the name is the environment's, or the SDK says what it makes of that.
    match &*settings.service_name {
        "" => resource,
        name => resource.with_service_name(name.to_owned()),
    }
    .build()
}

/// See [`super::flush`].
pub(super) fn flush(within: Duration) {
    let deadline = Instant::now() + within;
    // What is lost here is logged nowhere but here: the log's own way out is about to end, too.
    if let Some(spans) = SPANS.get()
        && let Err(error) = spans.processor.shutdown_with_timeout(within / 2)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
    if let Some(logs) = LOGS.get()
        && let Err(error) = logs.shutdown_with_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        tracing::warn!(%error, "the last log lines were not exported");
    }
}

/// An exporter whose outcomes are counted.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E> Counted<E> {
    fn note(&self, count: usize, outcome: &OTelSdkResult) {
        self.tally.exported(count, outcome.as_ref().err().map(|error| error as &dyn std::fmt::Display));
    }
}

impl trace::SpanExporter for Counted<SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.note(count, &outcome);
        outcome
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl logs::LogExporter for Counted<LogExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        let outcome = self.exporter.export(batch).await;
        self.note(count, &outcome);
        outcome
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;
    use crate::config::OtlpConfig;

    struct Environment(Vec<(&'static str, &'static str)>);

    impl ResourceDetector for Environment {
        fn detect(&self) -> Resource {
            let attributes = self.0.iter().map(|(key, value)| KeyValue::new(*key, *value));
            Resource::builder_empty().with_attributes(attributes).build()
        }
    }

    fn told(name: &str, environment: &[(&'static str, &'static str)], key: &'static str) -> Option<String> {
        let config = OtlpConfig {
            otel_exporter_otlp_endpoint: Some("http://collector:4318".to_owned()),
            otel_service_name: name.to_owned(),
            otel_traces_sampler_arg: 1.0,
            otel_exporter_otlp_compression: String::new(),
        };
        let settings = config.settings().unwrap().unwrap();
        let resource = resource(&settings, Box::new(Environment(environment.to_vec())));
        resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
    }

    #[test]
    fn what_the_environment_says_of_the_process_goes_before_what_we_say() {
        let shop = [("service.namespace", "shop"), ("service.instance.id", "pod-7"), ("k8s.pod.name", "pod-7")];
        for (key, value) in shop {
            assert_eq!(told("money", &shop, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(told("money", &shop, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(told("money", &[], "service.namespace").as_deref(), Some("orderflow"));
    }

    #[test]
    fn the_name_is_the_settings_and_else_the_environments() {
        let named = [("service.name", "till")];
        assert_eq!(told("money", &named, "service.name").as_deref(), Some("money"));
        assert_eq!(told("", &named, "service.name").as_deref(), Some("till"));
    }
}
