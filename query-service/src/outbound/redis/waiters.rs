//! Requests that wait for a view to change, and streams that follow one.
//!
//! They are woken by the invalidations of client-side caching: whoever waits has read the view on the tracked
//! connection, so Redis announces the very write that it waits for, and no other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use events::{Context, StreamId};
use tokio::sync::Notify;

/// A view in whichever generation is read: who waits for it waits on when the generation is switched.
pub(super) type Awaited = (Context, StreamId);

/// All that wait, by view.
pub(super) struct Waiters {
    limit: usize,
    /// Places that count against the limit.
    waiting: AtomicUsize,
    /// All places.
    places: AtomicUsize,
    by_view: Mutex<HashMap<Awaited, Entry>>,
}

#[derive(Default)]
struct Entry {
    notify: Arc<Notify>,
    count: usize,
}

/// One that waits; it leaves when dropped.
pub(super) struct Place {
    waiters: Arc<Waiters>,
    key: Awaited,
    notify: Arc<Notify>,
    counted: bool,
}

impl Waiters {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, waiting: AtomicUsize::new(0), places: AtomicUsize::new(0), by_view: Mutex::default() }
    }

    /// Takes a place for a request; none when too many wait.
    pub(super) fn join(self: &Arc<Self>, key: Awaited) -> Option<Place> {
        let below = |waiting| (waiting < self.limit).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        let mut place = self.follow(key);
        place.counted = true;
        Some(place)
    }

    /// Takes a place for a stream; streams are limited where they begin.
    pub(super) fn follow(self: &Arc<Self>, key: Awaited) -> Place {
        self.places.fetch_add(1, Ordering::AcqRel);
        let mut by_view = self.by_view.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = by_view.entry(key).or_default();
        entry.count += 1;
        Place { waiters: Arc::clone(self), key, notify: Arc::clone(&entry.notify), counted: false }
    }

    /// Wakes those that wait for this view.
    pub(super) fn wake(&self, key: &Awaited) {
        if self.anybody()
            && let Some(entry) = self.by_view.lock().unwrap_or_else(PoisonError::into_inner).get(key)
        {
            entry.notify.notify_waiters();
        }
    }

    /// Wakes everyone, to look again.
    pub(super) fn wake_all(&self) {
        if self.anybody() {
            for entry in self.by_view.lock().unwrap_or_else(PoisonError::into_inner).values() {
                entry.notify.notify_waiters();
            }
        }
    }

    /// How many requests wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn anybody(&self) -> bool {
        self.places.load(Ordering::Acquire) > 0
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
        self.waiters.places.fetch_sub(1, Ordering::AcqRel);
        if self.counted {
            self.waiters.waiting.fetch_sub(1, Ordering::AcqRel);
        }
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
    use uuid::Uuid;

    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiters = Arc::new(Waiters::new(2));
        let key = (Context::Orders, Uuid::nil());
        let first = waiters.join(key).unwrap();
        let second = waiters.join(key).unwrap();
        assert!(waiters.join(key).is_none());
        let stream = waiters.follow(key);
        drop(first);
        assert!(waiters.join(key).is_some());
        drop((second, stream));
        assert_eq!(waiters.count(), 0);
        assert!(!waiters.anybody());
        assert!(waiters.by_view.lock().unwrap().is_empty());
    }
}
