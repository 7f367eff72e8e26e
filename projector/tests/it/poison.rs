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
    process::Projector,
    world::{World, eventually, headers_as, order},
};

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
    let parked = || -> Parked {
        let field = poisoned[0].stream_id.simple().to_string();
        let json: Vec<u8> = redis::cmd("HGET").arg(slot.parked()).arg(field).query(&mut world.redis()).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
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
