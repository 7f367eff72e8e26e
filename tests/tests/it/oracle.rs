//! The oracle sees what is wrong: each place is damaged once, and it says so. Without this, its silence would mean nothing.

use redis::AsyncCommands;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use system_tests::{Context, Ledger, Oracle, Plan, Stack, ledger::Entry, load::Load, planter::Plant};
use uuid::Uuid;

#[tokio::test]
async fn the_oracle_sees_every_kind_of_damage() {
    let mut stack = Stack::start(Plan::default()).await;
    let mut load = Load::begin(&stack.client(), 7, 6).await;
    load.accepts(300).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    wrong_ledgers(&stack).await;
    wrong_redis(&stack).await;
    wrong_kafka(&stack).await;
    wrong_postgres(&mut stack).await;
}

/// What the oracle says must contain each of these.
async fn says(stack: &Stack, expected: &[&str]) {
    let findings = Oracle::of(stack).impatient().verdict().await;
    for text in expected {
        assert!(findings.iter().any(|finding| finding.contains(text)), "nothing says {text:?}: {findings:#?}");
    }
}

async fn wrong_ledgers(stack: &Stack) {
    let ledger = Ledger::default();
    let known = stack.ledger.entries().remove(5);
    // An acknowledged command that is nowhere, and the same answer for two keys.
    ledger.accepted(Entry { id: Uuid::now_v7(), ..known.clone() }, None);
    ledger.accepted(known.clone(), Some("a"));
    ledger.accepted(known.clone(), Some("b"));
    // The same key, two answers.
    ledger.accepted(Entry { version: known.version + 1, ..known.clone() }, Some("a"));
    // Another seq than was told.
    let other = stack.ledger.entries().remove(8);
    ledger.accepted(Entry { seq: other.seq + 1, ..other }, None);
    let findings = Oracle::of(stack).with_ledger(&ledger).impatient().findings().await;
    for text in ["is missing: Entry", "two commands were told", "answered twice", "the client was told", "nobody was told"] {
        assert!(findings.iter().any(|finding| finding.contains(text)), "nothing says {text:?}: {findings:#?}");
    }
}

async fn wrong_redis(stack: &Stack) {
    let url = stack.redis.url();
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let pattern = |part: &str| format!("{}:*{part}*", stack.redis_prefix());
    let list: Vec<String> = redis.keys(pattern(":ix:status:placed")).await.unwrap();
    let (member,): (String,) = redis::cmd("ZRANGE").arg(&list[0]).arg(0).arg(0).query_async(&mut redis).await.unwrap();
    let _: () = redis.zrem(&list[0], &member).await.unwrap();
    let _: () = redis.zadd(&list[0], "a stranger", 0).await.unwrap();
    let days: Vec<String> = redis.keys(pattern(":stat:days")).await.unwrap();
    let fields: Vec<String> = redis.hkeys(&days[0]).await.unwrap();
    let _: () = redis.hincr(&days[0], &fields[0], 1).await.unwrap();
    let views: Vec<String> = redis.keys(pattern("orders:*:view:")).await.unwrap();
    let mut bytes: Vec<u8> = redis.get(&views[0]).await.unwrap();
    bytes[9] ^= 1;
    let _: () = redis.set(&views[0], &bytes).await.unwrap();
    let _: () = redis.del(&views[1]).await.unwrap();
    let _: () = redis
        .copy(&views[2], format!("{}:{{g1:orders:0}}:view:{}", stack.redis_prefix(), Uuid::now_v7().simple()), Default::default())
        .await
        .unwrap();
    let states: Vec<String> = redis.keys(pattern("products:*:state")).await.unwrap();
    let _: () = redis.hincr(&states[0], "events", 1).await.unwrap();
    let missing = "and should have 0";
    says(
        stack,
        &[missing, "a stranger", "begins with", "is missing: View", "should not be there", "has counted", "query-service: "],
    )
    .await;
}

async fn wrong_kafka(stack: &Stack) {
    let entry = stack.ledger.entries().remove(3);
    let events = format!("/v1/{}/{}/events", entry.context, entry.id);
    let history: serde_json::Value = stack.client().asking(&events).send().await.unwrap().json().await.unwrap();
    let again = Plant::recorded(entry.context, &history["events"][0]);
    again.plant_unmarked(stack, entry.context).await;
    let stranger = Plant::event(Uuid::now_v7(), 1, "order.placed.v1", &json!({}));
    stranger.plant_unmarked(stack, Context::Orders).await;
    says(stack, &["a second time", "a record of no stored event"]).await;
}

async fn wrong_postgres(stack: &mut Stack) {
    for process in stack.commands.iter_mut().chain(&mut stack.projectors) {
        process.kill();
    }
    let mut connection = PgConnection::connect(&stack.database.url).await.unwrap();
    connection.execute("DELETE FROM orders.events WHERE lane = 1 AND seq = 2").await.unwrap();
    connection.execute("UPDATE products.events SET data = '{\"delta\": 123456, \"reason\": \"lost\"}' WHERE event_type = 'product.stock-adjusted.v2' AND lane = (SELECT min(lane) FROM products.events WHERE event_type = 'product.stock-adjusted.v2')").await.unwrap();
    connection
        .execute(
            "UPDATE users.events SET event_id = gen_random_uuid() WHERE lane = (SELECT min(lane) FROM users.events) AND seq = 1",
        )
        .await
        .unwrap();
    // An event that nobody publishes any more.
    let unpublished =
        "INSERT INTO users.events SELECT (jsonb_populate_record(e, jsonb_build_object('event_id', gen_random_uuid(),
        'stream_id', gen_random_uuid(), 'seq', (SELECT max(seq) + 1 FROM users.events WHERE lane = e.lane)))).*
        FROM users.events e WHERE version = 1 LIMIT 1";
    connection.execute(unpublished).await.unwrap();
    let unpublished = ["are on Kafka", "missing: Stored"];
    let expected = ["lane 1 goes from 1 to 3", "the client asked for", "key or value differ", "are right"];
    says(stack, &[&expected[..], &unpublished].concat()).await;
}
