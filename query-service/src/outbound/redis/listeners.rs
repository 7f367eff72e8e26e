//! Who hears of what Redis announces. Unlike a session, they last as long as the process.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{view_key::LogKey, waiters::Waiters};

/// Those that wait for views, and the one reader of the change logs.
pub(super) struct Listeners {
    pub(super) waiters: Arc<Waiters>,
    pub(super) logs: LogBell,
    emptied: AtomicU64,
}

impl Listeners {
    pub(super) fn new(max_waiting: usize) -> Self {
        Self { waiters: Arc::new(Waiters::new(max_waiting)), logs: LogBell::default(), emptied: AtomicU64::new(0) }
    }

    /// Wakes everyone, to look again at everything.
    pub(super) fn wake_all(&self) {
        self.waiters.wake_all();
        self.logs.ring_all();
    }

    /// Redis was flushed under us.
    pub(super) fn emptied(&self) {
        self.emptied.fetch_add(1, Ordering::AcqRel);
    }

    /// How many times Redis was seen to be flushed.
    pub(super) fn times_emptied(&self) -> u64 {
        self.emptied.load(Ordering::Acquire)
    }
}

/// Which change logs may have grown since they were read last.
#[derive(Default)]
pub(super) struct LogBell {
    grown: Mutex<Grown>,
    notify: Notify,
}

/// Change logs that may have grown.
#[derive(Debug, Default)]
pub struct Grown {
    all: bool,
    logs: HashSet<LogKey>,
}

impl Grown {
    /// All that there are.
    #[must_use]
    pub fn all() -> Self {
        Self { all: true, logs: HashSet::new() }
    }

    pub(super) fn has(&self, log: LogKey) -> bool {
        self.all || self.logs.contains(&log)
    }
}

impl LogBell {
    pub(super) fn ring(&self, log: LogKey) {
        self.grown.lock().unwrap_or_else(PoisonError::into_inner).logs.insert(log);
        self.notify.notify_one();
    }

    pub(super) fn ring_all(&self) {
        self.grown.lock().unwrap_or_else(PoisonError::into_inner).all = true;
        self.notify.notify_one();
    }

    /// Resolves when it rang since the last time; for one listener.
    pub(super) async fn rang(&self) {
        self.notify.notified().await;
    }

    /// To be taken before the logs are read: what grows meanwhile rings again.
    pub(super) fn take(&self) -> Grown {
        std::mem::take(&mut self.grown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
