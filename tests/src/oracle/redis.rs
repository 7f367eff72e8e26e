//! The read models, by plain commands: every key that there is, compared with every key that should be there.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Value as Reply, aio::MultiplexedConnection};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Found,
    fold::{View, Views, partition},
    kafka::Record,
};
use crate::{
    context::Context,
    stack::{PARTITIONS, Stack},
};

/// A view's bytes before its JSON.
const HEADER: usize = 26;

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A string.
    Text(Vec<u8>),
    /// A hash.
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// A sorted set: member and score.
    Set(BTreeMap<Vec<u8>, Vec<u8>>),
    /// Something else, by its type's name.
    Other(String),
}

/// Everything under the stack's prefix.
pub(super) type Keys = BTreeMap<String, Held>;

async fn connect(stack: &Stack) -> Option<MultiplexedConnection> {
    redis::Client::open(stack.redis.url()).expect("a URL").get_multiplexed_async_connection().await.ok()
}

/// The key that a slot's keys begin with: prefix, and in braces generation, context and partition.
fn slot(stack: &Stack, context: Context, partition: i32) -> String {
    format!("{}:{{g1:{context}:{partition}}}", stack.redis_prefix())
}

/// The key of a view.
pub(super) fn view_key(stack: &Stack, context: Context, stream: Uuid) -> String {
    format!("{}:view:{}", slot(stack, context, partition(stream)), stream.simple())
}

/// The checkpoints by partition; none when Redis does not answer.
pub(super) async fn checkpoints(stack: &Stack, context: Context) -> Option<Vec<Option<i64>>> {
    let mut connection = connect(stack).await?;
    let mut checkpoints = Vec::new();
    for partition in 0..PARTITIONS {
        let key = format!("{}:state", slot(stack, context, partition));
        checkpoints.push(redis::cmd("HGET").arg(key).arg("offset").query_async(&mut connection).await.ok()?);
    }
    Some(checkpoints)
}

/// The partitions whose checkpoint is not behind the last record: which, where, and where it should be.
pub(super) fn behind(checkpoints: &[Option<i64>], records: &[Record]) -> Vec<(i32, Option<i64>, Option<i64>)> {
    let due = |partition| records.iter().filter(|record| record.partition == partition).map(|record| record.offset + 1).max();
    let each = (0..PARTITIONS).zip(checkpoints).map(|(partition, at)| (partition, *at, due(partition)));
    // A partition without records has a checkpoint too, once it was looked at.
    each.filter(|(_, at, due)| at.unwrap_or(0) != due.unwrap_or(0)).collect()
}

/// Reads every key.
pub(super) async fn read(stack: &Stack) -> Keys {
    let mut connection = connect(stack).await.expect("Redis answers");
    let (mut names, mut cursor) = (BTreeSet::new(), 0_u64);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{}:*", stack.redis_prefix())).arg("COUNT").arg(5000);
        let (next, found): (u64, Vec<String>) = scan.query_async(&mut connection).await.expect("keys");
        names.extend(found);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let mut keys = Keys::new();
    for name in names {
        let held = hold(&mut connection, &name).await.expect("a value");
        keys.insert(name, held);
    }
    keys
}

async fn hold(connection: &mut MultiplexedConnection, key: &str) -> redis::RedisResult<Held> {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(connection).await?;
    Ok(match kind.as_str() {
        "string" => Held::Text(redis::cmd("GET").arg(key).query_async(connection).await?),
        "hash" => Held::Hash(redis::cmd("HGETALL").arg(key).query_async(connection).await?),
        "zset" => {
            let reply: Vec<Vec<u8>> =
                redis::cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES").query_async(connection).await?;
            Held::Set(reply.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        "stream" => {
            let _: Reply = redis::cmd("XLEN").arg(key).query_async(connection).await?;
            Held::Other(kind)
        }
        _ => Held::Other(kind),
    })
}

/// Compares what is there with what should be there.
pub(super) fn check(stack: &Stack, contexts: &[Found], views: &Views, held: &Keys, findings: &mut Vec<String>) {
    let expected = expected(stack, views);
    for (key, wanted) in &expected {
        match held.get(key) {
            None => findings.push(format!("redis: {key} is missing")),
            Some(Held::Hash(found)) | Some(Held::Set(found)) => differ(key, wanted, found, findings),
            Some(other) => findings.push(format!("redis: {key} is {other:?}")),
        }
    }
    for ((context, stream), view) in views {
        let key = view_key(stack, *context, *stream);
        match (held.get(&key), view.version) {
            (None, 0) => {}
            (None, _) => findings.push(format!("redis: the view {key} is missing: {view:?}")),
            (Some(Held::Text(bytes)), _) => check_view(&key, view, bytes, findings),
            (Some(other), _) => findings.push(format!("redis: the view {key} is {other:?}")),
        }
    }
    check_slots(stack, contexts, views, held, findings);
    let known = |key: &String| {
        let rest = key.strip_prefix(stack.redis_prefix()).unwrap_or_default();
        let tail = rest.split_once('}').map_or(rest, |(_, tail)| tail);
        tail == ":generations"
            // Who is there is no read model.
            || rest.starts_with(":{registry}")
            || [":state", ":log", ":parked", ":redrives", ":operations", ":starts"].contains(&tail)
            || expected.contains_key(key)
    };
    let view_keys: BTreeSet<_> = views.keys().map(|(context, stream)| view_key(stack, *context, *stream)).collect();
    for key in held.keys().filter(|key| !known(key) && !view_keys.contains(*key)) {
        findings.push(format!("redis: {key} should not be there: {:?}", held[key]));
    }
}

/// Lists, owners and counters: the key, and its fields or members with values or scores.
fn expected(stack: &Stack, views: &Views) -> BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut expected: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
    let mut counters: BTreeMap<(String, String), i64> = BTreeMap::new();
    for ((context, stream), view) in views {
        let slot = slot(stack, *context, partition(*stream));
        for (list, member) in &view.lists {
            expected.entry(format!("{slot}:ix:{list}")).or_default().insert(member.clone(), b"0".to_vec());
        }
        if let Some((name, value)) = &view.owns {
            let owner = stream.simple().to_string().into_bytes();
            expected.entry(format!("{slot}:own:{name}")).or_default().insert(value.clone().into_bytes(), owner);
        }
        for (name, field, amount) in &view.counts {
            *counters.entry((format!("{slot}:stat:{name}"), field.clone())).or_default() += amount;
        }
    }
    for ((key, field), amount) in counters.into_iter().filter(|(_, amount)| *amount != 0) {
        expected.entry(key).or_default().insert(field.into_bytes(), amount.to_string().into_bytes());
    }
    expected
}

fn differ(key: &str, wanted: &BTreeMap<Vec<u8>, Vec<u8>>, found: &BTreeMap<Vec<u8>, Vec<u8>>, findings: &mut Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for field in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let (wanted, found) = (wanted.get(field), found.get(field));
        if wanted != found {
            let show = |value: Option<&Vec<u8>>| value.map_or("nothing".to_owned(), |value| text(value));
            findings.push(format!("redis: {key} has {} for {:?}, and should have {}", show(found), text(field), show(wanted)));
        }
    }
}

