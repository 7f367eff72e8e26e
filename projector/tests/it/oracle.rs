//! What Redis has to hold: folded from the events alone, and compared with every key that is there.

use std::collections::{BTreeMap, BTreeSet};

use events::{Context, OrderEvent, RecordedEvent, StreamId, event::DomainEvent};
use projector::projections::{Counter, KeyRing, Meta, OrderProjection, Projection};
use read_model::{Flags, Generation, Header, OrderView, stats};
use redis::Value;

use super::world::{World, eventually, generation};

/// Keys and their contents, without checkpoints and change logs.
pub(crate) type Contents = BTreeMap<String, BTreeSet<(String, Vec<u8>)>>;

/// What the orders' read model is once all these events are in it.
pub(crate) fn expected(world: &World, events: &[RecordedEvent]) -> Contents {
    expected_in(world, generation(), events)
}

/// The same in another generation.
pub(crate) fn expected_in(world: &World, generation: Generation, events: &[RecordedEvent]) -> Contents {
    let mut streams: BTreeMap<StreamId, BTreeMap<u64, &RecordedEvent>> = BTreeMap::new();
    for event in events {
        streams.entry(event.stream_id).or_default().insert(event.version, event);
    }
    let mut contents = Contents::new();
    let mut counters: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (stream, events) in streams {
        let slot = generation.slot_of(&world.prefix, Context::Orders, stream);
        let view = fold(stream, events.into_values());
        let header = Header { flags: Flags::NONE, version: view.version, owner: view.user_id.map(|user| user.0) };
        let stored = header.encode(&serde_json::to_vec(&view).unwrap());
        contents.entry(slot.view(stream)).or_default().insert((String::new(), stored));
        for entry in OrderProjection::index_entries(&view) {
            let key = slot.index(&entry.index.to_string());
            contents.entry(key).or_default().insert((entry.member(), b"0".to_vec()));
        }
        for (counter, amount) in OrderProjection::contribution(&view) {
            let (name, field) = match counter {
                Counter::Day(field) => (stats::DAYS, field.to_string()),
                Counter::ProductUnits(product) => (stats::PRODUCT_UNITS, product.0.simple().to_string()),
                Counter::ProductRevenue(product, currency) => (stats::PRODUCT_REVENUE, stats::revenue_field(product, currency)),
            };
            *counters.entry((slot.counters(name), field)).or_default() += amount;
        }
    }
    for ((key, field), amount) in counters.into_iter().filter(|(_, amount)| *amount != 0) {
        contents.entry(key).or_default().insert((field, amount.to_string().into_bytes()));
    }
    contents
}

fn fold<'e>(stream: StreamId, events: impl Iterator<Item = &'e RecordedEvent>) -> OrderView {
    let mut view = None;
    for event in events {
        let decoded = OrderEvent::decode(&event.event_type, event.data.get().as_bytes()).unwrap();
        let meta = Meta { stream, version: event.version, occurred_at: event.occurred_at };
        view = Some(OrderProjection::apply(view, &decoded, &meta, &KeyRing::default()).unwrap());
    }
    view.unwrap()
}

/// What Redis holds.
pub(crate) fn found(world: &World) -> Contents {
    let mut redis = world.redis();
    let mut contents = Contents::new();
    let others = [":state", ":log", ":generations", ":redrives", ":operations", ":starts"];
    // Who is there is no read model, either.
    let is_content = |key: &String| !others.iter().any(|other| key.ends_with(other)) && !key.contains(":{registry}");
    for key in world.keys().into_iter().filter(is_content) {
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut redis).unwrap();
        let items = match kind.as_str() {
            "string" => vec![(String::new(), redis::cmd("GET").arg(&key).query::<Vec<u8>>(&mut redis).unwrap())],
            "hash" => redis::cmd("HGETALL").arg(&key).query(&mut redis).unwrap(),
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(&["0", "-1", "WITHSCORES"]).query(&mut redis).unwrap(),
            "none" => continue,
            other => panic!("{key} is a {other}"),
        };
        contents.insert(key, items.into_iter().collect());
    }
    contents
}

/// What a generation holds.
pub(crate) fn found_in(world: &World, number: u32) -> Contents {
    let mark = format!("{{g{number}:");
    found(world).into_iter().filter(|(key, _)| key.contains(&mark)).collect()
}

/// The events that all slots have read up to: offsets, added up.
pub(crate) fn offsets(world: &World) -> i64 {
    let mut redis = world.redis();
    let slots = generation().slots(&world.prefix, Context::Orders);
    slots
        .map(|slot| redis::cmd("HGET").arg(slot.state()).arg("offset").query::<Option<i64>>(&mut redis).unwrap().unwrap_or(0))
        .sum()
}

/// Waits until `records` records are behind the checkpoints, and compares everything.
pub(crate) fn assert_equals_fold(world: &World, records: usize, events: &[RecordedEvent]) {
    let records = i64::try_from(records).unwrap();
    eventually("the checkpoints reach the end", || offsets(world) >= records);
    let (expected, found) = (expected(world, events), found(world));
    let keys = |contents: &Contents| contents.keys().cloned().collect::<BTreeSet<_>>();
    let differing: Vec<_> = keys(&expected).symmetric_difference(&keys(&found)).cloned().collect();
    assert!(differing.is_empty(), "only here or only there: {differing:?}");
    for (key, items) in expected {
        assert_eq!(found[&key], items, "{key}");
    }
    let generations: Value =
        redis::cmd("HGET").arg(read_model::keys::generations(&world.prefix)).arg("orders").query(&mut world.redis()).unwrap();
    assert_ne!(generations, Value::Nil, "the generation is known");
}
