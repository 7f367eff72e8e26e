//! `GET /v1/orders/{id}` as it is usually written: from Redis or from Postgres, with nothing between, or a constant.

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{StatusCode, header};
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use sqlx::{PgPool, postgres::PgPoolOptions};
use uuid::Uuid;

/// The variable with what [`hello`] answers.
pub(crate) const ANSWER: &str = "PEER_ANSWER";

const PATH: &str = "/v1/orders/{id}";

/// The key of a document in Redis.
#[must_use]
pub(crate) fn key(id: Uuid) -> String {
    format!("peer:{id}")
}

/// A constant.
pub(super) fn hello() -> anyhow::Result<Router> {
    let answer = Bytes::from(std::env::var(ANSWER)?);
    Ok(Router::new().route(PATH, get(async move || json(answer.clone()))))
}

/// One awaited GET.
pub(super) async fn redis_get() -> anyhow::Result<Router> {
    let connection = redis::Client::open(std::env::var("REDIS_URL")?)?.get_multiplexed_async_connection().await?;
    Ok(Router::new().route(PATH, get(from_redis)).with_state(connection))
}

async fn from_redis(State(mut connection): State<MultiplexedConnection>, Path(id): Path<Uuid>) -> Response {
    let found: redis::RedisResult<Option<Vec<u8>>> = connection.get(key(id)).await;
    match found {
        Ok(found) => answer(found),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// One SELECT by primary key.
pub(super) async fn postgres() -> anyhow::Result<Router> {
    // Without the ping before each use, which is a round trip of its own.
    let pool = PgPoolOptions::new().test_before_acquire(false).connect(&std::env::var("DATABASE_URL")?).await?;
    Ok(Router::new().route(PATH, get(from_postgres)).with_state(pool))
}

async fn from_postgres(State(pool): State<PgPool>, Path(id): Path<Uuid>) -> Response {
    let query = sqlx::query_scalar::<_, String>("SELECT doc::text FROM orders_doc WHERE id = $1").bind(id);
    match query.fetch_optional(&pool).await {
        Ok(found) => answer(found),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn answer(found: Option<impl Into<Bytes>>) -> Response {
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |document| json(document.into()))
}

fn json(document: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
