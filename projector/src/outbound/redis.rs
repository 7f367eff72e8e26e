//! The read models in Redis: what a slot holds, and the one transaction that changes it.

pub mod generations;
pub mod letters;
mod look;
pub mod parts;
mod transaction;
mod writer;

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use events::{Context, StreamId};
use read_model::{
    Filling, Generation, Slot, StoredView,
    keys::{self, Parked},
};
use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use serde::de::DeserializeOwned;

pub use look::Sight;
pub use writer::{Applied, SlotWriter, Step};

use crate::{application::starts::Starts, projections::Counter};

/// Connections: one is busy encoding while the other's replies are read.
const CONNECTIONS: usize = 2;
/// Longer than any chunk takes; a Redis that answers later than this is treated as down.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection attempt that takes longer has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why Redis did not do what was asked. All of it is worth another attempt.
#[derive(Debug, thiserror::Error)]
pub enum RedisStoreError {
    /// Redis, or the way to it.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// What lies there was not written by us, or by another version of us.
    #[error("{key}: {problem}")]
    Malformed {
        /// Where.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The checkpoint of a slot and what fences it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Rises with each chunk.
    pub rev: u64,
    /// The next offset to read.
    pub offset: i64,
    /// The Kafka cluster that the offset belongs to.
    pub cluster: String,
    /// Events applied in all.
    pub events: u64,
    /// Milliseconds: recording time of the last event.
    pub at: i64,
    /// Whether the slot has everything.
    pub goal: Goal,
    /// How far it is filled from the event store; none when it is not filled that way (any more).
    pub filling: Option<Filling>,
}

/// Whether a slot has everything that the log had when it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// An earlier version of this program wrote it, and did not say.
    Unsaid,
    /// It will, at this offset.
    At(i64),
    /// It does.
    Reached,
}

/// What a worker needs to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotState {
    /// None: the slot is empty.
    pub checkpoint: Option<Checkpoint>,
    /// The parked streams.
    pub parked: Vec<(StreamId, Parked)>,
    /// What the last process announced that began here; none when it ended well.
    pub starts: Option<Starts>,
}

/// Fields of the state, parked streams, and what was announced.
type SlotReply = (Vec<Option<String>>, HashMap<String, Vec<u8>>, Option<Vec<u8>>);

/// The read models of one prefix.
pub struct RedisStore {
    client: Client,
    connections: Vec<ConnectionManager>,
    next: AtomicUsize,
    prefix: String,
    log_changes: NonZeroUsize,
}

impl RedisStore {
    /// Connects when first used. `log_changes`: about how many changes a slot's change log keeps.
    pub fn new(url: &str, prefix: &str, log_changes: NonZeroUsize) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            // The worker retries, and says so; two layers of retries would only hide it.
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let client = Client::open(url)?;
        let connections = (0..CONNECTIONS)
            .map(|_| ConnectionManager::new_lazy_with_config(client.clone(), config.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Self { client, connections, next: AtomicUsize::new(0), prefix: prefix.to_owned(), log_changes })
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), RedisStoreError> {
        Ok(redis::cmd("PING").query_async(&mut self.connection()).await?)
    }

    /// The generation of a context that is fed, made if there is none.
    pub async fn generation(&self, context: Context, first: Generation) -> Result<Generation, RedisStoreError> {
        let key = keys::generations(&self.prefix);
        let malformed = malformed(key.clone());
        let json = serde_json::to_string(&first).map_err(&malformed)?;
        let mut pipe = redis::pipe();
        pipe.cmd("HSETNX").arg(&key).arg(context.name()).arg(json).ignore();
        pipe.cmd("HGET").arg(&key).arg(context.name());
        let (stored,): (Vec<u8>,) = pipe.query_async(&mut self.connection()).await?;
        serde_json::from_slice(&stored).map_err(malformed)
    }

