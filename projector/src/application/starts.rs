//! Crash loops: how often a process began at a checkpoint and died before it moved, and with which record in hand.
//!
//! The first chunk of a session is announced in the slot. Whoever finds the announcement at an unmoved checkpoint knows that
//! a process died there, and handles as many records as a chunk has one by one, each announced by itself. A record that
//! was in hand alone when two more processes died goes to the dead letters.

use std::sync::Arc;

use read_model::Slot;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use crate::outbound::redis::RedisStore;

/// Processes that died with a record alone in their hands, after one had died with it in a chunk: enough.
const DEATHS_ALONE: u32 = 2;

/// What is announced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// The checkpoint: once it moved, none of this means anything.
    pub offset: i64,
    /// How often a process began there.
    pub starts: u32,
    /// The offset of the record that is handled alone.
    #[serde(default)]
    pub record: Option<i64>,
    /// How often that was begun.
    #[serde(default)]
    pub tries: u32,
}

/// How a record has to be handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handling {
    /// As any other.
    #[default]
    Usual,
    /// It ended so many processes: it is parked without being decoded or folded.
    Park(u32),
    /// Even parking it ended a process: it is set aside without being read.
    SetAside(u32),
}

impl Starts {
    /// How to handle the record at this offset.
    #[must_use]
    pub fn handling(&self, record: i64) -> Handling {
        let tries = if self.record == Some(record) { self.tries } else { 0 };
        // One more died with it in a chunk.
        match tries {
            ..DEATHS_ALONE => Handling::Usual,
            DEATHS_ALONE => Handling::Park(tries + 1),
            _ => Handling::SetAside(tries + 1),
        }
    }

    /// The announcement of a record that is handled alone at this checkpoint.
    #[must_use]
    pub fn alone(&self, offset: i64, record: i64) -> Self {
        let tries = if self.record == Some(record) { self.tries } else { 0 };
        Self { offset, starts: self.starts, record: Some(record), tries: tries.saturating_add(1) }
    }
}

/// The one record of this process that is handled alone. While it is in hand no other is, so that a death has one cause.
pub struct InHand {
    store: Arc<RedisStore>,
    slot: Slot,
    before: Starts,
    _alone: OwnedMutexGuard<()>,
}

impl InHand {
    /// Takes a record in hand; `before` is what was announced before.
    pub fn new(store: Arc<RedisStore>, slot: Slot, before: Starts, alone: OwnedMutexGuard<()>) -> Self {
        Self { store, slot, before, _alone: alone }
    }

    /// Lays it down unfinished, because it has to wait for something: whoever kills the process meanwhile, the record
    /// does not.
    pub async fn lay_down(self) {
        if let Err(error) = self.store.put_starts(&self.slot, &self.before).await {
            tracing::debug!(%error, "the announcement of a record could not be taken back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_death_at_a_record_is_the_last() {
        let mut starts = Starts { offset: 5, starts: 1, ..Starts::default() };
        for expected in [Handling::Usual, Handling::Usual, Handling::Park(3), Handling::SetAside(4), Handling::SetAside(5)] {
            assert_eq!(starts.handling(7), expected);
            assert_eq!(starts.handling(8), Handling::Usual);
            starts = starts.alone(6, 7);
        }
        assert_eq!(starts.alone(8, 8), Starts { offset: 8, starts: 1, record: Some(8), tries: 1 });
    }

    #[test]
    fn what_is_announced_survives_its_json() {
        let json = serde_json::to_string(&Starts { offset: 5, starts: 1, record: Some(7), tries: 2 }).unwrap();
        assert_eq!(serde_json::from_str::<Starts>(&json).unwrap().tries, 2);
    }
}
