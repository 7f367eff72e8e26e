//! The event store as plain SQL sees it, and what must hold of it whatever happened.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::Database;

/// One stored event.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) event_id: Uuid,
    pub(crate) stream: Uuid,
    pub(crate) version: u64,
    pub(crate) lane: u16,
    pub(crate) seq: u64,
    pub(crate) event_type: String,
    pub(crate) data: Value,
}

/// Every event of a context, by lane and seq.
pub(crate) async fn events(pool: &PgPool) -> Vec<Stored> {
    let rows = sqlx::query("SELECT event_id, stream_id, version, lane, seq, event_type, data FROM events ORDER BY lane, seq")
        .fetch_all(pool)
        .await
        .unwrap();
    let number = |number: i64| u64::try_from(number).unwrap();
    let events = rows.iter().map(|row| Stored {
        event_id: row.get("event_id"),
        stream: row.get("stream_id"),
        version: number(row.get("version")),
        lane: u16::try_from(row.get::<i16, _>("lane")).unwrap(),
        seq: number(row.get("seq")),
        event_type: row.get("event_type"),
        data: row.get("data"),
    });
    events.collect()
}

/// Reads a context and checks what must hold of it.
pub(crate) async fn checked_events(database: &Database, context: &str) -> Vec<Stored> {
    let pool = database.pool(context).await;
    let events = events(&pool).await;
    pool.close().await;
    check(&events);
    events
}

/// Lanes without gaps, versions without gaps in the order of `seq`, and one lane a stream.
fn check(events: &[Stored]) {
    let mut heads: BTreeMap<u16, u64> = BTreeMap::new();
    let mut streams: HashMap<Uuid, (u16, u64)> = HashMap::new();
    for event in events {
        let head = heads.entry(event.lane).or_default();
        *head += 1;
        assert_eq!(event.seq, *head, "lane {} has a gap: {event:?}", event.lane);
        let (lane, version) = streams.entry(event.stream).or_insert((event.lane, 0));
        *version += 1;
        assert_eq!((event.lane, event.version), (*lane, *version), "{event:?}");
    }
}

/// The events of one stream.
pub(crate) fn of_stream(events: &[Stored], stream: Uuid) -> Vec<&Stored> {
    events.iter().filter(|event| event.stream == stream).collect()
}