    /// Checkpoint and parked streams of a slot.
    pub async fn slot_state(&self, slot: &Slot) -> Result<SlotState, RedisStoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("HMGET").arg(slot.state()).arg(&["rev", "offset", "cluster", "events", "at", "goal", "filling"]);
        pipe.cmd("HGETALL").arg(slot.parked());
        pipe.cmd("GET").arg(slot.starts());
        let (fields, parked, starts): SlotReply = pipe.query_async(&mut self.connection()).await?;
        let checkpoint = match fields.as_slice() {
            [None, ..] => None,
            [Some(rev), Some(offset), Some(cluster), Some(events), Some(at), goal, filling] => {
                let wrong = |_| RedisStoreError::Malformed { key: slot.state(), problem: "a field is no number".into() };
                Some(Checkpoint {
                    rev: rev.parse().map_err(wrong)?,
                    offset: offset.parse().map_err(wrong)?,
                    cluster: cluster.clone(),
                    events: events.parse().map_err(wrong)?,
                    at: at.parse().map_err(wrong)?,
                    goal: match goal.as_deref() {
                        None => Goal::Unsaid,
                        Some("") => Goal::Reached,
                        Some(goal) => Goal::At(goal.parse().map_err(wrong)?),
                    },
                    filling: filling.as_deref().map(|json| filling_of(slot, json)).transpose()?,
                })
            }
            _ => return Err(RedisStoreError::Malformed { key: slot.state(), problem: "a field is missing".into() }),
        };
        let parked = parked.into_iter().map(|(stream, json)| parked_stream(slot, &stream, &json)).collect::<Result<_, _>>()?;
        // What can't be read is another version's, and only a hint.
        let starts = starts.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(SlotState { checkpoint, parked, starts })
    }

    /// Announces that a process begins at the slot's checkpoint.
    pub async fn put_starts(&self, slot: &Slot, starts: &Starts) -> Result<(), RedisStoreError> {
        let json = serde_json::to_vec(starts).map_err(malformed(slot.starts()))?;
        Ok(redis::cmd("SET").arg(slot.starts()).arg(json).query_async(&mut self.connection()).await?)
    }

    /// Takes the announcement back.
    pub async fn drop_starts(&self, slot: &Slot) -> Result<(), RedisStoreError> {
        Ok(redis::cmd("DEL").arg(slot.starts()).query_async(&mut self.connection()).await?)
    }

    /// The views of some streams, in their order.
    pub async fn views<V: DeserializeOwned>(&self, slot: &Slot, streams: &[StreamId]) -> Result<Vec<Option<V>>, RedisStoreError> {
        let mut get = redis::cmd("MGET");
        for stream in streams {
            get.arg(slot.view(*stream));
        }
        let stored: Vec<Option<Vec<u8>>> = get.query_async(&mut self.connection()).await?;
        let view = |(stream, bytes): (&StreamId, Option<Vec<u8>>)| {
            let Some(bytes) = bytes else { return Ok(None) };
            let malformed = |problem: String| RedisStoreError::Malformed { key: slot.view(*stream), problem };
            let stored = StoredView::decode(&bytes).map_err(|error| malformed(error.to_string()))?;
            serde_json::from_slice(stored.json).map(Some).map_err(|error| malformed(error.to_string()))
        };
        streams.iter().zip(stored).map(view).collect()
    }

    /// Some of the streams whose unique values are still to be claimed; none: there are no more.
    pub async fn claims(&self, slot: &Slot, limit: usize) -> Result<Vec<StreamId>, RedisStoreError> {
        let mut range = redis::cmd("ZRANGE");
        range.arg(slot.claims()).arg(0).arg(limit.saturating_sub(1));
        let streams: Vec<String> = range.query_async(&mut self.connection()).await?;
        let wrong =
            |stream: String| RedisStoreError::Malformed { key: slot.claims(), problem: format!("`{stream}` is no stream id") };
        streams.into_iter().map(|stream| stream.parse().map_err(|_| wrong(stream))).collect()
    }

    /// The values of some counters, in their order.
    pub async fn counters(&self, slot: &Slot, counters: &[Counter]) -> Result<Vec<i64>, RedisStoreError> {
        let mut pipe = redis::pipe();
        for counter in counters {
            match counter {
                Counter::Day(_) | Counter::ProductRevenue(..) => pipe.cmd("HGET"),
                Counter::ProductUnits(_) => pipe.cmd("ZSCORE"),
            };
            pipe.arg(slot.counters(transaction::place(counter))).arg(transaction::field(counter));
        }
        let values: Vec<Option<i64>> = pipe.query_async(&mut self.connection()).await?;
        Ok(values.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Who writes a slot.
    pub fn writer(&self, slot: Slot) -> SlotWriter {
        SlotWriter::new(self.client.clone(), slot, self.log_changes)
    }

    fn connection(&self) -> ConnectionManager {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        self.connections[turn].clone()
    }
}

fn filling_of(slot: &Slot, json: &str) -> Result<Filling, RedisStoreError> {
    let filling: Filling = serde_json::from_str(json).map_err(malformed(slot.state()))?;
    // As many lanes as heads, whatever lies there.
    Ok(filling.extended(filling.offset, filling.heads.clone()))
}

fn parked_stream(slot: &Slot, stream: &str, json: &[u8]) -> Result<(StreamId, Parked), RedisStoreError> {
    let wrong = |_| RedisStoreError::Malformed { key: slot.parked(), problem: format!("`{stream}` is no stream id") };
    let stream = stream.parse().map_err(wrong)?;
    Ok((stream, serde_json::from_slice(json).map_err(malformed(slot.parked()))?))
}

/// The error for JSON under a key that can't be read, or written.
fn malformed(key: String) -> impl Fn(serde_json::Error) -> RedisStoreError {
    move |problem| RedisStoreError::Malformed { key: key.clone(), problem: problem.to_string() }
}
