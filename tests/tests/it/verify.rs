//! `orderctl verify`: silent where all is well, and it names each kind of damage, in Redis and on Kafka.

use std::process::{Command as Program, Output};

use redis::AsyncCommands;
use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{self, Orders, Products, Users},
    Oracle, Plan, Stack, binaries,
    load::Load,
    oracle::partition_of,
    planter::Plant,
    stack::{JWT_SECRET, PARTITIONS},
};
use uuid::Uuid;

use crate::happy::read_at;

/// Runs orderctl against the stack.
pub(crate) async fn orderctl(stack: &Stack, arguments: &[&str]) -> Output {
    let mut program = Program::new(binaries::program("orderctl"));
    program
        .args(arguments)
        .env_clear()
        .env("COMMAND_URL", stack.commands[0].url())
        .env("COMMAND_URL_PRODUCTS", stack.command_url(Products))
        .env("COMMAND_URL_ORDERS", stack.command_url(Orders))
        .env("COMMAND_URL_PAYMENTS", stack.command_url(Context::Payments))
        .env("QUERY_URL", stack.query.url())
        .env("PROJECTOR_URL", stack.projectors[0].url())
        .env("JWT_SECRET", JWT_SECRET);
    tokio::task::spawn_blocking(move || program.output()).await.unwrap().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn view(stack: &Stack, context: Context, id: Uuid) -> String {
    let partition = partition_of(id.to_string().as_bytes(), PARTITIONS);
    format!("{}:{{g1:{context}:{partition}}}:view:{}", stack.redis_prefix(), id.simple())
}

async fn history(stack: &Stack, context: Context, id: Uuid) -> Value {
    let path = format!("/v1/{context}/{id}/events");
    stack.client().asking(&path).send().await.unwrap().json().await.unwrap()
}

/// The numbers of a row of a table, by the row's first word and the column's name.
pub(crate) fn cell(text: &str, table: &str, row: &str, column: &str) -> u64 {
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.trim_start().starts_with(table)).collect();
    let header = lines[0].replace("out of order", "out-of-order");
    let at = header.split_whitespace().position(|name| name == column).unwrap();
    let row = lines.iter().find(|line| line.split_whitespace().next() == Some(row)).unwrap();
    row.split_whitespace().nth(at).unwrap().replace(',', "").parse().unwrap()
}

#[tokio::test]
async fn verify_is_silent_when_all_is_well_and_names_every_kind_of_damage() {
    let mut stack = Stack::start(Plan::default()).await;
    let mut load = Load::begin(&stack.client(), 91, 6).await;
    load.accepts(150).await;
    // While the system is at work nothing is wrong either.
    let output = orderctl(&stack, &["verify", "--full"]).await;
    assert!(output.status.success(), "{}", said(&output));
    load.finish().await;
    Oracle::of(&stack).verify().await;
    let output = orderctl(&stack, &["verify", "--full"]).await;
    assert!(output.status.success() && said(&output).contains("No difference."), "{}", said(&output));
    let streams = cell(&said(&output), "views", "orders", "streams");
    assert!(streams > 0 && streams == cell(&said(&output), "views", "orders", "compared"), "{}", said(&output));
    let sampled = orderctl(&stack, &["verify", "--sample", "8"]).await;
    assert!(sampled.status.success(), "{}", said(&sampled));

    // Kafka: a record a second time, and one that never came.
    let known = stack.ledger.entries().remove(3);
    let again = Plant::recorded(known.context, &history(&stack, known.context, known.id).await["events"][0]);
    again.plant_unmarked(&stack, known.context).await;
    stack.commands[0].kill();
    stack.commands[0].set("RELAY_DELIVERY", "off");
    stack.commands[0].start().await;
    let (client, product) = (stack.client(), Uuid::now_v7());
    let create = json!({"sku": product, "name": "Lantern", "price": {"minor": 100, "currency": "GBP"}});
    let adjust = json!({"delta": 5, "reason": "received"});
    client
        .send(&Command::new(Products, "create-product", product, create).fact("product.created.v1", json!({})))
        .await
        .accepted();
    client
        .send(&Command::new(Products, "adjust-stock", product, adjust).fact("product.stock-adjusted.v2", json!({})))
        .await
        .accepted();
    Plant::recorded(Products, &history(&stack, Products, product).await["events"][1]).plant_unmarked(&stack, Products).await;
    read_at(&client, &format!("/v1/products/{product}"), 2).await;

    // Redis: a view that is changed, one that is gone, one of nothing.
    let mut redis = redis::Client::open(stack.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut orders: Vec<Uuid> =
        stack.ledger.entries().iter().filter(|entry| entry.context == Orders).map(|entry| entry.id).collect();
    orders.sort_unstable();
    orders.dedup();
    let mut bytes: Vec<u8> = redis.get(view(&stack, Orders, orders[0])).await.unwrap();
    let _: () = redis.set(view(&stack, Orders, Uuid::now_v7()), &bytes).await.unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    let _: () = redis.set(view(&stack, Orders, orders[0]), &bytes).await.unwrap();
    let _: () = redis.del(view(&stack, Orders, orders[1])).await.unwrap();

    // Entries of an order that does not exist, and of one where it never was; an address of nobody.
    let stranger = Uuid::now_v7();
    let list =
        |order: Uuid, name: &str| view(&stack, Orders, order).replace(&format!("view:{}", order.simple()), &format!("ix:{name}"));
    let _: () = redis.zadd(list(orders[2], "recent"), format!("8005e0a0a0a0a0a0{}", stranger.simple()), 0).await.unwrap();
    let _: () = redis.zadd(list(orders[2], "never"), format!("8005e0a0a0a0a0a0{}", orders[2].simple()), 0).await.unwrap();
    let owners = view(&stack, Users, stranger).replace(&format!("view:{}", stranger.simple()), "own:email");
    let _: () = redis.hset(owners, "nobody@example.org", stranger.simple().to_string()).await.unwrap();

    let output = orderctl(&stack, &["verify", "--full"]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (column, number) in [("different", 1), ("missing", 1), ("extra", 1), ("behind", 0), ("orphan", 2)] {
        assert_eq!(cell(&text, "views", "orders", column), number, "{column}: {text}");
    }
    assert_eq!(cell(&text, "views", "users", "orphan"), 1, "{text}");
    assert!(text.contains(&format!("orders/{stranger}: the list recent of partition")), "{text}");
    assert!(text.contains(&format!("orders/{}: the list never of partition", orders[2])), "{text}");
    assert!(text.contains(&format!("users/{stranger}: it owns one email in partition")), "{text}");
    assert!(!text.contains("nobody@example.org"), "an address is told: {text}");
    let name = known.context.to_string();
    assert_eq!(cell(&text, "kafka", &name, "duplicates"), 1, "{text}");
    assert_eq!(cell(&text, "kafka", "products", "gaps"), 1, "{text}");
    assert!(text.contains(&format!("orders/{}: the view is different", orders[0])), "{text}");
    assert!(text.contains(&format!("kafka, missing: products/{product} version 1")), "{text}");
}
