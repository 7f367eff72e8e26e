//! Snapshots: written every so often, used at loading, and never needed.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

use crate::harness::{Answer, Database, Instance, Launch, eventually, id, product_body, staff};

async fn start(database: &Database, every: &str) -> Instance {
    Launch::new(&database.url).env("SNAPSHOT_EVERY", every).start().await
}

async fn adjust(shop: &Instance, product: u128) -> Answer {
    let path = format!("/v1/products/{}/stock-adjustments", id(product));
    shop.post(&path, &staff(), &json!({ "delta": 1, "reason": "received" })).await
}

async fn versions(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("SELECT version FROM snapshots ORDER BY stream_id").fetch_all(pool).await.unwrap()
}

async fn execute(pool: &PgPool, statement: &str) {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

/// Two products, of which the first was adjusted twelve times.
async fn shop(every: &str) -> (Database, Instance, PgPool) {
    let database = Database::create().await;
    let shop = start(&database, every).await;
    for product in [1, 2] {
        shop.post("/v1/products", &staff(), &product_body(id(product), &product.to_string())).await;
    }
    for version in 2..=13 {
        assert_eq!(adjust(&shop, 1).await.json()["version"], version);
    }
    let pool = database.pool("products").await;
    (database, shop, pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_kept_every_so_often_and_loaded_from() {
    let (database, shop, pool) = shop("5").await;
    eventually("the state at version 10 is kept", async || versions(&pool).await == [10]).await;
    shop.stop().await;
    // Whoever read these would fail.
    execute(
        &pool,
        "UPDATE events SET data = '{\"broken\": true}' WHERE version <= 10 AND stream_id = (SELECT stream_id FROM snapshots)",
    )
    .await;
    let shop = start(&database, "5").await;
    let answer = adjust(&shop, 1).await;
    assert_eq!((answer.status, answer.json()["version"].as_u64()), (200, Some(14)), "{answer:?}");
    let taken = json!({ "delta": -13, "reason": "lost" });
    let path = format!("/v1/products/{}/stock-adjustments", id(1));
    assert_eq!(shop.post(&path, &staff(), &taken).await.status, 200, "all 13 pieces are there");
    eventually("the state at version 15 is kept", async || versions(&pool).await == [15]).await;
    shop.stop().await;
    // Without it the stream can't be read, and that is no other stream's trouble.
    execute(&pool, "DELETE FROM snapshots").await;
    let shop = start(&database, "5").await;
    let (broken, sound) = tokio::join!(adjust(&shop, 1), adjust(&shop, 2));
    assert_eq!((broken.status, sound.status), (500, 200), "{broken:?} {sound:?}");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_another_shape_is_as_good_as_none() {
    let (database, shop, pool) = shop("5").await;
    eventually("the state at version 10 is kept", async || versions(&pool).await == [10]).await;
    shop.stop().await;
    execute(&pool, "UPDATE snapshots SET shape = 0, state = '{\"status\": \"uncreated\"}', version = 1000").await;
    let shop = start(&database, "5").await;
    assert_eq!(adjust(&shop, 1).await.json()["version"], 14);
    // The next one takes its place, though its version is lower.
    assert_eq!(adjust(&shop, 1).await.json()["version"], 15);
    eventually("the state at version 15 is kept", async || versions(&pool).await == [15]).await;
    shop.stop().await;
    // Of the right shape, and yet not to be read.
    execute(&pool, "UPDATE snapshots SET state = '{\"nonsense\": true}'").await;
    let shop = start(&database, "5").await;
    assert_eq!(adjust(&shop, 1).await.json()["version"], 16);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn none_are_kept_when_none_are_asked_for() {
    let (_database, shop, pool) = shop("0").await;
    shop.stop().await;
    assert_eq!(versions(&pool).await, [0; 0]);
    pool.close().await;
}
