//! A topic gets more partitions while all runs.

use events::{Context, RecordedEvent};
use read_model::Generation;

use super::{
    history::CommandService,
    oracle::{assert_equals_fold, expected_in, found_in},
    process::Projector,
    rebuild::pointers,
    world::{PARTITIONS, World, eventually, generation, interleaved, order},
};

#[test]
fn a_topic_that_gets_more_partitions_is_built_anew_and_nothing_is_lost() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    let mut events = interleaved(&(0..40).map(order).collect::<Vec<_>>());
    // Every other order has two more events to come; what the others had lies where the old count put it.
    let later: Vec<RecordedEvent> = events.split_off(120).into_iter().step_by(2).collect();
    commands.knows(&events);
    commands.knows(&later);
    world.write(Context::Orders, &events);
    assert_equals_fold(&world, events.len(), &events);

    world.grow(Context::Orders, 2 * PARTITIONS);
    // A relay that knows of it, and one that does not yet.
    let (known, unknown) = later.split_at(15);
    world.write_anew(Context::Orders, known);
    world.write(Context::Orders, unknown);
    events.extend(later);
    let more = interleaved(&(40..60).map(order).collect::<Vec<_>>());
    commands.knows(&more);
    world.write_anew(Context::Orders, &more[..50]);
    world.write(Context::Orders, &more[50..]);
    events.extend(more);

    let read = world.slot(Context::Orders, events[0].stream_id).view(events[0].stream_id);
    eventually("another generation takes its place", || {
        let is_there: bool = redis::cmd("EXISTS").arg(&read).query(&mut world.redis()).unwrap();
        let live = pointers(&world).live.unwrap();
        assert!(live.number == 2 || is_there, "what is read is there until then");
        live.number == 2
    });
    let live = pointers(&world).live.unwrap();
    assert_eq!(live, Generation { number: 2, partitions: 2 * PARTITIONS, ..generation() });
    let expected = expected_in(&world, live, &events);
    eventually("all is where readers look for it", || found_in(&world, 2) == expected);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
    projector.stop();
}
