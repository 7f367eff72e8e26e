//! Load, decide, insert, commit: one transaction a command.

use std::str::FromStr as _;

use chrono::Utc;
use command_service::{
    application::{command::Key, lane::Lanes},
    domain::{
        Aggregate, Rule,
        order::{Command, Order},
    },
    inbound::http::commands::Accepted,
};
use events::{DomainEvent, OrderEvent};
use service_kit::{problem::Problem, trace::TraceContext};
use sqlx::{
    ConnectOptions, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use uuid::Uuid;

/// As many as there are callers.
const CONNECTIONS: u32 = 64;

/// The same tables with the same indexes; the sequence hands numbers out in hundreds, so that nobody waits for it.
const TABLES: &str = "CREATE SCHEMA IF NOT EXISTS one_tx;
    CREATE TABLE IF NOT EXISTS one_tx.events (LIKE orders.events INCLUDING ALL);
    CREATE TABLE IF NOT EXISTS one_tx.idempotency (LIKE orders.idempotency INCLUDING ALL);
    CREATE SEQUENCE IF NOT EXISTS one_tx.seq CACHE 100";
const ANSWERED: &str = "SELECT request, stream_id, version, seq, lane FROM idempotency
    WHERE key = $1 AND created_on BETWEEN $2::date - 1 AND $2 AND created_at > now() - interval '24 hours'";
const LOAD: &str = "SELECT event_type, data::text FROM events WHERE stream_id = $1 ORDER BY version";
const INSERT_EVENT: &str = "INSERT INTO events (seq, version, occurred_at, recorded_at, stream_id, event_id, correlation_id,
    causation_id, lane, event_type, traceparent, data)
    VALUES (nextval('seq'), $1, $2, $2, $3, $4, $5, NULL, $6, $7, $8, $9::json) RETURNING seq";
const INSERT_ANSWER: &str =
    "INSERT INTO idempotency (key, created_on, created_at, request, stream_id, version, seq, lane, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, true)";

/// Makes the tables, unless an earlier turn of the peer did.
pub(super) async fn open(url: &str) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?.options([("search_path", "one_tx")]).disable_statement_logging();
    // A connection is not asked whether it lives before each use: that would be one round trip more.
    let pool = PgPoolOptions::new().min_connections(CONNECTIONS).max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect_with(options).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    Ok(pool)
}

/// Where orders are.
pub(super) struct Store {
    pub(super) pool: PgPool,
    pub(super) lanes: Lanes,
}

impl Store {
    /// Executes a command; when this returns, its events are durable.
    pub(super) async fn execute(
        &self,
        id: Uuid,
        key: Option<Key>,
        command: &Command,
        trace: &TraceContext,
    ) -> Result<Accepted, Problem> {
        let mut transaction = self.pool.begin().await.map_err(away)?;
        if let Some(key) = key
            && let Some(answer) = answered(&mut transaction, key).await?
        {
            return Ok(answer);
        }
        let (order, mut version) = load(&mut transaction, id).await?;
        let events = order.decide(command).map_err(|error| Problem::rule_violated(error.name(), error.to_string()))?;
        let (now, lane) = (Utc::now(), self.lanes.of(id));
        let correlation = Uuid::try_parse(&trace.trace_id()).unwrap_or_else(|_| Uuid::now_v7());
        let mut seq = None;
        for event in &events {
            version += 1;
            let data = event.encode().ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let insert = sqlx::query(INSERT_EVENT).bind(version).bind(now).bind(id).bind(Uuid::now_v7()).bind(correlation);
            let insert = insert.bind(lane.as_i16()).bind(event.event_type()).bind(trace.to_string()).bind(data);
            seq = Some(insert.fetch_one(&mut *transaction).await.and_then(|row| row.try_get::<i64, _>(0)).map_err(away)?);
        }
        if let Some(key) = key {
            let insert = sqlx::query(INSERT_ANSWER).bind(key.id).bind(now.date_naive()).bind(now).bind(key.request);
            let insert = insert.bind(id).bind(version).bind(seq).bind(lane.as_i16());
            insert.execute(&mut *transaction).await.map_err(away)?;
        }
        transaction.commit().await.map_err(away)?;
        Ok(Accepted { id, version: version.unsigned_abs(), lane: lane.0, seq: seq.map(i64::unsigned_abs) })
    }
}

/// The answer that was given under the key, if there was one.
async fn answered(connection: &mut PgConnection, key: Key) -> Result<Option<Accepted>, Problem> {
    let found = sqlx::query(ANSWERED).bind(key.id).bind(Utc::now().date_naive()).fetch_optional(connection).await;
    let Some(row) = found.map_err(away)? else { return Ok(None) };
    if row.try_get::<Uuid, _>(0).map_err(away)? != key.request {
        return Err(Problem::idempotency_key_reused("The key was used for another request."));
    }
    accepted(&row).map(Some).map_err(away)
}

fn accepted(row: &PgRow) -> sqlx::Result<Accepted> {
    Ok(Accepted {
        id: row.try_get(1)?,
        version: row.try_get::<i64, _>(2)?.unsigned_abs(),
        seq: row.try_get::<Option<i64>, _>(3)?.map(i64::unsigned_abs),
        lane: row.try_get::<i16, _>(4)?.unsigned_abs(),
    })
}

/// The order and its version, which is that of its last event.
async fn load(connection: &mut PgConnection, id: Uuid) -> Result<(Order, i64), Problem> {
    let rows = sqlx::query(LOAD).bind(id).fetch_all(connection).await.map_err(away)?;
    let (mut order, mut version) = (Order::default(), 0);
    for row in rows {
        let (event_type, data): (&str, &str) = (row.try_get(0).map_err(away)?, row.try_get(1).map_err(away)?);
        let event = OrderEvent::decode(event_type, data.as_bytes()).map_err(Problem::internal)?;
        order = order.evolve(&event);
        version += 1;
    }
    Ok((order, version))
}

/// What does not work is Postgres' affair: the peer makes nothing finer of it.
fn away(error: sqlx::Error) -> Problem {
    Problem::unavailable("The event store refused.", error)
}
