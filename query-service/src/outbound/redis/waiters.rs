//! Requests that wait for a view to change.
//!
//! They are woken by the invalidations of client-side caching: a waiting request has read its view on the tracked
//! connection, so Redis announces the very write that it waits for, and no other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::view_key::ViewKey;

/// All that wait, by view.
pub(super) struct Waiters {
    limit: usize,
    waiting: AtomicUsize,
    by_view: Mutex<HashMap<ViewKey, Entry>>,
}

#[derive(Default)]
struct Entry {
    notify: Arc<Notify>,
    count: usize,
}

/// One that waits; it leaves when dropped.
pub(super) struct Place {
    waiters: Arc<Waiters>,
    key: ViewKey,
    notify: Arc<Notify>,
}

impl Waiters {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, waiting: AtomicUsize::new(0), by_view: Mutex::default() }
    }

    /// Takes a place; none when too many wait.
    pub(super) fn join(self: &Arc<Self>, key: ViewKey) -> Option<Place> {
        let below = |waiting| (waiting < self.limit).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        let notify = {
            let mut by_view = self.by_view.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = by_view.entry(key).or_default();
            entry.count += 1;
            Arc::clone(&entry.notify)
        };
        Some(Place { waiters: Arc::clone(self), key, notify })
    }

    /// Wakes those that wait for this view.
    pub(super) fn wake(&self, key: &ViewKey) {
        if self.count() > 0
            && let Some(entry) = self.by_view.lock().unwrap_or_else(PoisonError::into_inner).get(key)
        {
            entry.notify.notify_waiters();
        }
    }

    /// Wakes everyone, to look again.
    pub(super) fn wake_all(&self) {
        if self.count() > 0 {
            for entry in self.by_view.lock().unwrap_or_else(PoisonError::into_inner).values() {
                entry.notify.notify_waiters();
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

impl Place {
    /// Resolves at the next wake-up after it was enabled.
    pub(super) fn notify(&self) -> &Notify {
        &self.notify
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiters.waiting.fetch_sub(1, Ordering::AcqRel);
        let mut by_view = self.waiters.by_view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = by_view.get_mut(&self.key) {
            entry.count -= 1;
            if entry.count == 0 {
                by_view.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use events::Context;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiters = Arc::new(Waiters::new(2));
        let key = ViewKey { context: Context::Orders, generation: 1, stream: Uuid::nil() };
        let first = waiters.join(key).unwrap();
        let second = waiters.join(key).unwrap();
        assert!(waiters.join(key).is_none());
        drop(first);
        assert!(waiters.join(key).is_some());
        drop(second);
        assert_eq!(waiters.count(), 0);
        assert!(waiters.by_view.lock().unwrap().is_empty());
    }
}
