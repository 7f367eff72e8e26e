//! What the metrics of every consumer mean.

use events::Context;
use service_kit::metrics::Metric;

/// What a service that consumes describes beside its own.
pub const METRICS: &[Metric] = &[
    Metric::counter("orderflow_consumer_records_total", "records", &["context"], "Records handled."),
    Metric::counter(
        "orderflow_consumer_unknown_records_total",
        "records",
        &["context"],
        "Records of types that this build does not know, passed over.",
    ),
    Metric::counter(
        "orderflow_consumer_unreadable_records_total",
        "records",
        &["context"],
        "Records that can't be read, kept by the service and passed over.",
    ),
    Metric::counter(
        "orderflow_consumer_retries_total",
        "attempts",
        &["context"],
        "Attempts of the handler that failed: the partition waits meanwhile.",
    ),
    Metric::gauge(
        "orderflow_consumer_standing",
        "partitions",
        &["context", "partition"],
        "1 while the partition waits for its handler to succeed.",
    ),
    Metric::gauge(
        "orderflow_consumer_lag_records",
        "records",
        &["context", "partition"],
        "Offsets between what is handled and the end of the log.",
    ),
];

/// What has not happened yet is 0, so that its first time is seen as a rise.
pub(crate) fn begin(context: Context) {
    let context = context.name();
    metrics::counter!("orderflow_consumer_records_total", "context" => context).increment(0);
    metrics::counter!("orderflow_consumer_unknown_records_total", "context" => context).increment(0);
    metrics::counter!("orderflow_consumer_unreadable_records_total", "context" => context).increment(0);
    metrics::counter!("orderflow_consumer_retries_total", "context" => context).increment(0);
}
