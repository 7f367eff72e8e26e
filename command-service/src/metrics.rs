//! What the metrics of this service mean.

use service_kit::metrics::Metric;

/// Those that only this service has.
pub const METRICS: &[Metric] = &[
    Metric::gauge(
        "orderflow_mailbox_commands",
        "commands",
        &["context", "writer"],
        "Commands that wait for a writer; they are answered 503 when the mailbox is full.",
    ),
    Metric::gauge("orderflow_mailbox_capacity_commands", "commands", &["context", "writer"], "How many may wait."),
    Metric::histogram(
        "orderflow_writer_batch_size",
        "commands",
        &["context"],
        "Commands of a batch: what arrived while the one before was committed.",
    ),
    Metric::histogram(
        "orderflow_writer_append_duration_seconds",
        "seconds",
        &["context"],
        "The call of append(), commit included: what every command of the batch waits for.",
    ),
    Metric::counter("orderflow_writer_events_total", "events", &["context"], "Events stored by this process."),
    Metric::counter(
        "orderflow_writer_batches_redecided_total",
        "batches",
        &["context"],
        "Batches decided again: another instance had appended, a key had an answer, or a claim was held.",
    ),
    Metric::counter(
        "orderflow_writer_panics_total",
        "panics",
        &["context"],
        "Writers that panicked and were started anew. Each is a defect.",
    ),
    Metric::counter("orderflow_lane_events_total", "events", &["context", "lane"], "Events stored by this process, by lane."),
    Metric::counter("orderflow_relay_events_total", "events", &["context", "group"], "Events published to Kafka."),
    Metric::histogram("orderflow_relay_batch_size", "events", &["context", "group"], "Events of a transaction of Kafka."),
    Metric::gauge(
        "orderflow_relay_lag_events",
        "events",
        &["context", "group"],
        "Events stored and not published, as the group's owner last saw it.",
    ),
    Metric::gauge(
        "orderflow_relay_lag_seconds",
        "seconds",
        &["context", "group"],
        "The age of the oldest event of the batch that is published; 0 when nothing waits.",
    ),
    Metric::gauge(
        "orderflow_relay_owned",
        "groups",
        &["context", "group"],
        "1 in the process that owns the relay group. Over all processes it is 1, or nothing is published.",
    ),
    Metric::histogram(
        "orderflow_context_request_duration_seconds",
        "seconds",
        &["context"],
        "Questions to the command service that runs another context.",
    ),
    Metric::counter(
        "orderflow_context_request_failures_total",
        "requests",
        &["context"],
        "Such questions without an answer: the order is refused.",
    ),
];

/// Describes them all.
pub fn describe() {
    service_kit::metrics::describe("command-service", env!("CARGO_PKG_VERSION"), &[METRICS]);
}
