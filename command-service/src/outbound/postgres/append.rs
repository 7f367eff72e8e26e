//! Appending a batch: one statement, one round trip, all or nothing.

use chrono::{DateTime, NaiveDate, Utc};
use events::StreamId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresError;
use crate::{application::lane::Lane, domain::ClaimKind};

/// A batch, as columns: what `append()` in `migrations/0002_append_by_unique_indexes.sql` takes.
#[derive(Debug, Default)]
pub struct Append {
    /// Advisory locks to take, sorted and without repeats.
    pub locks: Vec<i64>,
    /// Streams that must not exist.
    pub new_streams: Vec<StreamId>,
    /// Idempotency keys that must have no answer yet.
    pub keys: Vec<Uuid>,
    /// Event types that this writer has not stored before.
    pub new_types: Vec<String>,
    lanes: Vec<i16>,
    heads: Vec<i64>,
    events: EventColumns,
    answers: AnswerColumns,
    taken: TakenColumns,
    released_kinds: Vec<i16>,
    released_streams: Vec<StreamId>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct EventColumns {
    seq: Vec<i64>,
    version: Vec<i64>,
    occurred_at: Vec<DateTime<Utc>>,
    recorded_at: Vec<DateTime<Utc>>,
    stream_id: Vec<Uuid>,
    event_id: Vec<Uuid>,
    correlation_id: Vec<Uuid>,
    causation_id: Vec<Option<Uuid>>,
    lane: Vec<i16>,
    event_type: Vec<String>,
    traceparent: Vec<Option<String>>,
    data: Vec<String>,
}

#[derive(Debug, Default)]
struct AnswerColumns {
    key: Vec<Uuid>,
    created_at: Vec<DateTime<Utc>>,
    request: Vec<Uuid>,
    stream_id: Vec<Uuid>,
    version: Vec<i64>,
    seq: Vec<Option<i64>>,
    lane: Vec<i16>,
    created: Vec<bool>,
}

#[derive(Debug, Default)]
struct TakenColumns {
    kind: Vec<i16>,
    value: Vec<Vec<u8>>,
    stream_id: Vec<Uuid>,
    for_ever: Vec<bool>,
}

/// One event of a batch.
#[derive(Debug)]
pub struct NewEvent {
    /// See [`events::Envelope`] for this and the others.
    pub id: Uuid,
    /// The stream.
    pub stream: StreamId,
    /// Its version.
    pub version: u64,
    /// The lane.
    pub lane: Lane,
    /// Its seq.
    pub seq: u64,
    /// The versioned type name.
    pub event_type: &'static str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was decided.
    pub recorded_at: DateTime<Utc>,
    /// Correlation.
    pub correlation_id: Uuid,
    /// Causation.
    pub causation_id: Option<Uuid>,
    /// Trace context.
    pub traceparent: Option<String>,
    /// The event's JSON.
    pub data: String,
}

/// An accepted command's answer, kept under its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Hash of subject and key.
    pub key: Uuid,
    /// Hash of the command.
    pub request: Uuid,
    /// The stream.
    pub stream: StreamId,
    /// Its version after the command.
    pub version: u64,
    /// The seq of the last event, if there was one.
    pub seq: Option<u64>,
    /// The lane.
    pub lane: Lane,
    /// Whether the command made the stream.
    pub created: bool,
}

/// What kept a batch from being appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Another instance has appended to the lane.
    Head(Lane, u64),
    /// A stream that should be new exists.
    Stream(StreamId),
    /// A key has an answer.
    Key(StoredAnswer),
    /// The claim at this position of those taken (from 0) is held.
    Claim(usize),
}

