//! One order's journey: every hop of every event, and where it is stuck.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{Orders, Products},
    Plan, Stack,
    planter::Plant,
    wait::until,
};
use uuid::Uuid;

use crate::{
    happy::read_at,
    verify::{orderctl, said},
};

async fn journey(stack: &Stack, order: Uuid) -> Value {
    let output = orderctl(stack, &["journey", &order.to_string(), "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_journey_shows_every_hop_and_where_an_order_is_stuck() {
    let mut stack = Stack::start(Plan::default()).await;
    let client = stack.client();
    let (product, order) = (Uuid::now_v7(), Uuid::now_v7());
    let create = json!({"sku": product, "name": "Lantern", "price": {"minor": 100, "currency": "GBP"}});
    let lines = json!({"lines": [{"product_id": product, "quantity": 2}]});
    let step = |name, event, body| Command::new(Orders, name, order, body).fact(event, json!({}));
    client
        .send(&Command::new(Products, "create-product", product, create).fact("product.created.v1", json!({})))
        .await
        .accepted();
    client.send(&step("place-order", "order.placed.v1", lines)).await.accepted();
    client.send(&step("confirm-order", "order.confirmed.v1", json!({}))).await.accepted();
    read_at(&client, &format!("/v1/orders/{order}"), 2).await;

    let whole = journey(&stack, order).await;
    assert_eq!((&whole["view_version"], &whole["stuck"]), (&json!(2), &Value::Null), "{whole}");
    let events = whole["events"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["order.placed.v1", "order.confirmed.v1"]);
    for event in events {
        assert!(event["committed"]["seq"].as_u64().is_some_and(|seq| seq > 0), "{event}");
        assert!(event["published"]["offset"].is_u64() && event["published"]["at"].is_string(), "{event}");
        assert!(event["applied"]["at"].is_string() && event["millis"]["total"].is_i64(), "{event}");
    }
    assert!(events[0]["published"]["offset"].as_u64() < events[1]["published"]["offset"].as_u64(), "{whole}");
    let table = said(&orderctl(&stack, &["journey", &order.to_string()]).await);
    assert!(table.contains("Everything has arrived."), "{table}");
    let nobody = orderctl(&stack, &["journey", &Uuid::now_v7().to_string()]).await;
    assert!(nobody.status.code() == Some(1) && said(&nobody).contains("no such order"), "{}", said(&nobody));

    // Committed, and nobody publishes.
    stack.commands[0].kill();
    stack.commands[0].set("RELAY_DELIVERY", "off");
    stack.commands[0].start().await;
    client.send(&step("ship-order", "order.shipped.v1", json!({}))).await.accepted();
    let unpublished = journey(&stack, order).await;
    assert_eq!((&unpublished["stuck"]["version"], &unpublished["stuck"]["at"]), (&json!(3), &json!("relay")), "{unpublished}");

    // Published so that nobody can read it.
    Plant::event(order, 3, "order.shipped.v1", &json!({"carrier": 17})).plant(&stack, Orders).await;
    let parked = until("the journey says that the order is parked", Duration::from_secs(60), async || {
        let journey = journey(&stack, order).await;
        (journey["stuck"]["at"] == "dead-letters").then_some(journey)
    })
    .await;
    assert!(parked["stuck"]["why"].as_str().is_some_and(|why| why.contains("order.shipped.v1")), "{parked}");
}
