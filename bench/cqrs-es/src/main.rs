//! What people would use instead: `cqrs-es` on Postgres behind axum, put together as its guide does it. One endpoint takes
//! orders of two lines, each a new aggregate.

mod order;

use std::{collections::HashMap, env, error::Error, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use mimalloc::MiMalloc;
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::order::{Order, PlaceOrder};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// As many as there are callers.
const CONNECTIONS: u32 = 64;

/// The table as the crate's own `db/init.sql` has it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
)";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Connections are not asked whether they live before each use, as they are by default: that favours the peer.
    let pool = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect(&env::var("DATABASE_URL")?)
        .await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let orders = Arc::new(postgres_cqrs::<Order>(pool, Vec::new(), ()));
    let router = Router::new().route("/v1/orders", post(place)).with_state(orders);
    let listener = TcpListener::bind(env::var("HTTP_ADDR")?).await?;
    if let Ok(file) = env::var("ADDR_FILE") {
        std::fs::write(file, listener.local_addr()?.to_string())?;
    }
    Ok(axum::serve(listener, router).await?)
}

async fn place(State(orders): State<Arc<PostgresCqrs<Order>>>, headers: HeaderMap, Json(order): Json<PlaceOrder>) -> Response {
    let id = Uuid::now_v7();
    // What ours keeps in columns of its own goes into the metadata, as the guide does it.
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let metadata = HashMap::from([("idempotency_key".to_owned(), key.to_owned())]);
    match orders.execute_with_metadata(&id.to_string(), order, metadata).await {
        Ok(()) => (StatusCode::CREATED, Json(json!({ "id": id, "version": 1 }))).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