/// `u64` versions and seqs are counted from 1 by ones: they never reach the sign bit.
#[must_use]
pub fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The opposite of [`to_i64`].
#[must_use]
pub fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl Append {
    /// The lane must have this head.
    pub fn expect_head(&mut self, lane: Lane, head: u64) {
        self.lanes.push(lane.as_i16());
        self.heads.push(to_i64(head));
    }

    /// Adds an event.
    pub fn event(&mut self, event: NewEvent) {
        self.bytes += event.data.len();
        let columns = &mut self.events;
        columns.seq.push(to_i64(event.seq));
        columns.version.push(to_i64(event.version));
        columns.occurred_at.push(event.occurred_at);
        columns.recorded_at.push(event.recorded_at);
        columns.stream_id.push(event.stream);
        columns.event_id.push(event.id);
        columns.correlation_id.push(event.correlation_id);
        columns.causation_id.push(event.causation_id);
        columns.lane.push(event.lane.as_i16());
        columns.event_type.push(event.event_type.to_owned());
        columns.traceparent.push(event.traceparent);
        columns.data.push(event.data);
    }

    /// Keeps an answer under its key. Call with keys ascending.
    pub fn answer(&mut self, answer: &StoredAnswer, at: DateTime<Utc>) {
        let columns = &mut self.answers;
        columns.key.push(answer.key);
        columns.created_at.push(at);
        columns.request.push(answer.request);
        columns.stream_id.push(answer.stream);
        columns.version.push(to_i64(answer.version));
        columns.seq.push(answer.seq.map(to_i64));
        columns.lane.push(answer.lane.as_i16());
        columns.created.push(answer.created);
    }

    /// Takes a claim; its position is the number of claims taken before.
    pub fn take(&mut self, kind: ClaimKind, value: Vec<u8>, stream: StreamId) {
        let columns = &mut self.taken;
        columns.kind.push(kind.number());
        columns.value.push(value);
        columns.stream_id.push(stream);
        columns.for_ever.push(kind.is_for_ever());
    }

    /// Releases what the stream holds of a kind.
    pub fn release(&mut self, kind: ClaimKind, stream: StreamId) {
        self.released_kinds.push(kind.number());
        self.released_streams.push(stream);
    }

    /// How many events are in it.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events.seq.len()
    }

    /// How many bytes of event data are in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The lane, seq and id of the last event, by which a lost batch is looked up.
    #[must_use]
    pub fn last_event(&self) -> Option<(Lane, u64, Uuid)> {
        let columns = &self.events;
        let (lane, seq, id) = (columns.lane.last()?, columns.seq.last()?, columns.event_id.last()?);
        Some((Lane::from_i16(*lane), to_u64(*seq), *id))
    }

    /// Appends the batch and commits. No obstacles: it is in.
    pub async fn run(&self, connection: &mut PgConnection, today: NaiveDate) -> Result<Vec<Obstacle>, PostgresError> {
        let (events, answers, taken) = (&self.events, &self.answers, &self.taken);
        let rows = sqlx::query_file!(
            "src/outbound/postgres/append.sql",
            &self.locks,
            &self.lanes,
            &self.heads,
            &self.new_streams,
            &self.keys,
            today,
            &self.new_types,
            &events.seq,
            &events.version,
            &events.occurred_at,
            &events.recorded_at,
            &events.stream_id,
            &events.event_id,
            &events.correlation_id,
            &events.causation_id as &[Option<Uuid>],
            &events.lane,
            &events.event_type,
            &events.traceparent as &[Option<String>],
            &events.data,
            &answers.key,
            &answers.created_at,
            &answers.request,
            &answers.stream_id,
            &answers.version,
            &answers.seq as &[Option<i64>],
            &answers.lane,
            &answers.created,
            &taken.kind,
            &taken.value,
            &taken.stream_id,
            &taken.for_ever,
            &self.released_kinds,
            &self.released_streams,
        )
        .fetch_all(connection)
        .await?;
        let obstacles = rows.into_iter().filter_map(|row| match row.what.as_str() {
            "head" => Some(Obstacle::Head(Lane::from_i16(row.lane?), to_u64(row.seq?))),
            "stream" => Some(Obstacle::Stream(row.stream_id?)),
            "key" => Some(Obstacle::Key(StoredAnswer {
                key: row.key?,
                request: row.request?,
                stream: row.stream_id?,
                version: to_u64(row.version?),
                seq: row.seq.map(to_u64),
                lane: Lane::from_i16(row.lane?),
                created: row.created?,
            })),
            "claim" => Some(Obstacle::Claim(usize::try_from(row.position?).ok()?.checked_sub(1)?)),
            _ => None,
        });
        Ok(obstacles.collect())
    }
}
