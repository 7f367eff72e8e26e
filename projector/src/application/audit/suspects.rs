//! What the auditor hands to a partition's worker.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use events::StreamId;
use tokio::sync::Notify;

use super::orphans::Orphan;

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
    /// With the number of the generation that has it.
    orphans: Mutex<VecDeque<(u32, Orphan)>>,
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

    /// Adds what may be an orphan in a generation, unless it waits already or too many do.
    pub fn offer_orphan(&self, generation: u32, orphan: Orphan) {
        let mut orphans = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        if orphans.len() < WAITING && !orphans.iter().any(|(_, known)| *known == orphan) {
            orphans.push_back((generation, orphan));
            self.came.notify_one();
        }
    }

    /// The next orphan of this generation; what is another's is dropped.
    pub fn take_orphan(&self, generation: u32) -> Option<Orphan> {
        let mut orphans = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        orphans.retain(|(of, _)| *of == generation);
        orphans.pop_front().map(|(_, orphan)| orphan)
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
