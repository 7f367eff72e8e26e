//! The same request many times at once, over two processes, happens once.

use std::{collections::HashSet, sync::Arc};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Database, Instance, Launch, id, product_body, service, staff, store, token},
    instances::pair,
};

const AT_ONCE: usize = 64;

/// Sends the same request from everywhere at once.
async fn all_at_once(instances: &[Arc<Instance>; 2], path: &str, key: &str, body: &Value) -> Vec<Answer> {
    join_all((0..AT_ONCE).map(|caller| {
        let (instance, path, key, body) = (Arc::clone(&instances[caller % 2]), path.to_owned(), key.to_owned(), body.clone());
        async move { instance.post_once(&path, &staff(), &key, &body).await }
    }))
    .await
}

/// All got the same answer, and all but one were told that it is an old one.
fn assert_one_answer(answers: &[Answer], status: u16) -> Value {
    let bodies: HashSet<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(answers.iter().all(|answer| answer.status == status), "{answers:?}");
    let tags: HashSet<_> = answers.iter().map(|answer| (answer.header("etag"), answer.header("location"))).collect();
    assert_eq!(tags.len(), 1, "{tags:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.replayed()).count(), 1);
    answers[0].json()
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_at_the_same_moment_happen_once() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    instances[0].post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let adjust = json!({ "delta": 5, "reason": "received" });
    let path = format!("/v1/products/{}/stock-adjustments", id(1));
    for round in 0..3 {
        let answers = all_at_once(&instances, &path, &format!("key-{round}"), &adjust).await;
        let answer = assert_one_answer(&answers, 200);
        assert_eq!(answer["version"], round + 2);
    }
    assert_eq!(store::checked_events(&database, "products").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_without_an_id_is_made_once() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    instances[0].post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let order = json!({ "lines": [{ "product_id": id(1), "quantity": 1 }] });
    // Both processes know the product before they are asked all at once.
    for instance in &instances {
        crate::harness::eventually("the product can be ordered", async || {
            instance.post("/v1/orders", &staff(), &order).await.status == 201
        })
        .await;
    }
    let before = store::checked_events(&database, "orders").await.len();
    let answer = assert_one_answer(&all_at_once(&instances, "/v1/orders", "new", &order).await, 201);
    let events = store::checked_events(&database, "orders").await;
    assert_eq!(events.len(), before + 1);
    assert_eq!(store::of_stream(&events, answer["id"].as_str().unwrap().parse().unwrap()).len(), 1);
    // Another caller's key of that name makes another order.
    let other = instances[0].post_once("/v1/orders", &service(), "new", &order).await;
    assert_eq!((other.status, other.replayed()), (201, false));
    assert_ne!(other.json()["id"], answer["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_the_same_key_is_refused_on_every_stream() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    // One key, many streams: whoever comes first has it.
    let answers =
        join_all(
            (0..AT_ONCE).map(|caller| {
                let instance = Arc::clone(&instances[caller % 2]);
                let number = 100 + caller as u128;
                async move {
                    instance.post_once("/v1/products", &staff(), "mine", &product_body(id(number), &number.to_string())).await
                }
            }),
        )
        .await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 422)), "{answers:?}");
    assert_eq!(store::checked_events(&database, "products").await.len(), 1);
    // Any difference in what is asked counts: the body, the command, the target, the version.
    let winner = winners[0].json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/products/{winner}");
    let adjust = json!({ "delta": 1, "reason": "received" });
    let answer = instances[0].post_once(&format!("{path}/stock-adjustments"), &staff(), "mine", &adjust).await;
    assert_eq!(
        (answer.status, answer.json()["type"].as_str().unwrap().rsplit('/').next()),
        (422, Some("idempotency-key-reused"))
    );
    let first = instances[0].post_once(&format!("{path}/stock-adjustments"), &staff(), "k", &adjust).await;
    assert_eq!(first.status, 200);
    let changed = json!({ "delta": 2, "reason": "received" });
    assert_eq!(instances[1].post_once(&format!("{path}/stock-adjustments"), &staff(), "k", &changed).await.status, 422);
    assert_eq!(instances[1].post_once(&format!("{path}/discontinue"), &staff(), "k", &json!({})).await.status, 422);
    let versioned = instances[1].request(reqwest::Method::POST, &format!("{path}/stock-adjustments"), &staff());
    let versioned = versioned.header("If-Match", "\"1\"").header("Idempotency-Key", "k").json(&adjust);
    assert_eq!(Answer::to(versioned).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outlives_the_process_and_a_refusal_is_not_kept() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    let order = json!({ "id": id(5), "lines": [{ "product_id": id(1), "quantity": 1 }] });
    assert_eq!(shop.post_once("/v1/orders", &staff(), "k", &order).await.rule(), "UnknownProduct");
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let first = shop.post_once("/v1/orders", &staff(), "k", &order).await;
    assert_eq!((first.status, first.replayed()), (201, false));
    shop.post(&format!("/v1/orders/{}/confirm", id(5)), &staff(), &json!({})).await;
    shop.stop().await;
    let shop = Launch::new(&database.url).start().await;
    let again = shop.post_once("/v1/orders", &staff(), "k", &order).await;
    assert_eq!((again.status, again.replayed(), &again.body), (201, true, &first.body), "as it was, not as it is");
    // In a line of a stream too, and the subject is what counts, not the token.
    let again = token("staff-1", &[service_kit::auth::Role::Staff, service_kit::auth::Role::Service]);
    let line = json!({ "command": "place-order", "key": "l", "id": id(6), "data": { "lines": [{ "product_id": id(1), "quantity": 1 }] } });
    let answers = shop.commands(&staff(), &[line.clone(), line.clone()]).await;
    assert_eq!((&answers[0]["replayed"], &answers[1]["replayed"]), (&Value::Null, &json!(true)), "{answers:?}");
    assert_eq!(shop.commands(&again, &[line]).await[0]["replayed"], true);
    assert_eq!(store::checked_events(&database, "orders").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_expire_after_a_day_and_their_partitions_are_dropped() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    let adjust = json!({ "delta": 1, "reason": "received" });
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let path = format!("/v1/products/{}/stock-adjustments", id(1));
    assert!(!shop.post_once(&path, &staff(), "k", &adjust).await.replayed());
    assert!(shop.post_once(&path, &staff(), "k", &adjust).await.replayed());
    let pool = database.pool("products").await;
    let age = "UPDATE idempotency SET created_at = created_at - interval '24 hours 1 second'";
    sqlx::query(age).execute(&pool).await.unwrap();
    let late = shop.post_once(&path, &staff(), "other", &adjust).await;
    assert_eq!((late.status, late.json()["version"].as_u64()), (200, Some(3)));
    shop.stop().await;
    for statement in [
        "CREATE TABLE idempotency_20200101 PARTITION OF idempotency FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')",
        "INSERT INTO idempotency SELECT key, '2020-01-01', created_at, request, stream_id, version, seq, lane, created FROM idempotency",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    Launch::new(&database.url).start().await.stop().await;
    let old = "SELECT count(*) FROM pg_class WHERE relname = 'idempotency_20200101'";
    let left: i64 = sqlx::query_scalar(old).fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_keys_count_until_a_day_has_passed() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    let adjust = json!({ "delta": 1, "reason": "received" });
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let path = format!("/v1/products/{}/stock-adjustments", id(1));
    let first = shop.post_once(&path, &staff(), "young", &adjust).await;
    assert_eq!((first.status, shop.post_once(&path, &staff(), "old", &adjust).await.status), (200, 200));
    // As if midnight had passed since.
    let pool = database.pool("products").await;
    for statement in [
        "DO $$ BEGIN EXECUTE format('CREATE TABLE idempotency_%s PARTITION OF idempotency FOR VALUES FROM (%L) TO (%L)', \
         to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYYMMDD'), (now() AT TIME ZONE 'UTC')::date - 1, \
         (now() AT TIME ZONE 'UTC')::date); END $$",
        "UPDATE idempotency SET created_on = created_on - 1, created_at = created_at - interval '23 hours 50 minutes'",
        "UPDATE idempotency SET created_at = created_at - interval '11 minutes' WHERE version = 3",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let again = shop.post_once(&path, &staff(), "young", &adjust).await;
    assert_eq!((again.replayed(), &again.body), (true, &first.body));
    let anew = shop.post_once(&path, &staff(), "old", &adjust).await;
    assert_eq!((anew.replayed(), anew.json()["version"].as_u64()), (false, Some(4)));
    assert_eq!(store::checked_events(&database, "products").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_meets_what_is_stored_leaves_nothing_of_its_first_try() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    let line = |number: u128, key: &str| json!({ "command": "create-product", "key": key, "data": product_body(id(number), &number.to_string()) });
    // The other process knows neither the products nor the keys.
    let made = instances[0].commands(&staff(), &[line(1, "a"), line(2, "b")]).await;
    assert!(made.iter().all(|answer| answer["status"] == 201), "{made:?}");
    let mut lines: Vec<_> = (10..20).map(|number| line(number, &number.to_string())).collect();
    lines.insert(3, line(1, "c"));
    lines.insert(6, line(30, "b"));
    lines.insert(9, line(2, "b"));
    let answers = instances[1].commands(&staff(), &lines).await;
    assert_eq!((&answers[3]["status"], &answers[6]["status"]), (&json!(409), &json!(422)), "{answers:?}");
    assert_eq!((&answers[9]["status"], &answers[9]["replayed"]), (&json!(201), &json!(true)), "{answers:?}");
    let stored = store::checked_events(&database, "products").await;
    assert_eq!(stored.len(), 12);
    let pool = database.pool("products").await;
    let unmatched = "SELECT count(*) FILTER (WHERE e.stream_id IS NULL), count(*) FROM idempotency i \
                     LEFT JOIN events e ON (e.stream_id, e.version, e.lane, e.seq) = (i.stream_id, i.version, i.lane, i.seq)";
    let counts: (i64, i64) = sqlx::query_as(unmatched).fetch_one(&pool).await.unwrap();
    assert_eq!(counts, (0, 12), "answers without their event, and answers");
    pool.close().await;
}
