//! `orderctl dlq`: dead letters in an operator's hands, from the list to the last redrive.

use std::process::{Command as Program, Output};

use serde_json::json;
use sqlx::{Connection, PgConnection};
use system_tests::{
    Client, Command,
    Context::{Orders, Products, Users},
    Oracle, Plan, Stack,
    binaries::program,
    planter::Plant,
    stack::JWT_SECRET,
};
use uuid::Uuid;

const NAME: &str = "Zora Newname";

/// Runs `orderctl dlq`; what it says, and whether it was content.
async fn dlq(stack: &Stack, arguments: &[&str]) -> (String, bool) {
    let mut orderctl = Program::new(program("orderctl"));
    orderctl.arg("dlq").args(arguments).env("PROJECTOR_URL", stack.projectors[0].url()).env("JWT_SECRET", JWT_SECRET);
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || orderctl.output()).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!said.contains(NAME) && !said.contains("zora@"), "personal data is shown: {said}");
    (said, status.success())
}

/// The same, which has to go well.
async fn well(stack: &Stack, arguments: &[&str]) -> String {
    let (said, is_well) = dlq(stack, arguments).await;
    assert!(is_well, "{arguments:?}: {said}");
    said
}

async fn confirmed_orders(client: &Client, count: usize) -> Vec<Uuid> {
    let product = Uuid::now_v7();
    let price = json!({"minor": 100, "currency": "GBP"});
    let create = json!({"sku": "A", "name": "Lantern", "price": price});
    let lines = json!({"lines": [{"product_id": product, "quantity": 2}]});
    let create = Command::new(Products, "create-product", product, create).fact("product.created.v1", json!({}));
    client.send(&create).await.accepted();
    let orders: Vec<_> = (0..count).map(|_| Uuid::now_v7()).collect();
    for order in &orders {
        let command = |name, event, body| Command::new(Orders, name, *order, body).fact(event, json!({}));
        client.send(&command("place-order", "order.placed.v1", lines.clone())).await.accepted();
        client.send(&command("confirm-order", "order.confirmed.v1", json!({}))).await.accepted();
    }
    orders
}

/// Two orders with one failure, one with another, and a user; the store has what is right.
async fn poisoned(stack: &Stack, client: &Client) -> (Vec<Uuid>, Uuid) {
    let orders = confirmed_orders(client, 3).await;
    let user = Uuid::now_v7();
    let register = Command::new(Users, "register-user", user, json!({"name": "Zora", "email": "zora@example.org"}))
        .fact("user.registered.v1", json!({}))
        .personal("name", "Zora")
        .personal("email", "zora@example.org");
    client.send(&register).await.accepted();
    Oracle::of(stack).settle().await;
    for (number, order) in [17, 4711].into_iter().zip(&orders) {
        Plant::event(*order, 3, "order.shipped.v1", &json!({"carrier": number})).plant(stack, Orders).await;
    }
    Plant::event(orders[2], 3, "order.teleported.v1", &json!({})).plant(stack, Orders).await;
    Plant::event(user, 2, "user.name-changed.v1", &json!({"name": 1})).plant(stack, Users).await;
    stack.metric_reaches(&stack.projectors[0].url(), "orderflow_parked_streams", 4.0).await;
    for order in &orders {
        let ship = Command::new(Orders, "ship-order", *order, json!({"carrier": "Post"})).fact("order.shipped.v1", json!({}));
        client.send(&ship).await.accepted();
    }
    let rename = Command::new(Users, "change-user", user, json!({"name": NAME}))
        .fact("user.name-changed.v1", json!({}))
        .personal("name", NAME);
    client.send(&rename).await.accepted();
    Oracle::of(stack).settle().await;
    (orders, user)
}

#[tokio::test]
async fn an_operator_finds_tries_and_redrives_dead_letters() {
    let stack = Stack::start(Plan::default()).await;
    let client = stack.client();
    let (orders, user) = poisoned(&stack, &client).await;
    let names: Vec<_> = orders.iter().map(|order| format!("orders/{order}")).collect();
    let user = format!("users/{user}");

    let list = well(&stack, &["list"]).await;
    assert!(list.contains("4 parked streams in 3 groups") && list.contains(&user), "{list}");
    let group = list.lines().find(|line| line.contains("order.shipped.v1")).unwrap().split_whitespace().next().unwrap();
    let listed = well(&stack, &["list", "--group", group]).await;
    assert!(
        listed.contains("2 parked streams in 1 groups") && listed.contains(&names[0]) && listed.contains(&names[1]),
        "{listed}"
    );
    for (arguments, found) in
        [(["--type", "order.teleported.v1"], "1 parked"), (["--context", "users"], "1 parked"), (["--until", "1h"], "no dead")]
    {
        let listed = well(&stack, &[&["list"], &arguments[..]].concat()).await;
        assert!(listed.contains(found), "{arguments:?}: {listed}");
    }
    let shown = well(&stack, &["show", &user]).await;
    assert!(shown.contains("at version 1, stale") && shown.contains("redacted"), "{shown}");

    let dry = well(&stack, &["retry", "--all", "--dry-run"]).await;
    assert!(dry.contains("4 would-pass") && dry.contains("/status: \"confirmed\" → \"shipped\""), "{dry}");
    assert!(dry.contains("/name: \"[redacted]\""), "{dry}");

    // What the store has can't be read either: the canary fails, and its group is left alone.
    let mut postgres = PgConnection::connect(&stack.database.url).await.unwrap();
    let set = "UPDATE orders.events SET event_type = $1 WHERE stream_id = ANY($2) AND version = 3";
    let exploded = sqlx::query(set).bind("order.exploded.v9").bind(&orders[..2]).execute(&mut postgres).await.unwrap();
    assert_eq!(exploded.rows_affected(), 2);
    let (said, is_well) = dlq(&stack, &["retry", "--group", group, "--canary"]).await;
    assert!(!is_well && said.contains("the canary did not pass, 1 streams are left alone"), "{said}");
    assert!(said.contains("1 failed, 1 left alone"), "{said}");
    let log = well(&stack, &["log"]).await;
    assert_eq!((log.matches("retry").count(), log.matches("failed").count()), (1, 1), "{log}");
    sqlx::query(set).bind("order.shipped.v1").bind(&orders[..2]).execute(&mut postgres).await.unwrap();

    well(&stack, &["discard", &names[2], "--reason", "nobody waits for it"]).await;
    assert!(well(&stack, &["list", "--discarded"]).await.contains(&names[2]));
    let said = well(&stack, &["retry", "--all", "--canary"]).await;
    assert!(said.contains("3 redriven"), "{said}");
    assert!(well(&stack, &["list"]).await.contains("no dead letters"));
    assert!(well(&stack, &["show", &names[2]]).await.contains("nobody waits for it"));
    let said = well(&stack, &["retry", &names[2]]).await;
    assert!(said.contains("1 redriven"), "{said}");

    let log = well(&stack, &["log"]).await;
    assert!(log.contains("orderctl") && log.matches("redriven").count() == 4 && log.contains("nobody waits for it"), "{log}");
    Oracle::of(&stack).verify().await;
}

#[tokio::test]
async fn orderctl_dlq_wants_to_know_what_to_work_on() {
    for arguments in
        [&["retry"][..], &["retry", "--all", "--group", "x"], &["discard", "--all"], &["retry", "--all", "--canary", "--dry-run"]]
    {
        let mut orderctl = Program::new(program("orderctl"));
        orderctl.arg("dlq").args(arguments);
        let output = tokio::task::spawn_blocking(move || orderctl.output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}
