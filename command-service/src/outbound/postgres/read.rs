//! Reading events and snapshots.

use chrono::{DateTime, Utc};
use events::{EventId, RecordedEvent, StreamId};
use serde_json::value::RawValue;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    PostgresError,
    append::{to_i64, to_u64},
};
use crate::application::lane::Lane;

/// A stream's state at some version, as it was stored.
#[derive(Debug)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// The version that it is of.
    pub version: u64,
    /// The shape that it was written in.
    pub shape: i64,
    /// The state's JSON.
    pub state: String,
}

/// An event without what only outsiders need.
#[derive(Debug)]
pub struct StoredEvent {
    /// The stream.
    pub stream: StreamId,
    /// Its version.
    pub version: u64,
    /// The seq in its lane.
    pub seq: u64,
    /// The versioned type name.
    pub event_type: String,
    /// The event's JSON.
    pub data: String,
}

/// The snapshots of these streams, where there are any.
pub async fn snapshots(db: impl PgExecutor<'_>, streams: &[StreamId]) -> Result<Vec<Snapshot>, PostgresError> {
    let rows = sqlx::query!(
        r#"SELECT stream_id, version, shape, state::text AS "state!" FROM snapshots WHERE stream_id = ANY ($1)"#,
        streams
    )
    .fetch_all(db)
    .await?;
    let snapshots = rows.into_iter().map(|row| Snapshot {
        stream: row.stream_id,
        version: to_u64(row.version),
        shape: row.shape,
        state: row.state,
    });
    Ok(snapshots.collect())
}

/// Keeps a snapshot unless a later one is there.
pub async fn save_snapshot(db: impl PgExecutor<'_>, snapshot: &Snapshot) -> Result<(), PostgresError> {
    sqlx::query!(
        "INSERT INTO snapshots (stream_id, version, shape, state) VALUES ($1, $2, $3, $4::text::json)
         ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, shape = excluded.shape, state = excluded.state
         WHERE snapshots.version < excluded.version OR snapshots.shape <> excluded.shape",
        snapshot.stream,
        to_i64(snapshot.version),
        snapshot.shape,
        &snapshot.state,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The events of each stream after the version beside it, by stream and version.
pub async fn tails(db: impl PgExecutor<'_>, streams: &[StreamId], after: &[i64]) -> Result<Vec<StoredEvent>, PostgresError> {
    let rows = sqlx::query_as!(
        TailRow,
        r#"SELECT e.stream_id, e.version, e.seq, e.event_type, e.data::text AS "data!"
           FROM unnest($1::uuid[], $2::bigint[]) AS s (stream_id, after)
           JOIN events e ON e.stream_id = s.stream_id AND e.version > s.after
           ORDER BY e.stream_id, e.version"#,
        streams,
        after,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// Up to `limit` events of a lane after `after`, in order, for caches that must follow it.
pub async fn lane_tail(db: impl PgExecutor<'_>, lane: Lane, after: u64, limit: i64) -> Result<Vec<StoredEvent>, PostgresError> {
    let rows = sqlx::query_as!(
        TailRow,
        r#"SELECT stream_id, version, seq, event_type, data::text AS "data!"
           FROM events WHERE lane = $1 AND seq > $2 ORDER BY seq LIMIT $3"#,
        lane.as_i16(),
        to_i64(after),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(StoredEvent::from).collect())
}

/// The latest version of each stream that the lanes hold after the seqs beside them.
pub async fn touched(db: impl PgExecutor<'_>, lanes: &[i16], after: &[i64]) -> Result<Vec<(StreamId, u64)>, PostgresError> {
    let rows = sqlx::query!(
        r#"SELECT e.stream_id, max(e.version) AS "version!"
           FROM unnest($1::smallint[], $2::bigint[]) AS l (lane, after)
           JOIN events e ON e.lane = l.lane AND e.seq > l.after
           GROUP BY e.stream_id"#,
        lanes,
        after,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.stream_id, to_u64(row.version))).collect())
}

/// The head of each lane: the seq of its last event, 0 when it has none.
pub async fn heads(db: impl PgExecutor<'_>, lanes: u16) -> Result<Vec<u64>, PostgresError> {
    let heads = sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT max(seq) FROM events e WHERE e.lane = l), 0) AS "head!"
           FROM generate_series(0, $1::integer - 1) AS l ORDER BY l"#,
        i32::from(lanes),
    )
    .fetch_all(db)
    .await?;
    Ok(heads.into_iter().map(to_u64).collect())
}

