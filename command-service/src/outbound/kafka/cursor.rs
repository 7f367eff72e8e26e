//! A relay group's cursor: how far each of its lanes is published, kept in Kafka with what it tells of.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use events::{Context, topics};
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};
use serde::{Deserialize, Serialize};
use tracing::info;
use uuid::Uuid;

use super::{KafkaSettings, REQUEST_TIMEOUT};
use crate::application::lane::Lane;

/// Records that are read from the end of the cursor's partition before all of it is read.
const TAIL: i64 = 500;

/// How long to wait between looks at a transaction that is being ended.
const SETTLE: Duration = Duration::from_millis(10);

/// How far a relay group has published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The store that the lanes are of.
    pub store_id: Uuid,
    /// The last published event of each lane; lanes without one are absent.
    pub lanes: BTreeMap<u16, Position>,
}

/// A published event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its seq.
    pub seq: u64,
    /// Its id, by which a store that was restored to an earlier point is told from the one that went on.
    pub id: Uuid,
}

/// How far a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Found,
    End,
}

/// The end of a partition is what is waited for here, and no error to log; others come out of `poll`.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Quiet {}

/// Why the cursor could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// Kafka failed.
    #[error("the cursor can't be read from Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The record is no cursor.
    #[error("the cursor record is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The end of the partition was not reached in time.
    #[error("the end of the cursor's partition was not reached in time")]
    Timeout,
}

impl Cursor {
    /// The key of every cursor record: compaction keeps the last.
    pub const KEY: &'static str = "cursor";

    /// Nothing published yet.
    #[must_use]
    pub fn start(store_id: Uuid) -> Self {
        Self { store_id, lanes: BTreeMap::new() }
    }

    /// The seq of the last published event of a lane, 0 for none.
    #[must_use]
    pub fn seq(&self, lane: Lane) -> u64 {
        self.lanes.get(&lane.0).map_or(0, |position| position.seq)
    }

    pub(super) fn to_json(&self) -> String {
        // A map of numbers to plain structs always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The last committed cursor of a group, if there is one. Blocks. Call it after the group's producer was opened: from
    /// then on no other producer's transaction can add one.
    pub fn read(settings: &KafkaSettings, context: Context, group: u16) -> Result<Option<Self>, CursorError> {
        let topic = topics::relay_cursors(&settings.prefix, context);
        let partition = i32::from(group);
        let consumer = consumer(settings, "read_committed")?;
        let (low, high) = Self::settled_end(settings, &consumer, &topic, partition)?;
        let tail = (high - TAIL).max(low);
        match Self::last_from(&consumer, &topic, partition, tail)? {
            None if tail > low => Self::last_from(&consumer, &topic, partition, low),
            found => {
                let known = found.is_some();
                info!(topic, partition, low, high, known, "read the cursor of a relay group");
                Ok(found)
            }
        }
    }

    /// Where the partition begins and ends, once no transaction is open in it: a `read_committed` consumer sees no further
    /// than the first record of an open one, and would take what comes before it for all there is.
    fn settled_end(
        settings: &KafkaSettings,
        committed: &BaseConsumer<Quiet>,
        topic: &str,
        partition: i32,
    ) -> Result<(i64, i64), CursorError> {
        let all = consumer(settings, "read_uncommitted")?;
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            let (low, high) = all.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
            let (_, stable) = committed.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
            if stable >= high {
                return Ok((low, high));
            }
            if Instant::now() > deadline {
                return Err(CursorError::Timeout);
            }
            std::thread::sleep(SETTLE);
        }
    }

    /// The store that a group has published from, if it has published. Blocks. Any committed cursor tells, so that this
    /// waits for nothing that the group may be about.
    pub fn store_of(settings: &KafkaSettings, context: Context, group: u16) -> Result<Option<Uuid>, CursorError> {
        let topic = topics::relay_cursors(&settings.prefix, context);
        let consumer = consumer(settings, "read_committed")?;
        let first = Self::scan(&consumer, &topic, i32::from(group), Offset::Beginning, Until::Found)?;
        Ok(first.map(|cursor| cursor.store_id))
    }

    fn last_from(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32, from: i64) -> Result<Option<Self>, CursorError> {
        Self::scan(consumer, topic, partition, Offset::Offset(from), Until::End)
    }

    /// Reads on; gives what was read last.
    fn scan(
        consumer: &BaseConsumer<Quiet>,
        topic: &str,
        partition: i32,
        from: Offset,
        until: Until,
    ) -> Result<Option<Self>, CursorError> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, from)?;
        consumer.assign(&assignment)?;
        let mut last = None;
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => {
                    last = Some(serde_json::from_slice(message.payload().unwrap_or_default())?);
                    if until == Until::Found {
                        return Ok(last);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Err(CursorError::Timeout)
    }
}

fn consumer(settings: &KafkaSettings, isolation: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
    settings
        .client()
        .set("group.id", format!("{}.relay", settings.prefix))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // A position that is not there is an error, never a silent jump to the end.
        .set("auto.offset.reset", "error")
        // The end of the partition is what is waited for: a broker that waits for more to come would only hold it back.
        .set("fetch.wait.max.ms", "10")
        .set("isolation.level", isolation)
        .create_with_context(Quiet)
}
