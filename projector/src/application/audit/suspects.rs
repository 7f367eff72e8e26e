//! What the auditor hands to a partition's worker.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use events::StreamId;
use tokio::sync::Notify;

/// Suspects that may wait; the auditor meets again what it had to drop.
const WAITING: usize = 64;

/// A stream to look at when nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The stream.
    pub stream: StreamId,
    /// The number of the generation whose view it is.
    pub generation: u32,
    /// The version at which its view has stood for too long, if that is the suspicion.
    pub behind_at: Option<u64>,
}

/// The suspects of one partition.
#[derive(Debug, Default)]
pub struct Suspects {
    waiting: Mutex<VecDeque<Suspect>>,
    came: Notify,
}

impl Suspects {
    /// Adds one, unless it waits already or too many do.
    pub fn offer(&self, suspect: Suspect) {
        let mut waiting = self.lock();
        if waiting.len() < WAITING && !waiting.iter().any(|known| known.stream == suspect.stream) {
            waiting.push_back(suspect);
            self.came.notify_one();
        }
    }

    /// The next one.
    pub fn take(&self) -> Option<Suspect> {
        self.lock().pop_front()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns when there may be one.
    pub async fn came(&self) {
        self.came.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Suspect>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
