//! Events that nobody can read.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{Orders, Products},
    Oracle, Plan, Stack, dead_letters,
    load::Load,
    planter::Plant,
    wait::until,
};
use uuid::Uuid;

use crate::happy::read_at;

#[tokio::test]
async fn an_event_that_can_t_be_read_stops_its_stream_and_no_other() {
    let mut stack = Stack::start(Plan::default()).await;
    let client = stack.client();
    let (product, order) = (Uuid::now_v7(), Uuid::now_v7());
    let price = json!({"minor": 100, "currency": "GBP"});
    let create = json!({"sku": "A", "name": "Lantern", "price": price});
    let lines = json!({"lines": [{"product_id": product, "quantity": 2}]});
    let command = |name, event, body| Command::new(Orders, name, order, body).fact(event, json!({}));
    client
        .send(&Command::new(Products, "create-product", product, create).fact("product.created.v1", json!({})))
        .await
        .accepted();
    client.send(&command("place-order", "order.placed.v1", lines)).await.accepted();
    client.send(&command("confirm-order", "order.confirmed.v1", json!({}))).await.accepted();
    read_at(&client, &format!("/v1/orders/{order}"), 2).await;

    let mut load = Load::begin(&client, 51, 4).await;
    Plant::event(order, 3, "order.shipped.v1", &json!({"carrier": 17})).plant(&stack, Orders).await;
    let projector = stack.projectors[0].url();
    stack.metric_reaches(&projector, "orderflow_dead_letters_total", 1.0).await;
    client.send(&command("ship-order", "order.shipped.v1", json!({}))).await.accepted();
    client.send(&command("deliver-order", "order.delivered.v1", json!({}))).await.accepted();
    load.accepts(100).await;

    // The later event of the stream is behind the bad one.
    let letters = until("two dead letters", Duration::from_secs(90), async || {
        let letters = dead_letters(&stack).await;
        (letters.len() >= 2).then_some(letters)
    })
    .await;
    let versions: Vec<_> = letters.iter().map(|letter| (letter["dl_stream"].clone(), letter["dl_version"].clone())).collect();
    assert_eq!(versions, [3, 4].map(|version| (order.to_string(), version.to_string())), "{letters:?}");
    assert!(letters[0]["dl_cause"].contains("order.shipped.v1"), "{letters:?}");
    says_that_it_is_parked(&client, order).await;

    // A restart knows it still, and sends nothing twice.
    stack.projectors[0].kill();
    stack.projectors[0].start().await;
    load.accepts(50).await;
    load.finish().await;
    Oracle::of(&stack).parked(Orders, order, 3).verify().await;
    says_that_it_is_parked(&client, order).await;
    assert_eq!(dead_letters(&stack).await.len(), 2);
}

async fn says_that_it_is_parked(client: &system_tests::Client, order: Uuid) {
    let path = format!("/v1/orders/{order}");
    let answer = client.reading(&format!("{path}?min_version=4")).header("prefer", "wait=10").send().await.unwrap();
    assert_eq!(answer.status(), 409);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], "https://orderflow.dev/problems/view-parked");
    assert_eq!((&problem["version"], &problem["parked_version"]), (&json!(2), &json!(3)), "{problem}");
    assert!(problem["cause"].as_str().is_some_and(|cause| cause.contains("order.shipped.v1")), "{problem}");
    // What there is can be read, and says that it is stale.
    let answer = client.reading(&path).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["orderflow-view"].to_str().unwrap()), (200, "stale; parked"));
    assert_eq!(answer.json::<Value>().await.unwrap()["version"], 2);
}

/// A record that is no event at all has no stream to be parked with.
#[tokio::test]
async fn rubbish_is_set_aside_and_nothing_waits_for_it() {
    let stack = Stack::start(Plan::default()).await;
    let mut load = Load::begin(&stack.client(), 52, 4).await;
    let rubbish = Plant { headers: Vec::new(), key: "rubbish".to_owned(), value: b"{".to_vec() };
    rubbish.plant(&stack, Orders).await;
    // An event under the key of another stream is not that stream's.
    let mut misplaced = Plant::event(Uuid::now_v7(), 1, "order.confirmed.v1", &json!({}));
    misplaced.key = Uuid::now_v7().to_string();
    misplaced.plant(&stack, Orders).await;
    // An event of a type that is not of this topic, of a stream that is nowhere.
    let unknown = Uuid::now_v7();
    Plant::event(unknown, 1, "order.teleported.v1", &json!({})).plant(&stack, Orders).await;
    stack.metric_reaches(&stack.projectors[0].url(), "orderflow_dead_letters_total", 3.0).await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).parked(Orders, unknown, 1).verify().await;
    let letters = dead_letters(&stack).await;
    assert_eq!(letters.len(), 3, "{letters:?}");
}
