//! Generations: built beside the live one, switched to, gone back to, deleted; and built without being asked for.

use events::{Context, RecordedEvent};
use read_model::{Generation, Pointers, Previous};
use serde_json::Value;

use super::{
    history::CommandService,
    oracle::{assert_equals_fold, expected_in, found_in},
    process::Projector,
    world::{World, eventually, generation, interleaved, order},
};

pub(crate) fn pointers(world: &World) -> Pointers {
    let key = read_model::keys::generations(&world.prefix);
    let fields: Vec<(String, String)> = redis::cmd("HGETALL").arg(key).query(&mut world.redis()).unwrap();
    Pointers::parse(Context::Orders, fields.iter().map(|(field, value)| (field.as_str(), value.as_str()))).unwrap()
}

pub(crate) fn act(projector: &Projector, verb: &str) -> Value {
    let (status, answer) = projector.ask("POST", &format!("/v1/rebuilds/orders/{verb}"), &Value::Null);
    assert_eq!(status, 200, "{verb}: {answer}");
    answer
}

pub(crate) fn building(projector: &Projector) -> Value {
    let (_, answer) = projector.ask("GET", "/v1/rebuilds", &Value::Null);
    let orders = answer["rebuilds"].as_array().into_iter().flatten().find(|status| status["context"] == "orders").cloned();
    orders.unwrap_or_default()["building"].clone()
}

/// The report of a comparison of what is read with what is built.
pub(crate) fn compared(projector: &Projector) -> Value {
    let messages = projector.told("GET", "/v1/rebuilds/orders/differences");
    let last = messages.last().cloned().unwrap_or_default();
    assert!(last["report"].is_object(), "{last}");
    last["report"].clone()
}

pub(crate) fn differences(projector: &Projector) -> u64 {
    let report = compared(projector);
    let parts = ["views", "lists", "owners", "counters"].into_iter().map(|part| report[part].clone());
    parts.flat_map(|part| ["different", "missing", "extra"].map(|kind| part[kind].as_u64().unwrap())).sum()
}

pub(crate) fn holds(world: &World, number: u32, events: &[RecordedEvent]) {
    let expected = expected_in(world, Generation { number, ..generation() }, events);
    eventually(&format!("generation {number} holds the fold"), || found_in(world, number) == expected);
}

