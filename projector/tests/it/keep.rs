//! How long what was read before is kept.

use chrono::{TimeDelta, Utc};
use events::Context;
use read_model::{Generation, Previous, keys};
use serde_json::Value;

use super::{
    oracle::assert_equals_fold,
    process::Projector,
    rebuild::{act, building, holds, pointers},
    world::{World, eventually, generation, interleaved, order},
};

/// As if the generation had been replaced so many minutes ago.
fn replaced(world: &World, context: Context, generation: Generation, minutes: i64) {
    let since = (Utc::now() - TimeDelta::minutes(minutes)).timestamp_millis();
    let previous = serde_json::to_string(&Previous { generation, since }).unwrap();
    let set = redis::cmd("HSET").arg(keys::generations(&world.prefix)).arg(format!("{context}:previous")).arg(previous).clone();
    let _: u64 = set.query(&mut world.redis()).unwrap();
}

fn has_previous(world: &World, context: Context) -> bool {
    let field = format!("{context}:previous");
    redis::cmd("HEXISTS").arg(keys::generations(&world.prefix)).arg(field).query(&mut world.redis()).unwrap()
}

fn has_keys_of(world: &World, number: u32) -> bool {
    let mark = format!("{{g{number}:orders:");
    world.keys().iter().any(|key| key.contains(&mark))
}

#[test]
fn what_was_read_is_kept_for_its_time_and_then_deleted() {
    let world = World::new();
    let projector = Projector::start_with(&world, &[("KEEP_PREVIOUS_HOURS", "2")]);
    let mut events = interleaved(&(0..20).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    assert_equals_fold(&world, events.len(), &events);
    act(&projector, "build");
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    eventually("it is switched to", || projector.ask("POST", "/v1/rebuilds/orders/switch", &Value::Null).0 == 200);
    let old = generation();

    // Its time is nearly over. Others' time is, so when both are gone there was a whole look at all of them.
    replaced(&world, Context::Orders, old, 115);
    for context in [Context::Users, Context::Products] {
        replaced(&world, context, Generation { number: 77, ..old }, 125);
        eventually("what is over is given up", || !has_previous(&world, context));
    }
    assert!(has_previous(&world, Context::Orders) && has_keys_of(&world, 1), "its time is not over");
    let more = order(30);
    world.write(Context::Orders, &more);
    events.extend(more);
    holds(&world, 1, &events);
    assert_eq!(act(&projector, "rollback")["live"]["number"], 1);
    assert_eq!(act(&projector, "rollback")["live"]["number"], 2);

    // Its time is over: it is given up, there is no way back, and its keys go while the new one is read.
    replaced(&world, Context::Orders, old, 125);
    eventually("it is given up", || !has_previous(&world, Context::Orders));
    let (status, answer) = projector.ask("POST", "/v1/rebuilds/orders/rollback", &Value::Null);
    assert_eq!((status, &answer["type"]), (409, &"https://orderflow.dev/problems/no-such-generation".into()), "{answer}");
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("there is no previous generation") && detail.contains("KEEP_PREVIOUS_HOURS"), "{detail}");
    assert_eq!(pointers(&world).live.unwrap().number, 2);
    eventually("its keys are gone", || pointers(&world).dropped.is_empty() && !has_keys_of(&world, 1));
    holds(&world, 2, &events);
    projector.stop();
}