fn check_view(key: &str, view: &View, bytes: &[u8], findings: &mut Vec<String>) {
    let Some((header, json)) = bytes.split_at_checked(HEADER) else {
        return findings.push(format!("redis: the view {key} is too short"));
    };
    let mut wanted = vec![1, if view.parked.is_some() { 3 } else { 0 }];
    wanted.extend(view.version.to_be_bytes());
    wanted.extend(view.owner.as_bytes());
    if header != wanted {
        findings.push(format!("redis: the view {key} begins with {header:?}, and should with {wanted:?}"));
    }
    match serde_json::from_slice::<Value>(json) {
        Ok(found) if found == view.json => {}
        Ok(found) => findings.push(format!("redis: the view {key} is {found}, and should be {}", view.json)),
        Err(error) => findings.push(format!("redis: the view {key}: {error}")),
    }
}

/// Checkpoints, numbers of events, parked streams and generations.
fn check_slots(stack: &Stack, contexts: &[Found], views: &Views, held: &Keys, findings: &mut Vec<String>) {
    let field = |key: &str, field: &str| match held.get(key) {
        Some(Held::Hash(hash)) => hash.get(field.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned()),
        _ => None,
    };
    for Found { context, records, .. } in contexts {
        let generation = field(&format!("{}:generations", stack.redis_prefix()), context.name()).unwrap_or_default();
        let generation: Value = serde_json::from_str(&generation).unwrap_or_default();
        if generation["number"] != 1 || generation["partitions"] != PARTITIONS {
            findings.push(format!("redis: the generation of {context} is {generation}"));
        }
        let key = |partition| format!("{}:state", slot(stack, *context, partition));
        let checkpoints: Vec<_> =
            (0..PARTITIONS).map(|partition| field(&key(partition), "offset").and_then(|offset| offset.parse().ok())).collect();
        for (partition, at, due) in behind(&checkpoints, records) {
            findings.push(format!("redis: the checkpoint of {context}/{partition} is {at:?}, and should be {due:?}"));
        }
        for partition in 0..PARTITIONS {
            if let Some(goal) = field(&key(partition), "goal").filter(|goal| !goal.is_empty()) {
                findings.push(format!("redis: {context}/{partition} has everything, and says that it is complete at {goal}"));
            }
            let here = views.iter().filter(|((of, stream), _)| of == context && self::partition(*stream) == partition);
            let events: u64 = here.clone().map(|(_, view)| view.events).sum();
            let counted = field(&key(partition), "events").and_then(|events| events.parse().ok()).unwrap_or(0);
            if events != counted {
                findings.push(format!("redis: {context}/{partition} has counted {counted} events, and there are {events}"));
            }
            let parked: BTreeMap<_, _> =
                here.filter_map(|((_, stream), view)| Some((stream.simple().to_string(), view.parked?))).collect();
            let found = match held.get(&format!("{}:parked", slot(stack, *context, partition))) {
                Some(Held::Hash(hash)) => hash.clone(),
                _ => BTreeMap::new(),
            };
            let found: BTreeMap<_, _> = found
                .into_iter()
                .map(|(stream, json)| {
                    let json: Value = serde_json::from_slice(&json).unwrap_or_default();
                    (String::from_utf8_lossy(&stream).into_owned(), json["version"].as_u64().unwrap_or(0))
                })
                .collect();
            if parked != found {
                findings.push(format!("redis: parked in {context}/{partition} are {found:?}, and should be {parked:?}"));
            }
        }
    }
}
