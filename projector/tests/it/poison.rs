//! Events that can't be handled.

use std::time::Duration;

use events::{Context, topics};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use read_model::{StoredView, keys::Parked};

use super::{
    history::CommandService,
    oracle::{assert_equals_fold, offsets},
    process::Projector,
    world::{World, eventually, headers_as, interleaved, order},
};

/// Why a stream of orders is parked, if it is.
pub(crate) fn parked(world: &World, stream: events::StreamId) -> Option<Parked> {
    let mut get = redis::cmd("HGET");
    get.arg(world.slot(Context::Orders, stream).parked()).arg(stream.simple().to_string());
    let json: Option<Vec<u8>> = get.query(&mut world.redis()).unwrap();
    json.map(|json| serde_json::from_slice(&json).unwrap())
}

pub(crate) struct Letter {
    key: String,
    value: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Letter {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// All letters there are; waits until there are as many as expected, and a little for more than that.
pub(crate) fn letters(world: &World, expected: usize) -> Vec<Letter> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &world.brokers)
        .set("group.id", format!("{}-reader", world.prefix))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut all = rdkafka::TopicPartitionList::new();
    let topic = topics::dead_letters(&world.prefix);
    all.add_partition_range(&topic, 0, 11);
    all.set_all_offsets(rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&all).unwrap();
    let mut found = Vec::new();
    let mut read = |wait| {
        while let Some(message) = consumer.poll(wait) {
            let message = message.unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let headers = message.headers().unwrap().iter();
            found.push(Letter {
                key: text(message.key().unwrap()),
                value: message.payload().unwrap().to_vec(),
                headers: headers.map(|header| (header.key.to_owned(), text(header.value.unwrap()))).collect(),
            });
        }
        found.len()
    };
    eventually("the dead letters are there", || read(Duration::from_millis(100)) >= expected);
    read(Duration::from_secs(1));
    found
}

#[test]
fn a_poisoned_stream_is_parked_with_all_that_follows_and_others_go_on() {
    let world = World::new();
    let projector = Projector::start(&world);
    let (poisoned, healthy) = (order(1), order(2));
    let key = poisoned[0].stream_id.to_string();
    world.write(Context::Orders, &poisoned[..1]);
    let unknown = || world.write_raw(Context::Orders, &key, headers_as(&poisoned[1], "order.exploded.v9"), b"{\"why\":1}");
    unknown();
    world.write(Context::Orders, &poisoned[2..4]);
    world.write(Context::Orders, &healthy);
    eventually("the healthy stream is applied", || projector.metric("orderflow_projection_events_total") == 6);
    eventually("three letters are counted", || projector.metric("orderflow_dead_letters_total") == 3);

    let slot = world.slot(Context::Orders, poisoned[0].stream_id);
    let stored: Vec<u8> = redis::cmd("GET").arg(slot.view(poisoned[0].stream_id)).query(&mut world.redis()).unwrap();
    let stored = StoredView::decode(&stored).unwrap();
    assert!(stored.header.flags.is_parked() && stored.header.version == 1);
    let parked = || parked(&world, poisoned[0].stream_id).unwrap();
    assert_eq!((parked().version, parked().until), (2, 4));
    assert!(parked().cause.contains("order.exploded.v9"), "{}", parked().cause);
    assert_eq!((parked().attempts, parked().event_type.as_str(), parked().last), (1, "order.exploded.v9", parked().since));

    // What comes again is not sent again, also by a projector that knows of it from Redis alone; what is new is.
    projector.stop();
    let projector = Projector::start(&world);
    unknown();
    world.write(Context::Orders, &poisoned[2..5]);
    eventually("the last event is parked too", || parked().until == 5);
    let letters = letters(&world, 4);
    let versions: Vec<_> = letters.iter().map(|letter| letter.header("dl_version")).collect();
    assert_eq!(versions, ["2", "3", "4", "5"]);
    assert!(letters.iter().all(|letter| letter.key == key && letter.header("dl_stream") == key));
    assert!(letters.iter().all(|letter| letter.header("dl_fingerprint") == parked().fingerprint));
    assert_eq!(letters[0].value, b"{\"why\":1}");
    assert_eq!((letters[0].header("ce_type"), letters[0].header("dl_projection")), ("order.exploded.v9", "orders"));
    assert_eq!(letters[0].header("dl_topic"), topics::events(&world.prefix, Context::Orders));
    assert!(letters[1].header("dl_cause").contains("follows version 2"));
    assert_eq!(letters[0].header("dl_id"), format!("orders@1/{key}/2"));
    drop(projector);
}

#[test]
fn an_event_that_does_not_fit_and_a_record_that_is_none_are_parked() {
    let world = World::new();
    let projector = Projector::start(&world);
    let (headless, broken) = (order(1), order(2));
    let broken_key = broken[0].stream_id.to_string();
    // Confirmed before it was placed.
    world.write_raw(Context::Orders, &broken_key, headers_as(&broken[0], "order.confirmed.v1"), b"{}");
    // No envelope at all: nobody's event, so no stream waits behind it.
    let key = headless[0].stream_id.to_string();
    world.write_raw(Context::Orders, &key, rdkafka::message::OwnedHeaders::new(), b"noise");
    world.write(Context::Orders, &headless);
    eventually("the stream of the noise goes on", || projector.metric("orderflow_projection_events_total") == 5);
    let letters = letters(&world, 2);
    let of = |key: &str| letters.iter().find(|letter| letter.key == key).unwrap();
    assert!(of(&broken_key).header("dl_cause").contains("does not begin with this event"));
    assert!(of(&key).header("dl_cause").contains("ce_"), "{}", of(&key).header("dl_cause"));
    assert_eq!((letters.len(), of(&key).header("dl_version")), (2, ""));
}

