//! How the partitions of this process are doing, for readiness and metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use events::Context;

/// Partitions named in a readiness report; there may be hundreds.
const NAMED: usize = 5;

/// How the partitions of this process are doing. Cloning shares it.
#[derive(Clone, Default)]
pub struct Status(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    has_joined: bool,
    partitions: BTreeMap<(Context, i32), Arc<PartitionStatus>>,
}

/// One partition.
pub(crate) struct PartitionStatus {
    labels: [(&'static str, String); 2],
    next: AtomicI64,
    at_end: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Status {
    /// For readiness: an error says that this process is in no group yet, or names the partitions that stand still, and why.
    pub fn check(&self) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.has_joined {
            return Err("not in the consumer group yet".to_owned());
        }
        let troubled: Vec<String> = known
            .partitions
            .iter()
            .filter_map(|((context, partition), status)| Some(format!("{context}/{partition}: {}", status.trouble()?)))
            .collect();
        if troubled.is_empty() {
            return Ok(());
        }
        Err(format!("{} partitions stand still: {}", troubled.len(), troubled[..troubled.len().min(NAMED)].join("; ")))
    }

    pub(crate) fn joined(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).has_joined = true;
    }

    pub(crate) fn add(&self, context: Context, partition: i32) -> Arc<PartitionStatus> {
        let status = Arc::new(PartitionStatus {
            labels: [("context", context.name().to_owned()), ("partition", partition.to_string())],
            next: AtomicI64::new(0),
            at_end: AtomicBool::new(false),
            trouble: Mutex::default(),
        });
        status.set_trouble(None);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.partitions.insert((context, partition), Arc::clone(&status));
        status
    }

    /// Forgets a partition that was taken away: another process tells of it now.
    pub(crate) fn remove(&self, context: Context, partition: i32) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = known.partitions.remove(&(context, partition)) {
            status.set_trouble(None);
            status.report_lag(0);
        }
    }

    pub(crate) fn get(&self, context: Context, partition: i32) -> Option<Arc<PartitionStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).partitions.get(&(context, partition)).cloned()
    }
}

impl PartitionStatus {
    /// Everything before `next` is handled, and that is all there is so far if it is the end.
    pub(crate) fn moved(&self, next: Option<i64>, at_end: Option<bool>) {
        if let Some(next) = next {
            self.next.store(next, Ordering::Relaxed);
        }
        if let Some(at_end) = at_end {
            self.at_end.store(at_end, Ordering::Relaxed);
        }
    }

    /// Says why the partition stands still, or with none that it moves.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        metrics::gauge!("orderflow_consumer_standing", &self.labels).set(if trouble.is_some() { 1.0 } else { 0.0 });
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports the lag behind the end of the log. Transaction markers take offsets too, so a partition whose end was reached
    /// has no lag whatever the difference says.
    pub(crate) fn observe_end(&self, end: i64) {
        let behind = if self.at_end.load(Ordering::Relaxed) { 0 } else { end - self.next.load(Ordering::Relaxed) };
        self.report_lag(behind);
    }

    fn report_lag(&self, records: i64) {
        let records = u32::try_from(records.max(0)).unwrap_or(u32::MAX);
        metrics::gauge!("orderflow_consumer_lag_records", &self.labels).set(f64::from(records));
    }
}
