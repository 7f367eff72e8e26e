//! Nothing goes wrong.

use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{Orders, Products, Users},
    Oracle, Plan, Stack,
    load::Load,
};
use tokio::time::Instant;
use uuid::Uuid;

#[tokio::test]
async fn what_is_written_can_be_read_at_once() {
    let stack = Stack::start(Plan::default()).await;
    an_order_lives(&stack).await;
    Oracle::of(&stack).verify().await;
}

/// The life of an order, each step of which is read as soon as it is taken.
pub(crate) async fn an_order_lives(stack: &Stack) {
    let client = stack.client();
    let (user, product, order) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let register = Command::new(Users, "register-user", user, json!({"name": "Ann", "email": "ann@example.org"}))
        .fact("user.registered.v1", json!({}))
        .personal("name", "Ann")
        .personal("email", "ann@example.org");
    let price = json!({"minor": 255, "currency": "GBP"});
    let create = Command::new(Products, "create-product", product, json!({"sku": "85123A", "name": "Lantern", "price": price}))
        .fact("product.created.v1", json!({"sku": "85123A", "price": price}));
    for command in [&register, &create] {
        client.send(command).await.accepted();
    }
    let lines = json!([{"product_id": product, "quantity": 6}]);
    let place = Command::new(Orders, "place-order", order, json!({"user_id": user, "lines": lines}))
        .fact("order.placed.v1", json!({"total": 1530}));
    let (id, version) = client.send(&place).await.accepted();
    assert_eq!((id, version), (order, 1));
    let view = read_at(&client, &format!("/v1/orders/{order}"), version).await;
    assert_eq!((&view["status"], &view["total"], &view["user_id"]), (&json!("placed"), &json!(1530), &json!(user)));

    let step = |name, event, body: Value| Command::new(Orders, name, order, body).fact(event, json!({}));
    for (command, status) in [
        (step("confirm-order", "order.confirmed.v1", json!({})), "confirmed"),
        (step("ship-order", "order.shipped.v1", json!({"carrier": "Post"})), "shipped"),
        (step("deliver-order", "order.delivered.v1", json!({})), "delivered"),
        (step("return-order", "order.returned.v1", json!({"lines": [{"line": 1, "quantity": 6}]})), "returned"),
    ] {
        let (_, version) = client.send(&command).await.accepted();
        let view = read_at(&client, &format!("/v1/orders/{order}"), version).await;
        assert_eq!(view["status"], status);
    }
    // A version that is never written: a 504 that says how far behind the view is.
    let answer = client.reading(&format!("/v1/orders/{order}?min_version=9")).header("prefer", "wait=1").send().await.unwrap();
    assert_eq!(answer.status(), 504);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!((&problem["version"], &problem["min_version"]), (&json!(5), &json!(9)));
}

/// Reads a view that has at least this version.
pub(crate) async fn read_at(client: &system_tests::Client, path: &str, version: u64) -> Value {
    let begin = Instant::now();
    let path = format!("{path}?min_version={version}");
    let answer = client.reading(&path).header("prefer", "wait=20").send().await.unwrap();
    let status = answer.status();
    let view: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{path} after {:?}: {view}", begin.elapsed());
    assert!(view["version"].as_u64().is_some_and(|found| found >= version), "{view}");
    view
}

#[tokio::test]
async fn many_clients_and_two_of_everything_agree() {
    let stack = Stack::start(Plan { commands: 2, projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 1, 12).await;
    load.accepts(700).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    let refusals = stack.ledger.refusals();
    for status in [409, 412, 422] {
        assert!(refusals.contains_key(&status), "the load also tries what is refused with {status}: {refusals:?}");
    }
    // Lag is told in events and seconds.
    let lag = stack.metric(&stack.projectors[0].url(), "orderflow_projection_lag_records").await;
    assert!(lag < 1.0, "nothing is left to be projected: {lag}");
}
