//! How the partitions of this process are doing, for readiness and metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use chrono::Utc;
use events::Context;

use super::audit::Suspects;

/// Partitions named in a readiness report; there may be hundreds.
const NAMED: usize = 5;

/// All partitions that are assigned to this process. Cloning shares them.
#[derive(Clone, Default)]
pub struct Partitions(Arc<Mutex<Statuses>>);

type Statuses = BTreeMap<(Context, u32), Arc<PartitionStatus>>;

/// One partition.
pub struct PartitionStatus {
    context: Context,
    partition: String,
    offset: AtomicI64,
    recorded_at: AtomicI64,
    at_end: AtomicBool,
    lag: AtomicI64,
    trouble: Mutex<Option<String>>,
    misfit: Mutex<Option<(u32, String)>>,
    /// Whether metrics tell of it.
    is_told: bool,
    suspects: Suspects,
}

impl Partitions {
    /// Adds a partition that was assigned, or returns it as it is.
    pub fn add(&self, context: Context, partition: u32) -> Arc<PartitionStatus> {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(PartitionStatus::new(context, partition, true));
        Arc::clone(partitions.entry((context, partition)).or_insert_with(new))
    }

    /// Events that the partition furthest behind has to catch up with. One that stands still does not count: it catches up
    /// with nothing.
    pub fn lag(&self) -> i64 {
        let partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moving = partitions.values().filter(|status| status.trouble().is_none());
        moving.map(|status| status.lag.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// Why a generation can't be fed from Kafka any more, if some partition says so.
    pub fn misfit(&self, context: Context, generation: u32) -> Option<String> {
        let partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_context = partitions.iter().filter(|((of, _), _)| *of == context);
        of_context.into_iter().find_map(|(_, status)| {
            let misfit = status.misfit.lock().unwrap_or_else(PoisonError::into_inner);
            misfit.as_ref().filter(|(of, _)| *of == generation).map(|(_, cause)| cause.clone())
        })
    }

    /// Forgets a partition that was revoked; its gauges go to zero, because another process reports it now.
    pub fn remove(&self, context: Context, partition: u32) {
        let mut partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = partitions.remove(&(context, partition)) {
            status.report_lag(0, 0.0);
            status.report_trouble(false);
            status.set_parked(0);
        }
    }

    /// One of them.
    pub fn get(&self, context: Context, partition: u32) -> Option<Arc<PartitionStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(context, partition)).cloned()
    }

    /// For readiness: an error that names the partitions that stand still, and why.
    pub fn check(&self) -> Result<(), String> {
        let partitions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let troubled: Vec<String> = partitions
            .iter()
            .filter_map(|((context, partition), status)| Some(format!("{context}/{partition}: {}", status.trouble()?)))
            .collect();
        if troubled.is_empty() {
            return Ok(());
        }
        Err(format!("{} partitions stand still: {}", troubled.len(), troubled[..troubled.len().min(NAMED)].join("; ")))
    }
}

impl PartitionStatus {
    fn new(context: Context, partition: u32, is_told: bool) -> Self {
        Self {
            context,
            partition: partition.to_string(),
            offset: AtomicI64::new(0),
            recorded_at: AtomicI64::new(0),
            at_end: AtomicBool::new(false),
            lag: AtomicI64::new(0),
            trouble: Mutex::default(),
            misfit: Mutex::default(),
            is_told,
            suspects: Suspects::default(),
        }
    }

    /// Of a worker beside the one whose lag and trouble metrics and readiness tell of.
    #[must_use]
    pub fn aside(context: Context, partition: u32) -> Arc<Self> {
        Arc::new(Self::new(context, partition, false))
    }

    /// Says that a generation can't be fed from Kafka any more, and why; or with none that it can.
    pub fn set_misfit(&self, misfit: Option<(u32, String)>) {
        *self.misfit.lock().unwrap_or_else(PoisonError::into_inner) = misfit;
    }

    /// The worker has written up to `offset`; the last event was recorded at this time (milliseconds).
    pub fn moved(&self, offset: i64, recorded_at: i64) {
        self.offset.store(offset, Ordering::Relaxed);
        self.recorded_at.store(recorded_at, Ordering::Relaxed);
    }

    /// Whether everything that the topic had has been handled.
    pub fn set_at_end(&self, at_end: bool) {
        self.at_end.store(at_end, Ordering::Relaxed);
    }

    /// Whether everything that the topic had has been handled, and nothing is in the way of more.
    pub fn is_settled(&self) -> bool {
        self.at_end.load(Ordering::Relaxed) && self.trouble().is_none()
    }

    /// The streams that its worker shall look at.
    pub fn suspects(&self) -> &Suspects {
        &self.suspects
    }

    /// Reports how many streams are parked and not discarded.
    pub fn set_parked(&self, streams: usize) {
        if !self.is_told {
            return;
        }
        let streams = u32::try_from(streams).map_or(f64::INFINITY, f64::from);
        metrics::gauge!("orderflow_parked_streams", &self.labels()).set(streams);
    }

    /// Says why the partition stands still, or with none that it moves.
    pub fn set_trouble(&self, trouble: Option<String>) {
        self.report_trouble(trouble.is_some());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why it stands still.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports the lag behind the end of the log. Transaction markers take offsets too, so a partition whose end was
    /// reached has no lag whatever the difference says.
    pub fn observe_end(&self, end: i64) {
        let behind = (end - self.offset.load(Ordering::Relaxed)).max(0);
        if self.at_end.load(Ordering::Relaxed) || behind == 0 {
            return self.report_lag(0, 0.0);
        }
        let recorded_at = self.recorded_at.load(Ordering::Relaxed);
        let millis = if recorded_at == 0 { 0 } else { (Utc::now().timestamp_millis() - recorded_at).max(0) };
        self.report_lag(behind, std::time::Duration::from_millis(millis.cast_unsigned()).as_secs_f64());
    }

    fn report_lag(&self, events: i64, seconds: f64) {
        self.lag.store(events, Ordering::Relaxed);
        if !self.is_told {
            return;
        }
        let labels = self.labels();
        // Exact up to 2^53.
        let events = u32::try_from(events).map_or(f64::from(u32::MAX), f64::from);
        metrics::gauge!("orderflow_projection_lag_records", &labels).set(events);
        metrics::gauge!("orderflow_projection_lag_seconds", &labels).set(seconds);
    }

    fn report_trouble(&self, stands: bool) {
        if !self.is_told {
            return;
        }
        metrics::gauge!("orderflow_projection_standing", &self.labels()).set(if stands { 1.0 } else { 0.0 });
    }

    fn labels(&self) -> [(&'static str, String); 2] {
        [("context", self.context.name().to_owned()), ("partition", self.partition.clone())]
    }
}
