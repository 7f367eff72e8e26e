//! Aggregates as they are: snapshot and tail, folded.

use std::collections::HashMap;

use events::{DecodeError, DomainEvent, StreamId};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::{
    domain::Aggregate,
    outbound::postgres::{
        PostgresError,
        append::to_i64,
        read::{self, Snapshot, StoredEvent},
    },
};

/// An aggregate and the version of its last event; version 0 is the state before the first.
#[derive(Debug, Clone, Default)]
pub struct Versioned<A> {
    /// The state.
    pub state: A,
    /// The version.
    pub version: u64,
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A stored event can't be read.
    #[error("stream {stream}, version {version}: {source}")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// The event's version.
        version: u64,
        /// What is wrong.
        source: DecodeError,
    },
}

impl<A: Aggregate> Versioned<A> {
    /// The state after a stored event. An event that is in the state already changes nothing.
    pub fn apply(self, event: &StoredEvent) -> Result<Self, LoadError> {
        if event.version <= self.version {
            return Ok(self);
        }
        let decoded = A::Event::decode(&event.event_type, event.data.as_bytes()).map_err(|source| LoadError::Decode {
            stream: event.stream,
            version: event.version,
            source,
        })?;
        Ok(Self { state: self.state.evolve(&decoded), version: event.version })
    }

    /// The snapshot of this state.
    pub fn snapshot(&self, stream: StreamId) -> Result<Snapshot, serde_json::Error> {
        let state = serde_json::to_string(&self.state)?;
        Ok(Snapshot { stream, version: self.version, shape: shape::<A>(), state })
    }
}

/// The current state of each stream; streams without events are at version 0.
pub async fn load<A: Aggregate>(pool: &PgPool, streams: &[StreamId]) -> Result<HashMap<StreamId, Versioned<A>>, LoadError> {
    let mut states: HashMap<_, Versioned<A>> = streams.iter().map(|stream| (*stream, Versioned::default())).collect();
    for snapshot in read::snapshots(pool, streams).await? {
        // A snapshot of another shape is as good as none: the events are all there.
        if snapshot.shape != shape::<A>() {
            continue;
        }
        if let Ok(state) = serde_json::from_str(&snapshot.state) {
            states.insert(snapshot.stream, Versioned { state, version: snapshot.version });
        }
    }
    let (streams, after): (Vec<_>, Vec<_>) = states.iter().map(|(stream, found)| (*stream, to_i64(found.version))).unzip();
    for event in read::tails(pool, &streams, &after).await? {
        if let Some(state) = states.remove(&event.stream) {
            states.insert(event.stream, state.apply(&event)?);
        }
    }
    Ok(states)
}

/// A number that changes with the shape of an aggregate's state.
fn shape<A: Aggregate>() -> i64 {
    let digest = Sha256::digest(A::SHAPE.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}
