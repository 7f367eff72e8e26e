//! The event stores, by SQL: gapless lanes, gapless streams, and the ledger's entries one to one.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{ConnectOptions, PgConnection, Row, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::{
    context::Context,
    ledger::{Entry, Fact},
};

/// An event as Postgres has it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: Uuid,
    pub(super) stream: Uuid,
    pub(super) version: u64,
    pub(super) lane: i16,
    pub(super) seq: u64,
    pub(super) event_type: String,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) recorded_at: DateTime<Utc>,
    pub(super) correlation: Uuid,
    pub(super) causation: Option<Uuid>,
    pub(super) traceparent: Option<String>,
    pub(super) data: String,
}

impl Stored {
    /// The data as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("the column's type is json")
    }
}

async fn connect(url: &str, context: Context) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a URL");
    options.options([("search_path", context.name())]).connect().await.expect("Postgres answers")
}

/// How many events there are.
pub(super) async fn count(url: &str, context: Context) -> usize {
    let row = sqlx::query("SELECT count(*) FROM events").fetch_one(&mut connect(url, context).await).await.expect("a count");
    usize::try_from(row.get::<i64, _>(0)).expect("a count")
}

/// All events, by lane and seq.
pub(super) async fn read(url: &str, context: Context) -> Vec<Stored> {
    let rows = sqlx::query(
        "SELECT event_id, stream_id, version, lane, seq, event_type, occurred_at, recorded_at, correlation_id, causation_id, \
         traceparent, data::text FROM events ORDER BY lane, seq",
    )
    .fetch_all(&mut connect(url, context).await)
    .await
    .expect("events");
    let number = |number: i64| u64::try_from(number).expect("counted from 1");
    let stored = rows.iter().map(|row| Stored {
        id: row.get(0),
        stream: row.get(1),
        version: number(row.get(2)),
        lane: row.get(3),
        seq: number(row.get(4)),
        event_type: row.get(5),
        occurred_at: row.get(6),
        recorded_at: row.get(7),
        correlation: row.get(8),
        causation: row.get(9),
        traceparent: row.get(10),
        data: row.get(11),
    });
    stored.collect()
}

/// Looks at a context's store, and compares it with the ledger.
pub(super) fn check(
    context: Context,
    stored: &[Stored],
    entries: &[&Entry],
    doubts: &HashMap<(Context, Uuid), u64>,
    findings: &mut Vec<String>,
) {
    check_numbers(context, stored, findings);
    let by_place: HashMap<(Uuid, u64), &Stored> = stored.iter().map(|event| ((event.stream, event.version), event)).collect();
    let mut claimed: HashMap<(Uuid, u64), &Entry> = HashMap::new();
    for entry in entries {
        for (version, fact) in entry.versions() {
            if let Some(other) = claimed.insert((entry.id, version), entry) {
                findings.push(format!("postgres {context}: two commands were told the same version: {entry:?} and {other:?}"));
            }
            match by_place.get(&(entry.id, version)) {
                None => findings.push(format!("postgres {context}: acknowledged, but version {version} is missing: {entry:?}")),
                Some(event) => check_fact(context, entry, version, fact, event, findings),
            }
        }
    }
    let mut unexplained: HashMap<Uuid, u64> = HashMap::new();
    for event in stored.iter().filter(|event| !claimed.contains_key(&(event.stream, event.version))) {
        let extra = unexplained.entry(event.stream).or_default();
        *extra += 1;
        if *extra > doubts.get(&(context, event.stream)).copied().unwrap_or(0) {
            findings.push(format!("postgres {context}: nobody was told of {event:?}"));
        }
    }
    check_time(context, entries, findings);
}

fn check_numbers(context: Context, stored: &[Stored], findings: &mut Vec<String>) {
    let (mut lanes, mut streams): (HashMap<i16, u64>, HashMap<Uuid, (u64, i16)>) = (HashMap::new(), HashMap::new());
    let mut ids = HashSet::new();
    for event in stored {
        let seq = lanes.entry(event.lane).or_default();
        if event.seq != *seq + 1 {
            findings.push(format!("postgres {context}: lane {} goes from {seq} to {}", event.lane, event.seq));
        }
        *seq = event.seq;
        if !ids.insert(event.id) {
            findings.push(format!("postgres {context}: the id {} is there twice", event.id));
        }
        // In the order of the lane, so a stream whose versions are out of its order is seen as well.
        let (version, lane) = streams.entry(event.stream).or_insert((0, event.lane));
        if event.version != *version + 1 || event.lane != *lane {
            findings.push(format!("postgres {context}: stream {} goes from {version} in lane {lane} to {event:?}", event.stream));
        }
        *version = event.version;
    }
}

fn check_fact(context: Context, entry: &Entry, version: u64, fact: &Fact, event: &Stored, findings: &mut Vec<String>) {
    let back = entry.version - version;
    if (u16::try_from(event.lane).ok(), event.seq + back) != (Some(entry.lane), entry.seq) {
        findings.push(format!("postgres {context}: the client was told {entry:?}, but it is {event:?}"));
    }
    if event.event_type != fact.event_type || !contains(&event.json(), &fact.data) {
        findings.push(format!("postgres {context}: the client asked for {fact:?}, but it is {event:?}"));
    }
    for (field, text) in &fact.personal {
        if event.data.contains(text.as_str()) || event.json()[field]["ct"].as_str().is_none_or(str::is_empty) {
            findings.push(format!("postgres {context}: personal data is not encrypted: {event:?}"));
        }
    }
}

/// Whether `whole` has everything that `part` has.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}

/// What was answered before something else was sent comes before it, in the stream and in the lane.
fn check_time(context: Context, entries: &[&Entry], findings: &mut Vec<String>) {
    let mut orders: HashMap<(char, u128), BTreeMap<u64, &Entry>> = HashMap::new();
    for entry in entries {
        orders.entry(('s', entry.id.as_u128())).or_default().insert(entry.version, entry);
        orders.entry(('l', u128::from(entry.lane))).or_default().insert(entry.seq, entry);
    }
    for order in orders.values() {
        let mut last: Option<&Entry> = None;
        for entry in order.values() {
            if let Some(last) = last.filter(|last| entry.answered < last.sent) {
                findings.push(format!("postgres {context}: {entry:?} was answered before {last:?} was sent, and comes after it"));
            }
            last = last.filter(|last| last.sent > entry.sent).or(Some(entry));
        }
    }
}
