//! What a slot says of itself: whether it has everything, or where it will have.

use events::{Context, RecordedEvent};
use read_model::Slot;

use super::{
    history::CommandService,
    oracle::assert_equals_fold,
    process::Projector,
    world::{World, eventually, generation, interleaved, order},
};

fn goal(world: &World, slot: &Slot) -> Option<String> {
    redis::cmd("HGET").arg(slot.state()).arg("goal").query(&mut world.redis()).unwrap()
}

fn all_complete(world: &World) -> bool {
    let slots = Context::ALL.into_iter().flat_map(|context| generation().slots(&world.prefix, context));
    slots.map(|slot| goal(world, &slot)).all(|goal| goal.as_deref() == Some(""))
}

#[test]
fn a_new_installation_is_complete_at_once() {
    let world = World::new();
    let projector = Projector::start(&world);
    eventually("every slot says that it is complete", || all_complete(&world));
    let order = order(1);
    world.write(Context::Orders, &order);
    assert_equals_fold(&world, order.len(), &order);
    assert!(all_complete(&world), "what is new does not make it incomplete");
    projector.stop();
}

#[test]
fn an_emptied_slot_is_incomplete_until_it_has_what_the_log_had() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    commands.set_down(true);
    let gapped = order(1);
    commands.knows(&gapped);
    // The gap keeps the worker from going on, so that there is time to look.
    world.write(Context::Orders, &gapped[1..]);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    let slot = world.slot(Context::Orders, gapped[0].stream_id);
    eventually("it says where it will be complete", || goal(&world, &slot) == Some((gapped.len() - 1).to_string()));
    // A restart on the way keeps the goal.
    projector.stop();
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    eventually("it goes on", || projector.ready().contains("command service: it answered 503"));
    assert_eq!(goal(&world, &slot), Some((gapped.len() - 1).to_string()));
    commands.set_down(false);
    assert_equals_fold(&world, gapped.len() - 1, &gapped);
    eventually("it says that it is complete", || all_complete(&world));
}

#[test]
fn a_slot_that_was_set_back_is_incomplete_again() {
    let world = World::new();
    let group = [("GROUP_ID", world.prefix.as_str())];
    let projector = Projector::start_with(&world, &group);
    let events = interleaved(&[order(1), order(2), order(3)]);
    world.write(Context::Orders, &events);
    assert_equals_fold(&world, events.len(), &events);
    let said = |projector: &Projector| projector.log().contains("Redis was set back");
    assert!(!said(&projector));
    // As a restored backup: an earlier checkpoint. The worker finds another revision than it left.
    let set_back = |events: &[RecordedEvent]| {
        let state = world.slot(Context::Orders, events[0].stream_id).state();
        let set: redis::RedisResult<()> =
            redis::cmd("HSET").arg(state).arg(&["rev", "1", "offset", "0"]).query(&mut world.redis());
        set.unwrap();
    };
    set_back(&events);
    eventually("it says so", || said(&projector));
    assert_equals_fold(&world, events.len(), &events);
    eventually("all is complete again", || all_complete(&world));
    projector.stop();
    // A restart alone is no reason.
    let projector = Projector::start_with(&world, &group);
    let later = order(4);
    world.write(Context::Orders, &later);
    let events = [events, later].concat();
    assert_equals_fold(&world, events.len(), &events);
    assert!(!said(&projector));
    projector.stop();
    // While nobody was there to see it, only the group's offsets tell.
    set_back(&events);
    let projector = Projector::start_with(&world, &group);
    eventually("it says so", || said(&projector));
    assert_equals_fold(&world, events.len(), &events);
    eventually("all is complete again", || all_complete(&world));
}
