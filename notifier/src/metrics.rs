//! What the metrics of this service mean.

use service_kit::metrics::Metric;

use crate::domain::effect::Kind;

/// Those that only this service has.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "orderflow_notifier_effects_total",
        "effects",
        &["kind", "state"],
        "Effects written into the ledger: `pending`, or `skipped` (too old, or nobody to tell).",
    ),
    Metric::gauge(
        "orderflow_notifier_pending_effects",
        "effects",
        &["channel"],
        "Effects that wait to be sent. Every instance tells of all.",
    ),
    Metric::gauge(
        "orderflow_notifier_oldest_pending_seconds",
        "seconds",
        &["channel"],
        "How long the oldest of them waits. Every instance tells of all.",
    ),
    Metric::counter("orderflow_notifier_attempts_total", "attempts", &["channel", "outcome"], "Attempts to send."),
    Metric::histogram("orderflow_notifier_attempt_duration_seconds", "seconds", &["channel"], "One attempt to send."),
    Metric::gauge("orderflow_notifier_mailboxes", "mailboxes", &[], "Mailboxes that run: one an endpoint, one a channel."),
    Metric::gauge("orderflow_notifier_dying_mailboxes", "mailboxes", &[], "Mailboxes that keep dying: /ready names them."),
    Metric::counter("orderflow_notifier_mailbox_restarts_total", "restarts", &["channel"], "Mailboxes that panicked."),
    Metric::counter(
        "orderflow_notifier_webhooks_disabled_total",
        "endpoints",
        &[],
        "Endpoints disabled because they failed for too long, or said that they are gone.",
    ),
];

/// How messages go out.
const CHANNELS: [&str; 3] = ["webhook", "email", "sms"];
/// What comes of an attempt.
const OUTCOMES: [&str; 6] = ["sent", "failed", "not-yet", "rejected", "gone", "nobody"];

/// Describes them all. What has not happened yet is 0, so that its first time is seen as a rise.
pub fn describe() {
    service_kit::metrics::describe("notifier", env!("CARGO_PKG_VERSION"), &[consumer::METRICS, METRICS]);
    for kind in Kind::ALL {
        for state in ["pending", "skipped"] {
            metrics::counter!("orderflow_notifier_effects_total", "kind" => kind.name(), "state" => state).increment(0);
        }
    }
    for channel in CHANNELS {
        for outcome in OUTCOMES {
            metrics::counter!("orderflow_notifier_attempts_total", "channel" => channel, "outcome" => outcome).increment(0);
        }
        metrics::counter!("orderflow_notifier_mailbox_restarts_total", "channel" => channel).increment(0);
    }
    metrics::counter!("orderflow_notifier_webhooks_disabled_total").increment(0);
    metrics::gauge!("orderflow_notifier_dying_mailboxes").set(0);
}