#[test]
fn an_event_that_kills_the_process_is_a_dead_letter_after_three_starts() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let orders: Vec<_> = (0..12).map(order).collect();
    let deadly = &orders[5];
    let events = interleaved(&orders);
    world.write(Context::Orders, &events);
    commands.knows(deadly);
    let failpoint = format!("projector::fold=return({}/2)", deadly[0].stream_id);
    let settings = [("COMMAND_SERVICE_URL", url.as_str()), ("FAILPOINTS", failpoint.as_str())];
    let is_parked = || parked(&world, deadly[0].stream_id).is_some();
    let (mut deaths, mut projector) = (0, Projector::start_with(&world, &settings));
    while !is_parked() {
        eventually("it dies, or gives the event up", || !projector.is_running() || is_parked());
        if !projector.is_running() {
            projector.died();
            deaths += 1;
            projector = Projector::start_with(&world, &settings);
        }
    }
    // The first may have died with the event in a later chunk than its first: the checkpoint had moved by then.
    assert!((3..=4).contains(&deaths), "it died {deaths} times");
    let others: Vec<_> = events.iter().filter(|event| event.stream_id != deadly[0].stream_id).cloned().collect();
    let parked = || parked(&world, deadly[0].stream_id);
    eventually("it is parked with all that follows", || parked().is_some_and(|parked| parked.until == 5));
    let found = parked().unwrap();
    assert_eq!((found.version, found.attempts, found.cause.as_str()), (2, 3, "handling it ended the process 3 times"));
    assert_eq!(letters(&world, 4).len(), 4);
    eventually("all others are applied", || offsets(&world) >= i64::try_from(events.len()).unwrap());
    let held = world.keys();
    let views = others.iter().map(|event| world.slot(Context::Orders, event.stream_id).view(event.stream_id));
    assert!({ views }.all(|view| held.contains(&view)), "a view of another order is missing");
    projector.stop();

    // With the defect repaired it is redriven, and Redis holds the fold: nobody else's event was taken for the killer.
    let projector = Projector::start_with(&world, &settings[..1]);
    let path = format!("/v1/dead-letters/orders/{}/retry", deadly[0].stream_id);
    eventually("it is redriven", || projector.ask("POST", &path, &serde_json::Value::Null).1["outcome"] == "redriven");
    assert_equals_fold(&world, events.len(), &events);
}

#[test]
fn too_many_parked_streams_stop_the_partition_until_there_are_fewer() {
    let world = World::new();
    let (commands, url) = CommandService::start(&world);
    let settings = [("COMMAND_SERVICE_URL", url.as_str()), ("MAX_PARKED_STREAMS", "2")];
    // All in one partition.
    let mut orders: Vec<_> = (0..60).map(order).collect();
    let slot = world.slot(Context::Orders, orders[0][0].stream_id);
    orders.retain(|order| world.slot(Context::Orders, order[0].stream_id) == slot);
    let orders = &orders[..5];
    let projector = Projector::start_with(&world, &settings);
    let poison = |order: &[events::RecordedEvent]| {
        commands.knows(&order[..2]);
        world.write(Context::Orders, &order[..1]);
        let key = order[0].stream_id.to_string();
        world.write_raw(Context::Orders, &key, headers_as(&order[1], "order.exploded.v9"), b"{}");
        world.flush();
        eventually("it is parked", || parked(&world, order[0].stream_id).is_some());
    };
    orders[..2].iter().for_each(|order| poison(order));
    world.write(Context::Orders, &orders[3]);
    eventually("two are not too many", || projector.metric("orderflow_projection_events_total") == 7);
    poison(&orders[2]);
    eventually("it says why it stands still", || projector.ready().contains("3 streams are parked, and MAX_PARKED_STREAMS is 2"));
    assert!(projector.metric("orderflow_projection_standing") > 0 && projector.log().contains("rather than flood"));
    let before = offsets(&world);
    world.write(Context::Orders, &orders[4]);

    // A restart stands still too; a redrive is possible nevertheless, and then it goes on by itself.
    projector.stop();
    let projector = Projector::start_with(&world, &settings);
    eventually("it stands still again", || projector.ready().contains("MAX_PARKED_STREAMS"));
    assert_eq!(offsets(&world), before);
    let path = format!("/v1/dead-letters/orders/{}/retry", orders[0][0].stream_id);
    eventually("one is redriven", || projector.ask("POST", &path, &serde_json::Value::Null).1["outcome"] == "redriven");
    eventually("it goes on", || offsets(&world) == before + 5);
    eventually("nothing stands still", || projector.ready().contains("\"partitions\":{\"status\":\"ok\""));
}
