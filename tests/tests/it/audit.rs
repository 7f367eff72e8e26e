//! The auditor: what is wrong in Redis is found, counted and put right, and nothing else is.

use std::time::Duration;

use redis::{AsyncCommands, aio::MultiplexedConnection};
use serde_json::json;
use system_tests::{
    Command,
    Context::{Orders, Products},
    Oracle, Plan, Stack,
    load::Load,
    oracle::partition_of,
    stack::PARTITIONS,
    wait::{until, until_every},
};
use uuid::Uuid;

use crate::happy::read_at;

const DIVERGENT: &str = "orderflow_audit_divergent_total";
const AUDITED: &str = "orderflow_audit_streams_total";

/// The sum over all projectors of a metric's samples whose labels have this text.
async fn labelled(stack: &Stack, name: &str, label: &str) -> f64 {
    let mut sum = 0.0;
    for projector in &stack.projectors {
        let Ok(answer) = reqwest::get(format!("{}/metrics", projector.url())).await else { continue };
        let text = answer.text().await.unwrap_or_default();
        let samples = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
        let samples = samples.filter(|line| line.contains(label));
        sum += samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>();
    }
    sum
}

async fn redis(stack: &Stack) -> MultiplexedConnection {
    redis::Client::open(stack.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

fn slot(stack: &Stack, context: &str, id: Uuid) -> String {
    let partition = partition_of(id.to_string().as_bytes(), PARTITIONS);
    format!("{}:{{g1:{context}:{partition}}}", stack.redis_prefix())
}

fn view(stack: &Stack, context: &str, id: Uuid) -> String {
    format!("{}:view:{}", slot(stack, context, id), id.simple())
}

/// Places and confirms an order; gives its view as it was when placed.
async fn confirmed_order(stack: &Stack) -> (Uuid, Vec<u8>) {
    let client = stack.client();
    let (product, order) = (Uuid::now_v7(), Uuid::now_v7());
    let create = json!({"sku": product, "name": "Lantern", "price": {"minor": 100, "currency": "GBP"}});
    let lines = json!({"lines": [{"product_id": product, "quantity": 2}]});
    let create = Command::new(Products, "create-product", product, create).fact("product.created.v1", json!({}));
    client.send(&create).await.accepted();
    let place = Command::new(Orders, "place-order", order, lines).fact("order.placed.v1", json!({}));
    client.send(&place).await.accepted();
    read_at(&client, &format!("/v1/orders/{order}"), 1).await;
    let placed = redis(stack).await.get(view(stack, "orders", order)).await.unwrap();
    let confirm = Command::new(Orders, "confirm-order", order, json!({})).fact("order.confirmed.v1", json!({}));
    client.send(&confirm).await.accepted();
    read_at(&client, &format!("/v1/orders/{order}"), 2).await;
    (order, placed)
}

/// Waits until the auditor has found something of this kind, and all is as it should be again.
async fn heals(stack: &Stack, kind: &str) {
    let label = format!("kind=\"{kind}\"");
    until(&format!("the auditor finds what is {kind}"), Duration::from_secs(90), async || {
        (labelled(stack, DIVERGENT, &label).await > 0.0).then_some(())
    })
    .await;
    let mut last = Vec::new();
    let healed = tokio::time::timeout(Duration::from_secs(90), async {
        loop {
            last = Oracle::of(stack).impatient().findings().await;
            if last.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    assert!(healed.await.is_ok(), "after {kind}: {last:#?}");
}

#[tokio::test]
async fn what_is_wrong_is_found_counted_and_repaired() {
    let environment = vec![("AUDIT_STREAMS_PER_SECOND", "300"), ("AUDIT_BEHIND_SECONDS", "1"), ("AUDIT_RECOUNT_SECONDS", "3600")];
    let stack = Stack::start(Plan { projector_environment: environment, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 81, 4).await;
    load.accepts(80).await;
    load.finish().await;
    let (order, placed) = confirmed_order(&stack).await;
    let (second, _) = confirmed_order(&stack).await;
    Oracle::of(&stack).verify().await;
    assert!(labelled(&stack, DIVERGENT, "").await < 1.0, "nothing is wrong yet");
    let mut redis = redis(&stack).await;
    let right: Vec<u8> = redis.get(view(&stack, "orders", order)).await.unwrap();
    let user = stack
        .ledger
        .entries()
        .iter()
        .find(|entry| entry.facts.iter().any(|fact| fact.event_type.starts_with("user.")))
        .map(|entry| entry.id)
        .unwrap();

    // A changed view; the counters know nothing of it.
    let text = String::from_utf8_lossy(&right[26..])
        .replace("\"total\":200", "\"total\":999")
        .replace("\"quantity\":2", "\"quantity\":9");
    let _: () = redis.set(view(&stack, "orders", order), [&right[..26], text.as_bytes()].concat()).await.unwrap();
    heals(&stack, "different").await;
    assert_eq!(redis.get::<_, Vec<u8>>(view(&stack, "orders", order)).await.unwrap(), right);

    // A view that is gone; a user's, too.
    let _: () = redis.del(view(&stack, "orders", second)).await.unwrap();
    let _: () = redis.del(view(&stack, "users", user)).await.unwrap();
    heals(&stack, "missing").await;

    // The order in a list where it was once, and no longer in one where it should be.
    let slot_of = slot(&stack, "orders", order);
    let listed: Vec<String> = redis.zrange(format!("{slot_of}:ix:recent"), 0, -1).await.unwrap();
    let member = listed.iter().find(|member| member.ends_with(&order.simple().to_string())).unwrap();
    let _: () = redis.zadd(format!("{slot_of}:ix:status:placed"), member, 0).await.unwrap();
    let _: () = redis.zrem(format!("{slot_of}:ix:recent"), member).await.unwrap();
    heals(&stack, "index").await;

    // A view of a stream that the store does not have.
    let stranger = Uuid::now_v7();
    let _: () = redis.set(view(&stack, "orders", stranger), &right).await.unwrap();
    heals(&stack, "extra").await;

    // An earlier state of the view, as from a backup.
    let _: () = redis.set(view(&stack, "orders", order), &placed).await.unwrap();
    heals(&stack, "behind").await;

    // A version that the store never had; and a view that is none.
    let mut ahead = right.clone();
    ahead[9] = 9;
    let _: () = redis.set(view(&stack, "orders", order), &ahead).await.unwrap();
    heals(&stack, "ahead").await;
}

#[tokio::test]
async fn what_never_belonged_into_a_list_is_taken_out_and_nothing_else_is() {
    let environment = vec![("AUDIT_STREAMS_PER_SECOND", "300"), ("AUDIT_RECOUNT_SECONDS", "3600")];
    let stack = Stack::start(Plan { projectors: 2, projector_environment: environment, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 83, 4).await;
    load.accepts(60).await;
    load.finish().await;
    let (order, _) = confirmed_order(&stack).await;
    Oracle::of(&stack).verify().await;
    let mut redis = redis(&stack).await;
    let (of_order, stranger) = (slot(&stack, "orders", order), Uuid::now_v7());
    let listed: Vec<String> = redis.zrange(format!("{of_order}:ix:recent"), 0, -1).await.unwrap();
    let member = listed.iter().find(|member| member.ends_with(&order.simple().to_string())).unwrap();
    // An order in a list where it never was, one that does not exist, an address of nobody.
    let _: () = redis.zadd(format!("{of_order}:ix:status:returned"), member, 0).await.unwrap();
    let unknown = format!("{}{}", &member[..16], stranger.simple());
    let _: () = redis.zadd(format!("{of_order}:ix:recent"), &unknown, 0).await.unwrap();
    let owners = format!("{}:own:email", slot(&stack, "users", stranger));
    let _: () = redis.hset(&owners, "nobody@example.org", stranger.simple().to_string()).await.unwrap();
    until("all three are taken out", Duration::from_secs(90), async || {
        (labelled(&stack, DIVERGENT, "kind=\"orphan\"").await >= 3.0).then_some(())
    })
    .await;
    let left: Vec<String> = redis.zrange(format!("{of_order}:ix:recent"), 0, -1).await.unwrap();
    assert_eq!(left, listed);
    assert!(!redis.hexists::<_, _, bool>(&owners, "nobody@example.org").await.unwrap());
    Oracle::of(&stack).verify().await;
    assert!(labelled(&stack, DIVERGENT, "").await < 3.5, "nothing else was wrong");
}

#[tokio::test]
async fn a_view_that_can_t_be_read_does_not_stop_its_partition() {
    let mut stack = Stack::start(Plan::default()).await;
    let (order, _) = confirmed_order(&stack).await;
    Oracle::of(&stack).verify().await;
    // Without what the projector remembers it has to read the view for the order's next event.
    stack.projectors[0].kill();
    let _: () = redis(&stack).await.set(view(&stack, "orders", order), b"rubbish").await.unwrap();
    stack.projectors[0].start().await;
    let client = stack.client();
    let ship = Command::new(Orders, "ship-order", order, json!({})).fact("order.shipped.v1", json!({}));
    client.send(&ship).await.accepted();
    let path = format!("/v1/orders/{order}?min_version=3");
    until("the order can be read again", Duration::from_secs(60), async || {
        client.read(&path).await.is_ok_and(|(status, ..)| status == 200).then_some(())
    })
    .await;
    assert!(labelled(&stack, DIVERGENT, "kind=\"different\"").await > 0.0);
    Oracle::of(&stack).settle().await;
    // The view was filled from the store, the new event with it: nothing was applied from the topic.
    let mut findings = Oracle::of(&stack).impatient().findings().await;
    findings.retain(|finding| !finding.contains("has counted"));
    assert!(findings.is_empty(), "{findings:#?}");
}

#[tokio::test]
async fn counters_that_are_wrong_are_recounted() {
    let environment = vec![("AUDIT_STREAMS_PER_SECOND", "5"), ("AUDIT_RECOUNT_SECONDS", "1")];
    let stack = Stack::start(Plan { projector_environment: environment, ..Plan::default() }).await;
    let (order, _) = confirmed_order(&stack).await;
    Oracle::of(&stack).verify().await;
    let mut redis = redis(&stack).await;
    let days = format!("{}:stat:days", slot(&stack, "orders", order));
    let fields: Vec<String> = redis.hkeys(&days).await.unwrap();
    let _: () = redis.hincr(&days, &fields[0], 1).await.unwrap();
    let _: () = redis.hset(&days, "1999-01-01|orders", 7).await.unwrap();
    heals(&stack, "counters").await;
}

#[tokio::test]
async fn under_load_and_with_kills_nothing_is_found() {
    let environment = vec![("AUDIT_STREAMS_PER_SECOND", "300"), ("AUDIT_RECOUNT_SECONDS", "1")];
    let plan = Plan { projectors: 2, projector_environment: environment, ..Plan::default() };
    let mut stack = Stack::start(plan).await;
    let mut load = Load::begin(&stack.client(), 82, 8).await;
    for victim in [0, 1] {
        load.accepts(150).await;
        let before = labelled(&stack, AUDITED, "").await;
        until_every(Duration::from_millis(200), "streams are audited under load", Duration::from_secs(90), async || {
            (labelled(&stack, AUDITED, "").await >= before + 100.0).then_some(())
        })
        .await;
        assert!(labelled(&stack, DIVERGENT, "").await < 1.0, "a false alarm");
        stack.projectors[victim].kill();
        stack.projectors[victim].start().await;
    }
    load.accepts(50).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    assert!(labelled(&stack, DIVERGENT, "").await < 1.0, "a false alarm");
}
