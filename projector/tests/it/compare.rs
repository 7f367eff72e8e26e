//! Two generations compared: what differs is named, and what only moves is not.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use events::Context;
use read_model::{Generation, Slot, index, stats};
use serde_json::Value;
use uuid::Uuid;

use super::{
    oracle::assert_equals_fold,
    process::Projector,
    rebuild::{act, building, compared, differences, holds},
    world::{World, eventually, generation, interleaved, order},
};

/// The pause between two writes of 40 events.
const PACE: Duration = Duration::from_millis(25);

/// The counts of one part of a report: different, missing, extra.
fn found(report: &Value, part: &str) -> [u64; 3] {
    ["different", "missing", "extra"].map(|kind| report[part][kind].as_u64().unwrap())
}

fn run<T: redis::FromRedisValue>(world: &World, command: &[&str]) -> T {
    let (name, arguments) = command.split_first().unwrap();
    redis::cmd(name).arg(arguments).query(&mut world.redis()).unwrap()
}

#[test]
fn lists_owners_and_counters_that_differ_are_found_and_named() {
    let world = World::new();
    let projector = Projector::start(&world);
    let events = interleaved(&(0..40).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    assert_equals_fold(&world, events.len(), &events);
    act(&projector, "build");
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    holds(&world, 2, &events);
    let report = compared(&projector);
    assert_eq!(differences(&projector), 0, "{report}");
    assert_eq!(report["views"]["compared"], 40);
    assert!(report["lists"]["compared"].as_u64().unwrap() >= 80, "{report}");
    assert!(report["counters"]["compared"].as_u64().unwrap() > 20, "{report}");

    let known = events[0].stream_id;
    let (stranger, partition) = (Uuid::now_v7(), generation().partition_of(known));
    let live = world.slot(Context::Orders, known);
    let new = Generation { number: 2, ..generation() }.slot_of(&world.prefix, Context::Orders, known);
    // In the live one: an order where it does not belong, and one of no order; not where it does; an owner; a counter.
    let member: Vec<String> = run(&world, &["ZRANGE", &live.index("recent"), "0", "-1"]);
    let member = member.into_iter().find(|member| index::id_of(member.as_bytes()) == Some(known)).unwrap();
    let orphan = index::counted(7, stranger);
    let _: u64 = run(&world, &["ZADD", &live.index("status:placed"), "0", &member]);
    let _: u64 = run(&world, &["ZADD", &live.index("recent"), "0", &orphan]);
    let _: u64 = run(&world, &["ZREM", &live.index("recent"), &member]);
    let _: u64 = run(&world, &["HSET", &live.owners("email"), "ann@example.org", &known.simple().to_string()]);
    let days: Vec<String> = run(&world, &["HKEYS", &live.counters(stats::DAYS)]);
    let _: i64 = run(&world, &["HINCRBY", &live.counters(stats::DAYS), &days[0], "3"]);
    let _: f64 = run(&world, &["ZINCRBY", &live.counters(stats::PRODUCT_UNITS), "1", &Uuid::from_u128(99).simple().to_string()]);
    // In the new one: a list that nobody else has, and revenue of nothing.
    let _: u64 = run(&world, &["ZADD", &new.index("nonsense"), "0", &member]);
    let revenue = format!("{}|GBP", stranger.simple());
    let _: u64 = run(&world, &["HSET", &new.counters(stats::PRODUCT_REVENUE), &revenue, "5"]);

    let report = compared(&projector);
    assert_eq!(found(&report, "views"), [0, 0, 0], "{report}");
    assert_eq!(found(&report, "lists"), [0, 2, 2], "{report}");
    assert_eq!(found(&report, "owners"), [0, 1, 0], "{report}");
    assert_eq!(found(&report, "counters"), [1, 1, 1], "{report}");
    let named = |part: &str, name: &str, stream: Uuid| {
        let mut samples = report[part]["samples"].as_array().unwrap().iter();
        samples.any(|sample| sample["name"] == name && sample["stream"] == stream.to_string() && sample["partition"] == partition)
    };
    for (name, stream) in [("status:placed", known), ("recent", stranger), ("recent", known), ("nonsense", known)] {
        assert!(named("lists", name, stream), "{name} {stream}: {report}");
    }
    assert!(named("owners", "email", known), "{report}");
    assert!(!report.to_string().contains("ann@example.org"), "an address is told: {report}");
    let counters = report["counters"]["samples"].as_array().unwrap();
    assert!(counters.iter().any(|sample| sample["field"] == days[0] && sample["name"] == stats::DAYS), "{report}");
    projector.stop();
}

#[test]
fn what_only_moves_is_no_difference() {
    let world = World::new();
    let projector = Projector::start(&world);
    let mut events = interleaved(&(0..20).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    act_when_ready(&projector, "build");
    let stop = AtomicBool::new(false);
    let (reports, more) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return written;
                }
                let some = interleaved(&(number * 8..number * 8 + 8).map(order).collect::<Vec<_>>());
                world.write(Context::Orders, &some);
                written.extend(some);
                // A load that both generations keep up with, not one that only the live one does.
                std::thread::sleep(PACE);
            }
            written
        });
        let reports: Vec<Value> = (0..4).map(|_| compared(&projector)).collect();
        stop.store(true, Ordering::Relaxed);
        (reports, writing.join().unwrap())
    });
    for report in &reports {
        for part in ["views", "lists", "owners", "counters"] {
            assert_eq!(found(report, part), [0, 0, 0], "{part}: {report}");
        }
    }
    events.extend(more);
    holds(&world, 2, &events);
    // A fault among all that moves is still one.
    let slot = Slot::new(&world.prefix, generation(), Context::Orders, 0);
    let _: u64 = run(&world, &["ZADD", &slot.index("recent"), "0", &index::counted(7, Uuid::now_v7())]);
    assert_eq!(found(&compared(&projector), "lists"), [0, 1, 0]);
    projector.stop();
}

fn act_when_ready(projector: &Projector, verb: &str) {
    let path = format!("/v1/rebuilds/orders/{verb}");
    eventually("it begins", || projector.ask("POST", &path, &Value::Null).0 == 200);
    eventually("it catches up", || building(projector)["caught_up"] == true);
}
