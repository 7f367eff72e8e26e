//! Redis keys.

use events::{Context, StreamId, partition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The hash that says which generation of each context's read models is read: field = context, value = JSON of
/// [`Generation`].
#[must_use]
pub fn generations(prefix: &str) -> String {
    format!("{prefix}:generations")
}

/// One complete set of read-model keys of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Its number, from 1; a rebuild makes the next.
    pub number: u32,
    /// The partition count of the topic that it was built from; a new count is a new generation.
    pub partitions: u32,
    /// The version of the projection that built it.
    pub projection: u32,
}

impl Generation {
    /// The slot that holds a stream's view.
    #[must_use]
    pub fn slot_of(&self, prefix: &str, context: Context, stream: StreamId) -> Slot {
        let mut buffer = Uuid::encode_buffer();
        let key = stream.hyphenated().encode_lower(&mut buffer);
        Slot::new(prefix, *self, context, partition::partition_of(key.as_bytes(), self.partitions))
    }

    /// Every slot of the generation, by partition.
    pub fn slots(self, prefix: &str, context: Context) -> impl Iterator<Item = Slot> {
        (0..self.partitions).map(move |partition| Slot::new(prefix, self, context, partition))
    }
}

/// Where the state of one (generation, topic, partition) lies. Its keys share a hash tag and so a Redis Cluster slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    base: String,
}

impl Slot {
    /// The slot of a partition.
    #[must_use]
    pub fn new(prefix: &str, generation: Generation, context: Context, partition: u32) -> Self {
        Self { base: format!("{prefix}:{{g{}:{context}:{partition}}}", generation.number) }
    }

    /// The hash with the checkpoint and what fences it: fields `rev` (revision), `offset` (the next offset to read),
    /// `cluster` (the Kafka cluster's id), `events` (events applied), `at` (milliseconds: recording time of the last).
    #[must_use]
    pub fn state(&self) -> String {
        format!("{}:state", self.base)
    }

    /// The string with a view: see [`crate::StoredView`].
    #[must_use]
    pub fn view(&self, stream: StreamId) -> String {
        format!("{}:view:{}", self.base, stream.simple())
    }

    /// A sorted set, all scores 0, ordered by member: see [`crate::index`].
    #[must_use]
    pub fn index(&self, name: &str) -> String {
        format!("{}:ix:{name}", self.base)
    }

    /// A hash from a unique value to the stream that owns it (`users`: canonical e-mail address → user id, simple form).
    #[must_use]
    pub fn owners(&self, name: &str) -> String {
        format!("{}:own:{name}", self.base)
    }

    /// A hash or sorted set of counters: see [`crate::stats`].
    #[must_use]
    pub fn counters(&self, name: &str) -> String {
        format!("{}:stat:{name}", self.base)
    }

    /// The hash of parked streams: stream id (simple form) → JSON of [`Parked`].
    #[must_use]
    pub fn parked(&self) -> String {
        format!("{}:parked", self.base)
    }

    /// The capped change log: a Redis stream, one entry a chunk, with the field `changes`: JSON of `Vec<`[`Change`]`>`.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}:log", self.base)
    }
}

/// One change in a slot's change log, an event that was applied: stream id, version, type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change(pub StreamId, pub u64, pub String);

/// Why a stream is parked: its view stands still at the version before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The version of the first event that could not be handled.
    pub version: u64,
    /// What went wrong with it.
    pub cause: String,
    /// When it was parked, in milliseconds since 1970.
    pub since: i64,
    /// The version of the last event of the stream that was sent to the dead letters: what comes again is not sent again.
    pub until: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION: Generation = Generation { number: 3, partitions: 12, projection: 1 };

    #[test]
    fn all_keys_of_a_slot_share_a_hash_tag() {
        let slot = Slot::new("t", GENERATION, Context::Orders, 7);
        for key in [slot.state(), slot.view(Uuid::nil()), slot.index("recent"), slot.owners("email"), slot.parked(), slot.log()] {
            assert!(key.starts_with("t:{g3:orders:7}:"), "{key}");
        }
    }

    #[test]
    fn a_stream_has_one_slot() {
        let stream = Uuid::from_u128(7);
        let slot = GENERATION.slot_of("t", Context::Orders, stream);
        let partition = partition::partition_of(stream.to_string().as_bytes(), 12);
        assert_eq!(slot, Slot::new("t", GENERATION, Context::Orders, partition));
    }
}
