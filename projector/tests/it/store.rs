//! Slots that the topic can't fill, because it does not reach back: they are filled from the event store.

use events::{Context, RecordedEvent};
use read_model::Filling;

use super::{
    history::CommandService,
    oracle::assert_equals_fold,
    poison::{letters, parked},
    process::Projector,
    rebuild::{act, building, differences, holds, pointers},
    world::{World, eventually, generation, interleaved, order},
};

/// The store has more events, and so has the topic.
fn happen(world: &World, commands: &CommandService, events: &mut Vec<RecordedEvent>, more: Vec<RecordedEvent>) {
    commands.knows(&more);
    world.write(Context::Orders, &more);
    events.extend(more);
}

/// How far the slots of orders are filled, as far as they are.
fn filling(world: &World) -> Vec<Filling> {
    let slots = generation().slots(&world.prefix, Context::Orders);
    let field = |slot: read_model::Slot| redis::cmd("HGET").arg(slot.state()).arg("filling").query(&mut world.redis()).unwrap();
    let found: Vec<String> = slots.filter_map(field).collect();
    found.iter().map(|json| serde_json::from_str(json).unwrap()).collect()
}

#[test]
fn an_empty_redis_is_filled_from_the_store_through_kills() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    // More than a page of each lane.
    let events = interleaved(&(0..900).map(order).collect::<Vec<_>>());
    let (deleted, kept) = events.split_at(3_800);
    let on_topic = events.len();
    world.write(Context::Orders, deleted);
    world.delete_records(Context::Orders);
    world.write(Context::Orders, kept);
    // The store has what the topic does not have yet.
    let later = order(901);
    commands.knows(&events);
    commands.knows(&later[..3]);
    let settings = |failpoint: &'static str| [("COMMAND_SERVICE_URL", url.as_str()), ("FAILPOINTS", failpoint)];
    Projector::start_with(&world, &settings("projector::after-apply=60*off->return")).died();
    let (done, all) = filling(&world).iter().map(Filling::progress).fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    assert!(0 < done && done < all, "in the midst of it: {done} of {all}");
    Projector::start_with(&world, &settings("projector::before-apply=60*off->return")).died();
    let (further, _) = filling(&world).iter().map(Filling::progress).fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    assert!(further > done, "it goes on where it was: {further} after {done}");
    let projector = Projector::start_with(&world, &settings("projector::after-apply=off"));
    let mut events = [&events, &later[..3]].concat();
    assert_equals_fold(&world, on_topic, &events);
    assert!(filling(&world).is_empty());
    // The topic goes on, with what the slots have from the store, and more.
    commands.knows(&later[3..]);
    world.write(Context::Orders, &later);
    events.extend_from_slice(&later[3..]);
    assert_equals_fold(&world, on_topic + later.len(), &events);
    // A build of the same is no different, and its partitions are filled by one reading: each on its own would take twelve
    // pages, and one that comes too late for a lane waits for it to come round.
    let pages = commands.pages();
    let answer = act(&projector, "build?from=store");
    assert_eq!(answer["building"]["origin"], "store");
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    assert!(commands.pages() - pages <= 8, "{} pages were read", commands.pages() - pages);
    holds(&world, 2, &events);
    assert_eq!(differences(&projector), 0);
    assert_eq!(act(&projector, "switch")["live"]["number"], 2);
    assert_eq!(projector.metric("orderflow_dead_letters_total"), 0);
    projector.stop();
}

#[test]
fn an_event_that_kills_the_process_while_a_slot_is_filled_is_parked() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let orders: Vec<_> = (0..9).map(order).collect();
    let events = interleaved(&orders);
    commands.knows(&events);
    world.write(Context::Orders, &events);
    world.delete_records(Context::Orders);
    let stream = orders[4][0].stream_id;
    let deadly = format!("projector::fold=return({stream}/2)");
    let settings = [("COMMAND_SERVICE_URL", url.as_str()), ("FAILPOINTS", deadly.as_str())];
    let mut deaths = 0;
    let projector = loop {
        let mut projector = Projector::start_with(&world, &settings);
        eventually("it dies or parks", || !projector.is_running() || parked(&world, stream).is_some());
        if parked(&world, stream).is_some() {
            break projector;
        }
        projector.died();
        deaths += 1;
    };
    // Once in a chunk and twice alone; more when another lane was read first and its records were suspected before.
    assert!((3..=6).contains(&deaths), "{deaths} deaths");
    eventually("the others are there", || parked(&world, stream).is_some_and(|parked| parked.until == 5));
    assert_eq!(parked(&world, stream).unwrap().version, 2);
    eventually("all is complete", || filling(&world).is_empty());
    let letters = letters(&world, 4);
    assert_eq!(letters.len(), 4);
    assert_eq!(letters[0].header("dl_cause"), "handling it ended the process 3 times");
    let mut known: Vec<_> = events.iter().filter(|event| event.stream_id != stream).cloned().collect();
    happen(&world, &commands, &mut known, order(10));
    eventually("the topic goes on", || {
        let slot = world.slot(Context::Orders, known.last().unwrap().stream_id);
        redis::cmd("EXISTS").arg(slot.view(known.last().unwrap().stream_id)).query::<bool>(&mut world.redis()).unwrap()
    });
    projector.stop();
}

#[test]
fn a_kept_generation_that_the_topic_has_left_behind_is_filled_in_place() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let settings = [("COMMAND_SERVICE_URL", url.as_str())];
    let mut events = Vec::new();
    happen(&world, &commands, &mut events, interleaved(&(0..20).map(order).collect::<Vec<_>>()));
    let projector = Projector::start_with(&world, &settings);
    assert_equals_fold(&world, events.len(), &events);
    act(&projector, "build");
    eventually("it catches up", || building(&projector)["caught_up"] == true);
    act(&projector, "pause");
    eventually("it stands still", || projector.log().contains("a generation is not fed any more"));
    happen(&world, &commands, &mut events, interleaved(&(20..40).map(order).collect::<Vec<_>>()));
    holds(&world, 1, &events);
    world.delete_records(Context::Orders);
    act(&projector, "build");
    eventually("it catches up again", || building(&projector)["caught_up"] == true);
    holds(&world, 2, &events);
    happen(&world, &commands, &mut events, order(41));
    holds(&world, 1, &events);
    holds(&world, 2, &events);
    projector.stop();
}

#[test]
fn what_is_read_is_built_anew_when_the_topic_has_left_it_behind() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let settings = [("COMMAND_SERVICE_URL", url.as_str())];
    let mut events = Vec::new();
    happen(&world, &commands, &mut events, interleaved(&(0..20).map(order).collect::<Vec<_>>()));
    let projector = Projector::start_with(&world, &settings);
    assert_equals_fold(&world, events.len(), &events);
    projector.stop();
    happen(&world, &commands, &mut events, interleaved(&(20..40).map(order).collect::<Vec<_>>()));
    world.delete_records(Context::Orders);
    let projector = Projector::start_with(&world, &settings);
    eventually("it is replaced", || pointers(&world).live.is_some_and(|live| live.number == 2));
    holds(&world, 2, &events);
    eventually("nothing stands still", || projector.ready().contains("\"partitions\":{\"status\":\"ok\""));
    projector.stop();
}
