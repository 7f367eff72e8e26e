//! The tutorial's outbox: an order and a row in the table `outbox` in one transaction, and a task that looks there every
//! 100 ms, sends what it finds and deletes it.

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use futures::future::try_join_all;
use http::StatusCode;
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use sqlx::{Executor as _, PgPool};
use uuid::Uuid;

/// The variable with the topic.
pub(crate) const TOPIC: &str = "PEER_TOPIC";

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Rows of one look, at most.
const ROWS: i64 = 1_000;
/// How long a record may take.
const DELIVERY: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS peer_orders (id uuid PRIMARY KEY, lines json NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key uuid NOT NULL, payload text NOT NULL)";

#[derive(Deserialize)]
struct Order {
    id: Uuid,
    lines: Box<RawValue>,
}

/// Takes orders, and begins to look.
pub(super) async fn router() -> anyhow::Result<Router> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    pool.execute(TABLES).await?;
    let brokers = std::env::var("KAFKA_BROKERS")?;
    let producer = ClientConfig::new().set("bootstrap.servers", brokers).set("enable.idempotence", "true").create()?;
    tokio::spawn(look(pool.clone(), producer, std::env::var(TOPIC)?));
    Ok(Router::new().route("/v1/orders", post(place)).with_state(pool))
}

async fn place(State(pool): State<PgPool>, Json(order): Json<Order>) -> Response {
    match store(&pool, &order).await {
        Ok(()) => (StatusCode::CREATED, Json(json!({ "id": order.id }))).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn store(pool: &PgPool, order: &Order) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query("INSERT INTO peer_orders (id, lines) VALUES ($1, $2::text::json)")
        .bind(order.id)
        .bind(order.lines.get())
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO outbox (key, payload) VALUES ($1, $2)")
        .bind(order.id)
        .bind(order.lines.get())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Sends what is found, for ever. An error ends the process: a measurement without the outbox is none.
async fn look(pool: PgPool, producer: FutureProducer, topic: String) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        if send(&pool, &producer, &topic).await.is_err() {
            std::process::exit(1);
        }
    }
}

async fn send(pool: &PgPool, producer: &FutureProducer, topic: &str) -> anyhow::Result<()> {
    let rows: Vec<(i64, Uuid, String)> =
        sqlx::query_as("SELECT id, key, payload FROM outbox ORDER BY id LIMIT $1").bind(ROWS).fetch_all(pool).await?;
    let sent = rows.iter().map(|(_, key, payload)| async move {
        let key = key.to_string();
        let sent = producer.send(FutureRecord::to(topic).key(&key).payload(payload), DELIVERY).await;
        sent.map_err(|(error, _)| error).context("sending")
    });
    try_join_all(sent).await?;
    let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
    sqlx::query("DELETE FROM outbox WHERE id = ANY ($1)").bind(ids).execute(pool).await?;
    Ok(())
}
