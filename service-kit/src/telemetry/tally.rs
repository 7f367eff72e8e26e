//! What was exported and what was lost of one signal, counted; and complaining of that, but not often.

use std::{
    fmt::Display,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::Counter;

/// What may wait to be exported, of each signal; more is lost. A second's worth at 4,000 spans.
pub(super) const QUEUE: usize = 4_096;

/// A collector that is away is complained of once in this time.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Counts one signal (`traces`, `logs`).
#[derive(Debug)]
pub(super) struct Tally {
    signal: &'static str,
    waiting: AtomicUsize,
    meters: Meters,
    trouble: Mutex<Trouble>,
    /// What the collector has refused of the request that it answered last, and its words.
    refused: Mutex<(usize, String)>,
}

struct Meters {
    exported: Counter,
    queue_full: Counter,
    not_taken: Counter,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

#[derive(Debug, Default)]
struct Trouble {
    complained: Option<Instant>,
    /// Since the collector last took something.
    lost: u64,
}

impl Tally {
    pub(super) fn new(signal: &'static str) -> Self {
        let dropped = |cause| metrics::counter!("orderflow_telemetry_dropped_total", "signal" => signal, "cause" => cause);
        let meters = Meters {
            exported: metrics::counter!("orderflow_telemetry_exported_total", "signal" => signal),
            queue_full: dropped("queue-full"),
            not_taken: dropped("not-taken"),
        };
        Self { signal, waiting: AtomicUsize::new(0), meters, trouble: Mutex::default(), refused: Mutex::default() }
    }

    /// Whether there is room for one more. It takes the room; [`Tally::exported`] gives it back.
    pub(super) fn admit(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE {
            return true;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.meters.queue_full.increment(1);
        false
    }

    /// The collector has taken a request but for so many; [`Tally::exported`] counts them. In no case more than were sent.
    pub(super) fn refused(&self, count: i64, why: String) {
        let count = usize::try_from(count).unwrap_or_default();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = (count, why);
    }

    /// What became of as many that were admitted.
    pub(super) fn exported(&self, count: usize, failure: Option<&dyn Display>) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let (refused, why) = std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        let refused = refused.min(count);
        match failure {
            Some(error) => self.lost(count, error, "the collector takes no telemetry: it is lost"),
            None if refused == 0 => self.taken(count),
            None => {
                self.meters.exported.increment(to_u64(count - refused));
                self.lost(refused, &why, "the collector refuses some telemetry: it is lost");
            }
        }
    }

    fn taken(&self, count: usize) {
        self.meters.exported.increment(to_u64(count));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.lost > 0 {
            tracing::info!(signal = self.signal, lost = trouble.lost, "the collector takes telemetry again");
            *trouble = Trouble::default();
        }
    }

    fn lost(&self, count: usize, error: &dyn Display, complaint: &'static str) {
        self.meters.not_taken.increment(to_u64(count));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.lost += to_u64(count);
        if trouble.complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            trouble.complained = Some(Instant::now());
            tracing::warn!(signal = self.signal, lost = trouble.lost, %error, "{complaint}");
        }
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_until_there_is_room() {
        let tally = Tally::new("test");
        assert!((0..QUEUE).all(|_| tally.admit()));
        assert!(!tally.admit());
        tally.exported(2, Some(&"no answer"));
        assert!(tally.admit() && tally.admit() && !tally.admit());
        assert_eq!(tally.trouble.lock().unwrap().lost, 2);
        // It is complained of once in a while.
        let complained = tally.trouble.lock().unwrap().complained;
        tally.exported(2, Some(&"no answer"));
        assert!(complained.is_some() && tally.trouble.lock().unwrap().complained == complained);
        tally.exported(3, None);
        assert_eq!(tally.trouble.lock().unwrap().lost, 0);
    }

    #[test]
    fn what_the_collector_refuses_of_a_request_is_lost() {
        let tally = Tally::new("test");
        assert!((0..20).all(|_| tally.admit()));
        tally.refused(3, "no span has an id of zeroes".to_owned());
        tally.exported(10, None);
        assert_eq!(tally.trouble.lock().unwrap().lost, 3);
        // Of the next request nothing was refused.
        tally.exported(5, None);
        assert_eq!(tally.trouble.lock().unwrap().lost, 0);
        tally.refused(7, String::new());
        tally.exported(5, None);
        assert_eq!(tally.trouble.lock().unwrap().lost, 5);
    }
}