/// The id of the event at a position, if there is one.
pub async fn event_at(db: impl PgExecutor<'_>, lane: Lane, seq: u64) -> Result<Option<Uuid>, PostgresError> {
    let id = sqlx::query_scalar!("SELECT event_id FROM events WHERE lane = $1 AND seq = $2", lane.as_i16(), to_i64(seq))
        .fetch_optional(db)
        .await?;
    Ok(id)
}

/// Up to `limit` events of a stream after `after`, by version.
pub async fn history(
    db: impl PgExecutor<'_>,
    stream: StreamId,
    after: u64,
    limit: i64,
) -> Result<Vec<RecordedEvent>, PostgresError> {
    let rows = sqlx::query_as!(
        JsonRow,
        r#"SELECT event_id, stream_id, event_type, version, lane, seq, occurred_at, recorded_at, correlation_id,
                  causation_id, traceparent, data AS "data: Box<RawValue>"
           FROM events WHERE stream_id = $1 AND version > $2 ORDER BY version LIMIT $3"#,
        stream,
        to_i64(after),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(RecordedEvent::from).collect())
}

/// Up to `limit` events of a lane after `after`, by seq.
pub async fn feed(db: impl PgExecutor<'_>, lane: Lane, after: u64, limit: i64) -> Result<Vec<RecordedEvent>, PostgresError> {
    let rows = sqlx::query_as!(
        JsonRow,
        r#"SELECT event_id, stream_id, event_type, version, lane, seq, occurred_at, recorded_at, correlation_id,
                  causation_id, traceparent, data AS "data: Box<RawValue>"
           FROM events WHERE lane = $1 AND seq > $2 ORDER BY seq LIMIT $3"#,
        lane.as_i16(),
        to_i64(after),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(RecordedEvent::from).collect())
}

/// Up to `limit` events of each lane after the seq beside it, by lane and seq: what a relay group publishes next.
pub async fn after_cursors(
    db: impl PgExecutor<'_>,
    lanes: &[i16],
    after: &[i64],
    limit: i64,
) -> Result<Vec<RecordedEvent<String>>, PostgresError> {
    let rows = sqlx::query_as!(
        TextRow,
        r#"SELECT e.event_id, e.stream_id, e.event_type, e.version, e.lane, e.seq, e.occurred_at, e.recorded_at,
                  e.correlation_id, e.causation_id, e.traceparent, e.data AS "data: String"
           FROM unnest($1::smallint[], $2::bigint[]) AS l (lane, after)
           CROSS JOIN LATERAL (
               SELECT * FROM events WHERE events.lane = l.lane AND events.seq > l.after ORDER BY events.seq LIMIT $3
           ) AS e"#,
        lanes,
        after,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(RecordedEvent::from).collect())
}

type JsonRow = Row<Box<RawValue>>;
/// Its data is not parsed: Postgres checked it when it was stored.
type TextRow = Row<String>;

struct Row<D> {
    event_id: Uuid,
    stream_id: Uuid,
    event_type: String,
    version: i64,
    lane: i16,
    seq: i64,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    correlation_id: Uuid,
    causation_id: Option<Uuid>,
    traceparent: Option<String>,
    data: D,
}

impl<D> From<Row<D>> for RecordedEvent<D> {
    fn from(row: Row<D>) -> Self {
        Self {
            id: EventId(row.event_id),
            stream_id: row.stream_id,
            event_type: row.event_type,
            version: to_u64(row.version),
            lane: Lane::from_i16(row.lane).0,
            seq: to_u64(row.seq),
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            correlation_id: row.correlation_id,
            causation_id: row.causation_id,
            traceparent: row.traceparent,
            data: row.data,
        }
    }
}

struct TailRow {
    stream_id: Uuid,
    version: i64,
    seq: i64,
    event_type: String,
    data: String,
}

impl From<TailRow> for StoredEvent {
    fn from(row: TailRow) -> Self {
        Self {
            stream: row.stream_id,
            version: to_u64(row.version),
            seq: to_u64(row.seq),
            event_type: row.event_type,
            data: row.data,
        }
    }
}
