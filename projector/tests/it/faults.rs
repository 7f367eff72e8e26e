//! Duplicates, gaps, crashes, a second projector, and a Redis that is emptied: in the end Redis holds the fold, exactly.

use events::{Context, RecordedEvent};

use super::{
    history::CommandService,
    oracle::{assert_equals_fold, expected, found},
    process::Projector,
    rebuild::pointers,
    world::{PARTITIONS, World, eventually, generation, interleaved, order},
};

pub(super) fn orders(count: u64) -> Vec<Vec<RecordedEvent>> {
    (0..count).map(order).collect()
}

#[test]
fn duplicates_change_nothing() {
    let world = World::new();
    let projector = Projector::start(&world);
    let events = interleaved(&orders(40));
    for part in events.chunks(70) {
        world.write(Context::Orders, part);
        world.write(Context::Orders, &part[..part.len() / 2]);
        world.write(Context::Orders, &events[..10]);
    }
    let records = events.len() + events.chunks(70).map(|part| part.len() / 2 + 10).sum::<usize>();
    assert_equals_fold(&world, records, &events);
    assert_eq!(projector.metric("orderflow_projection_events_total"), 200);
    assert_eq!(projector.metric("orderflow_projection_duplicates_total"), u64::try_from(records - 200).unwrap());
    eventually("no lag is reported", || projector.metric("orderflow_projection_lag_records") == 0);
    projector.stop();
}

/// A relay that dies in a transaction leaves facts of the store behind, and its successor writes them again.
#[test]
fn nobody_waits_for_the_end_of_a_transaction_and_an_aborted_one_doubles_nothing() {
    let world = World::new();
    let projector = Projector::start(&world);
    let events = interleaved(&orders(20));
    world.write_and_abort(&events[..60], || projector.metric("orderflow_projection_events_total") == 60);
    world.write(Context::Orders, &events);
    let expected = expected(&world, &events);
    eventually("Redis holds the fold", || found(&world) == expected);
    assert_eq!(projector.metric("orderflow_projection_duplicates_total"), 60);
    eventually("no lag is reported", || projector.metric("orderflow_projection_lag_records") == 0);
}

#[test]
fn a_gap_is_filled_from_the_event_store_and_only_its_partition_waits_for_it() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    commands.set_down(true);
    let gapped = order(1);
    let partition = world.slot(Context::Orders, gapped[0].stream_id);
    let mut others = orders(30);
    others.retain(|other| world.slot(Context::Orders, other[0].stream_id) != partition);
    commands.knows(&gapped);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    world.write(Context::Orders, &[gapped[0].clone(), gapped[3].clone(), gapped[4].clone()]);
    eventually("the projector asks for the missing events", || commands.was_asked());
    let others = interleaved(&others);
    world.write(Context::Orders, &others);
    let applied = u64::try_from(others.len()).unwrap();
    eventually("the other partitions go on", || projector.metric("orderflow_projection_events_total") >= applied);
    eventually("the projector says what it waits for", || projector.ready().contains("command service: it answered 503"));
    commands.set_down(false);
    let mut all = others.clone();
    all.extend(gapped);
    assert_equals_fold(&world, others.len() + 3, &all);
    assert_eq!(projector.metric("orderflow_projection_gaps_total"), 1);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
    eventually("nothing stands still", || projector.ready().contains("\"partitions\":{\"status\":\"ok\""));
}

#[test]
fn a_projector_killed_again_and_again_while_it_waits_blames_no_event() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    commands.set_down(true);
    let gapped = order(1);
    commands.knows(&gapped);
    world.write(Context::Orders, &[gapped[0].clone(), gapped[3].clone(), gapped[4].clone()]);
    for _ in 0..5 {
        let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
        eventually("it waits", || projector.ready().contains("command service: it answered 503"));
        // Dropped: killed.
    }
    commands.set_down(false);
    let projector = Projector::start_with(&world, &[("COMMAND_SERVICE_URL", &url)]);
    assert_equals_fold(&world, 3, &gapped);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
    assert!(projector.log().contains("a process died at this checkpoint"), "the deaths were noticed");
}

#[test]
fn a_kill_before_the_write_loses_nothing() {
    killed_at("projector::before-apply");
}

#[test]
fn a_kill_after_the_write_doubles_nothing() {
    killed_at("projector::after-apply");
}

fn killed_at(failpoint: &str) {
    let world = World::new();
    let events = interleaved(&orders(60));
    world.write(Context::Orders, &events);
    // A third death might be at the checkpoint of the first two, and then it is the records there that are blamed.
    for chunks in [0, 4] {
        let setting = format!("{failpoint}={chunks}*off->return");
        Projector::start_with(&world, &[("FAILPOINTS", &setting)]).died();
    }
    let _projector = Projector::start(&world);
    assert_equals_fold(&world, events.len(), &events);
}

#[test]
fn two_projectors_at_once_corrupt_nothing() {
    let world = World::new();
    let events = interleaved(&orders(100));
    let (first, second) = (Projector::start(&world), Projector::start(&world));
    for part in events.chunks(25) {
        world.write(Context::Orders, part);
    }
    assert_equals_fold(&world, events.len(), &events);
    // Both were at work, or nothing was tested: each event was applied once, and someone was turned away.
    let fenced = |projector: &Projector| projector.metric("orderflow_projection_restarts_total");
    eventually("someone was fenced", || fenced(&first) + fenced(&second) > 0);
    drop((first, second));
    assert_equals_fold(&world, events.len(), &events);
}

/// Nobody is fenced then: the slots were empty before, and are.
#[test]
fn a_redis_that_is_emptied_before_the_first_slot_is_begun_has_pointers_afterwards() {
    let world = World::new();
    let settings = [("FAILPOINTS", "projector::slow-begin=return(3000)")];
    let projector = Projector::start_with(&world, &settings);
    let workers = Context::ALL.len() * usize::try_from(PARTITIONS).unwrap();
    eventually("every worker is held up", || projector.log().matches("held up").count() == workers);
    let emptied: usize = redis::cmd("DEL").arg(world.keys()).query(&mut world.redis()).unwrap();
    assert!(emptied > 0, "the pointers were there");
    let states = || world.keys().iter().filter(|key| key.ends_with(":state")).count();
    assert_eq!(states(), 0, "it was in time");
    eventually("every slot is begun, and the pointers are there", || states() == workers && pointers(&world).has(generation()));
    let events = order(1);
    world.write(Context::Orders, &events);
    assert_equals_fold(&world, events.len(), &events);
}

#[test]
fn a_redis_that_is_emptied_under_way_is_filled_again() {
    let world = World::new();
    let projector = Projector::start(&world);
    let events = interleaved(&orders(200));
    let (before, after) = events.split_at(600);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for part in before.chunks(20) {
                world.write(Context::Orders, part);
            }
        });
        eventually("some is there", || projector.metric("orderflow_projection_events_total") > 100);
        empty(&world);
        writer.join().unwrap();
    });
    world.write(Context::Orders, after);
    assert_equals_fold(&world, events.len(), &events);
    // And again with nothing going on: nobody writes, so the projector has to look.
    empty(&world);
    assert_equals_fold(&world, events.len(), &events);
    assert!(projector.metric("orderflow_projection_restarts_total") > 0);
}

/// As FLUSHALL on a Redis that is this test's alone: its keys at one blow.
fn empty(world: &World) {
    let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    let mut redis = world.redis();
    let _: () = redis::cmd("EVAL").arg(script).arg(0).arg(format!("{}:*", world.prefix)).query(&mut redis).unwrap();
}
