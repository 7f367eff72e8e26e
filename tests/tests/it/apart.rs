//! Each context in a process of its own, on a database of its own: all goes as in one process.

use serde_json::{Value, json};
use system_tests::{
    Context::{Orders, Products, Users},
    Oracle, Plan, Stack,
    client::token,
    load::Load,
};
use uuid::Uuid;

use crate::{
    happy::an_order_lives,
    payments::an_order_is_paid,
    verify::{orderctl, said},
};

/// The process that runs products.
const PRODUCTS: usize = 1;

#[tokio::test]
async fn four_processes_on_four_databases_do_what_one_does() {
    let mut stack = Stack::start(Plan { apart: true, ..Plan::default() }).await;
    an_order_lives(&stack).await;
    an_order_is_paid(&stack).await;
    let mut load = Load::begin(&stack.client(), 101, 6).await;
    load.accepts(100).await;
    // Without products nobody knows what an order costs. Whoever places one is told, and what was placed goes on.
    stack.commands[PRODUCTS].kill();
    let order = json!({"lines": [{"product_id": Uuid::now_v7(), "quantity": 1}]});
    let (status, problem) = ask(&stack.command_url(Orders), "/v1/orders", &order).await;
    assert_eq!((status, &problem["context"]), (503, &json!("products")), "{problem}");
    let ready: Value = reqwest::get(format!("{}/ready", stack.command_url(Orders))).await.unwrap().json().await.unwrap();
    assert_eq!((&ready["status"], &ready["checks"]["context-products"]["status"]), (&json!("ready"), &json!("degraded")));
    stack.commands[PRODUCTS].start().await;
    load.accepts(60).await;
    load.finish().await;
    stack.ready().await;
    let (status, problem) = ask(&stack.command_url(Orders), "/v1/orders", &order).await;
    assert_eq!((status, &problem["rule"]), (422, &json!("UnknownProduct")), "{problem}");
    // Who is asked for what runs elsewhere says so, of commands and of everything else.
    let user = json!({"name": "Ann", "email": "ann@example.org"});
    let (status, problem) = ask(&stack.command_url(Products), "/v1/users", &user).await;
    assert_eq!((status, &problem["context"]), (421, &json!("users")), "{problem}");
    let (status, _) = ask(&stack.command_url(Users), "/v1/quotes", &json!({"ids": []})).await;
    assert_eq!(status, 421);
    Oracle::of(&stack).verify().await;
    // Who folds the stores finds each where it is.
    let output = orderctl(&stack, &["verify", "--full"]).await;
    assert!(output.status.success() && said(&output).contains("No difference."), "{}", said(&output));
}

/// Sends a body; gives status and answer.
async fn ask(base: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{base}{path}")).bearer_auth(token()).json(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}