#[test]
fn a_generation_is_built_compared_switched_to_left_and_deleted() {
    let world = World::new();
    let projector = Projector::start(&world);
    let mut events = interleaved(&(0..60).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    assert_equals_fold(&world, events.len(), &events);
    let answer = act(&projector, "build");
    assert_eq!(answer["building"]["generation"]["number"], 2);
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    holds(&world, 2, &events);
    // Both are fed.
    let more = interleaved(&(60..80).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &more);
    events.extend(more);
    holds(&world, 1, &events);
    holds(&world, 2, &events);
    assert_eq!(differences(&projector), 0);
    // Damage in the live one is seen: a view that is another, and one that should not be there.
    let view = |number: u64| world.slot(Context::Orders, events[usize::try_from(number).unwrap()].stream_id);
    let key = view(0).view(events[0].stream_id);
    let stored: Vec<u8> = redis::cmd("GET").arg(&key).query(&mut world.redis()).unwrap();
    let _: () = redis::cmd("APPEND").arg(&key).arg(" ").query(&mut world.redis()).unwrap();
    assert_eq!(differences(&projector), 1);
    let _: () = redis::cmd("SET").arg(&key).arg(stored).query(&mut world.redis()).unwrap();
    assert_eq!(differences(&projector), 0);
    let answer = act(&projector, "switch");
    assert_eq!((&answer["live"]["number"], &answer["previous"]["generation"]["number"]), (&2.into(), &1.into()));
    // The old one is fed on, so that going back is no step back.
    let more = interleaved(&(80..90).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &more);
    events.extend(more);
    holds(&world, 2, &events);
    holds(&world, 1, &events);
    assert_eq!(act(&projector, "rollback")["live"]["number"], 1);
    assert_eq!(act(&projector, "rollback")["live"]["number"], 2);
    act(&projector, "finish");
    eventually("the old one is gone", || {
        pointers(&world).dropped.is_empty() && !world.keys().iter().any(|key| key.contains("{g1:orders"))
    });
    let more = order(91);
    world.write(Context::Orders, &more);
    events.extend(more);
    holds(&world, 2, &events);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
    projector.stop();
}

#[test]
fn a_build_survives_a_kill_a_pause_and_a_restart_and_can_be_given_up() {
    let world = World::new();
    let events = interleaved(&(0..60).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    let mut projector = Projector::start(&world);
    assert_equals_fold(&world, events.len(), &events);
    projector.stop();
    // The first chunks that it writes are those of the build.
    projector = Projector::start_with(&world, &[("FAILPOINTS", "projector::after-apply=4*off->return")]);
    eventually("it begins", || projector.ask("POST", "/v1/rebuilds/orders/build", &Value::Null).0 == 200);
    projector.died();
    let projector = Projector::start(&world);
    eventually("it goes on by itself", || building(&projector)["caught_up"] == true);
    holds(&world, 2, &events);
    act(&projector, "pause");
    eventually("it stands still", || projector.log().contains("a generation is not fed any more"));
    let more = order(70);
    world.write(Context::Orders, &more);
    let all = [events.clone(), more].concat();
    holds(&world, 1, &all);
    let (status, answer) = projector.ask("POST", "/v1/rebuilds/orders/switch", &Value::Null);
    assert_eq!((status, &answer["type"]), (409, &"https://orderflow.dev/problems/generation-behind".into()), "{answer}");
    act(&projector, "build");
    holds(&world, 2, &all);
    act(&projector, "abort");
    eventually("it is gone", || {
        pointers(&world).dropped.is_empty() && !world.keys().iter().any(|key| key.contains("{g2:orders"))
    });
    holds(&world, 1, &all);
    let (status, _) = projector.ask("POST", "/v1/rebuilds/orders/rollback", &Value::Null);
    assert_eq!(status, 409);
    projector.stop();
}

#[test]
fn a_read_model_that_does_not_fit_is_read_until_another_takes_its_place() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let settings = [("COMMAND_SERVICE_URL", url.as_str())];
    let events = interleaved(&(0..20).map(order).collect::<Vec<_>>());
    commands.knows(&events);
    world.write(Context::Orders, &events);
    let projector = Projector::start_with(&world, &settings);
    assert_equals_fold(&world, events.len(), &events);
    projector.stop();
    // As if another version of the projection had built it.
    let live = pointers(&world).live.unwrap();
    let older = serde_json::to_string(&Generation { projection: 0, ..live }).unwrap();
    let key = read_model::keys::generations(&world.prefix);
    let _: () = redis::cmd("HSET").arg(key).arg("orders").arg(older).query(&mut world.redis()).unwrap();
    let projector = Projector::start_with(&world, &settings);
    eventually("it is replaced", || pointers(&world).live.is_some_and(|live| live.number == 2));
    assert_eq!(pointers(&world).live.unwrap().projection, live.projection);
    holds(&world, 2, &events);
    projector.stop();
    assert_eq!(commands.pages(), 0, "the topic has all of it");
    // A checkpoint of another cluster, and one that the log does not have: who knows what else the log does not have.
    let unpublished = order(21);
    commands.knows(&unpublished);
    let events = [events, unpublished].concat();
    for (number, field, value) in [(2, "cluster", "elsewhere"), (3, "offset", "999999")] {
        let slot = Generation { number, ..live }.slot_of(&world.prefix, Context::Orders, events[0].stream_id);
        let _: u64 = redis::cmd("HSET").arg(slot.state()).arg(field).arg(value).query(&mut world.redis()).unwrap();
        let projector = Projector::start_with(&world, &settings);
        eventually("it is replaced", || pointers(&world).live.is_some_and(|live| live.number == number + 1));
        holds(&world, number + 1, &events);
        eventually("nothing stands still", || projector.ready().contains("\"partitions\":{\"status\":\"ok\""));
        projector.stop();
    }
}

#[test]
fn an_older_projector_feeds_what_can_be_gone_back_to() {
    let world = World::new();
    let mut events = interleaved(&(0..20).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &events);
    let projector = Projector::start(&world);
    assert_equals_fold(&world, events.len(), &events);
    projector.stop();
    // As if a newer projection had taken over meanwhile, and had been taken back.
    let former = pointers(&world).live.unwrap();
    let next = Pointers {
        live: Some(Generation { number: 2, projection: former.projection + 1, ..former }),
        previous: Some(Previous { generation: former, since: chrono::Utc::now().timestamp_millis() }),
        ..Pointers::default()
    };
    let key = read_model::keys::generations(&world.prefix);
    let fields: Vec<(String, String)> = next.fields(Context::Orders).unwrap().into_iter().collect();
    let _: u64 = redis::cmd("HSET").arg(key).arg(fields).query(&mut world.redis()).unwrap();
    let more = interleaved(&(20..30).map(order).collect::<Vec<_>>());
    world.write(Context::Orders, &more);
    events.extend(more);
    let projector = Projector::start(&world);
    holds(&world, 1, &events);
    assert_eq!(act(&projector, "rollback")["live"]["number"], 1);
    let more = order(31);
    world.write(Context::Orders, &more);
    events.extend(more);
    holds(&world, 1, &events);
    projector.stop();
}
