//! The projector is killed in the middle of its work, and fed with holes.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{Orders, Products},
    Oracle, Plan, Stack,
    load::Load,
    planter::Plant,
    process::Process,
};
use uuid::Uuid;

use crate::happy::read_at;

#[tokio::test]
async fn a_projector_killed_between_its_steps_neither_loses_nor_doubles() {
    let mut stack = Stack::start(Plan { projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 31, 8).await;
    for round in 0..6 {
        let victim = round % 2;
        let failpoint = if round % 4 < 2 { "before" } else { "after" };
        stack.projectors[victim].kill();
        stack.projectors[victim].set("FAILPOINTS", &format!("projector::{failpoint}-apply={}*off->return", 3 + 2 * round));
        stack.projectors[victim].spawn();
        let ended = stack.projectors[victim].ended(Duration::from_secs(120)).await;
        assert!(!ended.success(), "{failpoint}: {ended}");
        stack.projectors[victim].set("FAILPOINTS", "");
        stack.projectors[victim].spawn();
        // Enough for every partition to get on: an event at which three processes died would be taken for their cause.
        load.accepts(200).await;
    }
    load.finish().await;
    Oracle::of(&stack).verify().await;
}

/// A rebalance has two rounds, and a member that dies between them leaves partitions that nobody has.
#[tokio::test]
async fn what_a_projector_died_giving_up_is_given_to_somebody() {
    let mut stack = Stack::start(Plan { projectors: 2, ..Plan::default() }).await;
    stack.projectors.iter_mut().for_each(Process::kill);
    stack.projectors[0].set("FAILPOINTS", "projector::after-revoke=return");
    stack.projectors[0].spawn();
    let mut load = Load::begin(&stack.client(), 32, 8).await;
    load.accepts(100).await;
    load.finish().await;
    // It has all partitions now, as the other one's session has ended.
    Oracle::of(&stack).verify().await;

    stack.projectors[1].spawn();
    let ended = stack.projectors[0].ended(Duration::from_secs(120)).await;
    assert!(!ended.success(), "{ended}");
    stack.projectors[0].set("FAILPOINTS", "");
    stack.projectors[0].spawn();
    let mut load = Load::begin(&stack.client(), 33, 8).await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}

/// The relay is off, and the test publishes in its place, but for some versions.
#[tokio::test]
async fn a_gap_is_noticed_filled_from_the_store_and_counted() {
    let mut stack = Stack::start(Plan::default()).await;
    stack.commands[0].kill();
    stack.commands[0].set("RELAY_DELIVERY", "off");
    stack.commands[0].start().await;
    let client = stack.client();
    let (product, order) = (Uuid::now_v7(), Uuid::now_v7());
    let price = json!({"minor": 100, "currency": "GBP"});
    let create = json!({"sku": "A", "name": "Lantern", "price": price});
    let lines = json!({"lines": [{"product_id": product, "quantity": 2}]});
    for command in [
        Command::new(Products, "create-product", product, create).fact("product.created.v1", json!({})),
        Command::new(Orders, "place-order", order, lines).fact("order.placed.v1", json!({})),
        Command::new(Orders, "confirm-order", order, json!({})).fact("order.confirmed.v1", json!({})),
        Command::new(Orders, "ship-order", order, json!({})).fact("order.shipped.v1", json!({})),
        Command::new(Orders, "deliver-order", order, json!({})).fact("order.delivered.v1", json!({})),
    ] {
        client.send(&command).await.accepted();
    }
    let path = format!("/v1/orders/{order}/events");
    let history: Value = client.asking(&path).send().await.unwrap().json().await.unwrap();
    let projector = stack.projectors[0].url();
    // First a hole in the middle, then one at the beginning of what is known.
    for (version, gaps) in [(1, 0.0), (3, 1.0), (4, 1.0)] {
        Plant::recorded(Orders, &history["events"][version - 1]).plant(&stack, Orders).await;
        let view = read_at(&client, &format!("/v1/orders/{order}"), version as u64).await;
        assert_eq!(view["version"], version);
        stack.metric_reaches(&projector, "orderflow_projection_gaps_total", gaps).await;
    }
    assert!((stack.metric(&projector, "orderflow_projection_gaps_total").await - 1.0).abs() < 0.5, "one gap");
    // The relay comes back and publishes what it never did: duplicates for the projector.
    stack.commands[0].kill();
    stack.commands[0].set("RELAY_DELIVERY", "exactly-once");
    stack.commands[0].start().await;
    Oracle::of(&stack).verify().await;
    assert!(stack.metric(&projector, "orderflow_projection_duplicates_total").await >= 4.0);
}

/// The hole is at the very beginning: the stream is met for the first time at its third version.
#[tokio::test]
async fn a_stream_that_is_met_late_is_filled_from_its_beginning() {
    let mut stack = Stack::start(Plan::default()).await;
    stack.commands[0].kill();
    stack.commands[0].set("RELAY_DELIVERY", "off");
    stack.commands[0].start().await;
    let mut load = Load::begin(&stack.client(), 32, 4).await;
    load.accepts(60).await;
    load.finish().await;
    let entries = stack.ledger.entries();
    let longest = entries.iter().filter(|entry| entry.context == Products).max_by_key(|entry| entry.version).unwrap();
    let path = format!("/v1/products/{}/events?after={}", longest.id, longest.version - 1);
    let history: Value = stack.client().asking(&path).send().await.unwrap().json().await.unwrap();
    Plant::recorded(Products, &history["events"][0]).plant(&stack, Products).await;
    read_at(&stack.client(), &format!("/v1/products/{}", longest.id), longest.version).await;
    stack.metric_reaches(&stack.projectors[0].url(), "orderflow_projection_gaps_total", 1.0).await;
    stack.commands[0].kill();
    stack.commands[0].set("RELAY_DELIVERY", "exactly-once");
    stack.commands[0].start().await;
    Oracle::of(&stack).verify().await;
}
