//! What the metrics of this service mean.

use service_kit::metrics::Metric;

use crate::domain::saga::{Ending, Step};

/// Those that only this service has.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "orderflow_saga_steps_total",
        "attempts",
        &["step", "outcome"],
        "Attempts at steps: `done`, `refused`, `unknown`.",
    ),
    Metric::histogram("orderflow_saga_step_duration_seconds", "seconds", &["step"], "One attempt at a step."),
    Metric::gauge("orderflow_sagas", "sagas", &["stage"], "Sagas that are not over. Every instance tells of all."),
    Metric::gauge(
        "orderflow_saga_timers",
        "timers",
        &[],
        "Payments that have to be authorised in time. Every instance tells of all.",
    ),
    Metric::counter("orderflow_saga_timers_fired_total", "timers", &[], "Payments that were not authorised in time."),
    Metric::counter("orderflow_saga_gaps_total", "gaps", &[], "Gaps in an order's events that were filled from the event store."),
    Metric::counter("orderflow_sagas_ended_total", "sagas", &["ending"], "Sagas that came to an end."),
    Metric::counter("orderflow_provider_attempts_total", "requests", &["operation"], "Requests to the payment provider."),
    Metric::counter(
        "orderflow_provider_calls_total",
        "calls",
        &["operation", "outcome"],
        "Calls of the payment provider, attempts included: `done`, `refused`, `unknown`, `unavailable`.",
    ),
    Metric::histogram(
        "orderflow_provider_call_duration_seconds",
        "seconds",
        &["operation"],
        "A call of the payment provider with all its attempts.",
    ),
];

/// Of an attempt at a step.
const OUTCOMES: [&str; 3] = ["done", "refused", "unknown"];
/// What the provider is asked for.
const OPERATIONS: [&str; 4] = ["authorise", "capture", "void", "refund"];
/// What comes of that.
const CALL_OUTCOMES: [&str; 4] = ["done", "refused", "unknown", "unavailable"];

/// Describes them all. What has not happened yet is 0, so that its first time is seen as a rise.
pub fn describe() {
    service_kit::metrics::describe("fulfilment", env!("CARGO_PKG_VERSION"), &[consumer::METRICS, METRICS]);
    for step in Step::NAMES {
        for outcome in OUTCOMES {
            metrics::counter!("orderflow_saga_steps_total", "step" => step, "outcome" => outcome).increment(0);
        }
    }
    for ending in ["fulfilled"].into_iter().chain(Ending::NAMES) {
        metrics::counter!("orderflow_sagas_ended_total", "ending" => ending).increment(0);
    }
    for operation in OPERATIONS {
        for outcome in CALL_OUTCOMES {
            metrics::counter!("orderflow_provider_calls_total", "operation" => operation, "outcome" => outcome).increment(0);
        }
    }
    metrics::counter!("orderflow_saga_timers_fired_total").increment(0);
    metrics::counter!("orderflow_saga_gaps_total").increment(0);
}
