//! What the metrics of this service mean.

use events::Context;
use service_kit::metrics::Metric;
use strum::VariantArray as _;

use crate::application::redrive::Outcome;

/// The labels of what a worker counts.
const WORKER: &[&str] = &["context", "generation"];

/// Those that only this service has.
pub const METRICS: &[Metric] = &[
    Metric::histogram(
        "orderflow_critical_time_seconds",
        "seconds",
        &["context"],
        "From an event's decision by the command service to its commit in the read model that is read, where a reader sees it \
         first. Events that fill a slot (a rebuild, an emptied Redis, a first start on old topics) and redriven ones don't count; \
         those that waited for a projector that was down do, with all of their wait.",
    ),
    Metric::counter("orderflow_projection_events_total", "events", WORKER, "Events folded into views."),
    Metric::counter("orderflow_projection_duplicates_total", "events", WORKER, "Events that were there already, passed over."),
    Metric::counter("orderflow_projection_gaps_total", "gaps", WORKER, "Gaps in a stream that were filled from the event store."),
    Metric::counter("orderflow_dead_letters_total", "events", WORKER, "Events sent to the dead letters."),
    Metric::counter(
        "orderflow_projection_restarts_total",
        "restarts",
        WORKER,
        "Workers that began again at the checkpoint, because something else had written.",
    ),
    Metric::counter(
        "orderflow_projection_throttled_total",
        "pauses",
        WORKER,
        "Pauses of 50 ms in which a build gave way to what is read.",
    ),
    Metric::histogram("orderflow_projection_batch_size", "records", WORKER, "Records of a chunk."),
    Metric::histogram(
        "orderflow_projection_apply_duration_seconds",
        "seconds",
        WORKER,
        "A chunk: reading views, folding, dead letters, one transaction of Redis.",
    ),
    Metric::gauge(
        "orderflow_projection_lag_records",
        "records",
        &["context", "partition"],
        "Offsets between the checkpoint and the end of the log.",
    ),
    Metric::gauge(
        "orderflow_projection_lag_seconds",
        "seconds",
        &["context", "partition"],
        "While it is behind: the age of the last event that is in the views.",
    ),
    Metric::gauge(
        "orderflow_projection_standing",
        "partitions",
        &["context", "partition"],
        "1 while the partition stands still and needs somebody.",
    ),
    Metric::gauge(
        "orderflow_parked_streams",
        "streams",
        &["context", "partition"],
        "Streams that wait behind a dead letter and are not discarded.",
    ),
    Metric::counter(
        "orderflow_redrives_total",
        "requests",
        &["context", "outcome"],
        "What operators asked for, and its outcome.",
    ),
    Metric::gauge(
        "orderflow_rebuild_active",
        "builds",
        &["context"],
        "1 while a generation is built beside the one that is read.",
    ),
    Metric::gauge("orderflow_rebuild_done_records", "records", &["context"], "Log positions that the build has; 0 without one."),
    Metric::gauge(
        "orderflow_rebuild_remaining_records",
        "records",
        &["context"],
        "Log positions between the build and what is read; 0 without one.",
    ),
    Metric::counter("orderflow_audit_streams_total", "streams", &["context"], "Streams compared with the event store."),
    Metric::counter(
        "orderflow_audit_divergent_total",
        "views",
        &["context", "kind"],
        "Views, list entries and counters that were not what the event store makes of them. It should be 0.",
    ),
];

/// Describes them all. What operators have not asked for yet is 0, so that the first time is seen as a rise.
pub fn describe() {
    service_kit::metrics::describe("projector", env!("CARGO_PKG_VERSION"), &[METRICS]);
    for context in Context::ALL {
        for outcome in Outcome::VARIANTS {
            metrics::counter!("orderflow_redrives_total", "context" => context.name(), "outcome" => outcome.name()).increment(0);
        }
    }
}
