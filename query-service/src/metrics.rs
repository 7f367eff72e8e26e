//! What the metrics of this service mean.

use service_kit::metrics::Metric;

/// Those that only this service has.
pub const METRICS: &[Metric] = &[
    Metric::counter("orderflow_view_cache_misses_total", "views", &[], "Views that Redis was asked for."),
    Metric::counter(
        "orderflow_view_cache_invalidations_total",
        "views",
        &[],
        "Cached views that Redis announced to have changed.",
    ),
    Metric::gauge("orderflow_view_cache_bytes", "bytes", &[], "What cached views take."),
    Metric::gauge("orderflow_waiting_requests", "requests", &[], "Reads that wait for a version (min_version)."),
    Metric::gauge("orderflow_update_streams", "streams", &[], "Open streams of live updates."),
    Metric::counter(
        "orderflow_update_streams_behind_total",
        "streams",
        &[],
        "Streams of changes that were too slow for the feed, and read on by themselves.",
    ),
];

/// Describes them all. What has not happened yet is 0.
pub fn describe() {
    service_kit::metrics::describe("query-service", env!("CARGO_PKG_VERSION"), &[METRICS]);
    metrics::counter!("orderflow_update_streams_behind_total").increment(0);
}
