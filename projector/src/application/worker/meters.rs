//! What a worker counts. Handles are made once: looking one up by its labels costs more than counting.

use std::time::Duration;

use chrono::{DateTime, Utc};
use events::Context;
use metrics::{Counter, Histogram};

use crate::application::redrive::Outcome;

pub(super) struct Meters {
    context: Context,
    pub(super) gaps: Counter,
    pub(super) dead_letters: Counter,
    pub(super) restarts: Counter,
    events: Counter,
    duplicates: Counter,
    /// Pauses of a twentieth of a second in which it gave way to what is read.
    pub(super) throttled: Counter,
    batch_size: Histogram,
    apply_seconds: Histogram,
    critical_time: Histogram,
}

impl Meters {
    /// `aside`: the generation that is fed beside the first.
    pub(super) fn new(context: Context, aside: Option<u32>) -> Self {
        let mut labels = vec![("context", context.name().to_owned())];
        labels.extend(aside.map(|generation| ("generation", generation.to_string())));
        Self {
            context,
            gaps: metrics::counter!("orderflow_projection_gaps_total", &labels),
            dead_letters: metrics::counter!("orderflow_dead_letters_total", &labels),
            restarts: metrics::counter!("orderflow_projection_restarts_total", &labels),
            events: metrics::counter!("orderflow_projection_events_total", &labels),
            duplicates: metrics::counter!("orderflow_projection_duplicates_total", &labels),
            throttled: metrics::counter!("orderflow_projection_throttled_total", &labels),
            batch_size: metrics::histogram!("orderflow_projection_batch_size", &labels),
            apply_seconds: metrics::histogram!("orderflow_projection_apply_duration_seconds", &labels),
            critical_time: metrics::histogram!("orderflow_critical_time_seconds", "context" => context.name()),
        }
    }

    /// Rare enough to be looked up.
    pub(super) fn redrive(&self, outcome: Outcome) {
        let (context, outcome) = (self.context.name(), outcome.name());
        metrics::counter!("orderflow_redrives_total", "context" => context, "outcome" => outcome).increment(1);
    }

    /// Events that were decided at these times can be read from now on.
    pub(super) fn visible(&self, decided: &[DateTime<Utc>]) {
        let now = Utc::now();
        for at in decided {
            // The command service's clock may be ahead of ours.
            self.critical_time.record((now - *at).to_std().unwrap_or_default());
        }
    }

    pub(super) fn chunk(&self, records: usize, applied: u64, duplicates: u64, took: Duration) {
        self.events.increment(applied);
        self.duplicates.increment(duplicates);
        self.batch_size.record(u32::try_from(records).map_or(f64::INFINITY, f64::from));
        self.apply_seconds.record(took);
    }
}
