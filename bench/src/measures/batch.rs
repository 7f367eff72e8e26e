//! Orders on one connection through `POST /v1/commands`, against Postgres copying the same rows.

use std::{fmt::Write as _, time::Instant};

use anyhow::ensure;
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::commands::PRODUCTS;
use crate::{
    measure::{Goal, Measure},
    scale::Scale,
    system::{Running, System, products, token},
};

/// Commands of a warm-up, which fills caches and prepares statements.
const WARM_UP: usize = 5_000;
/// Bytes that are sent at once, on both sides.
const CHUNK: usize = 64 << 10;

/// The same table with the same indexes.
const PREPARE: &str = "CREATE SCHEMA copied; CREATE TABLE copied.events (LIKE orders.events INCLUDING ALL)";

/// `batch_commands_vs_copy`
pub(crate) async fn against_copy(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[("RELAY_DELIVERY", "off")]).await?;
    let batch = Batch { client: reqwest::Client::new(), url: format!("{}/v1/commands", service.url()), token: token()? };
    let products = products(&service, PRODUCTS).await?;
    let mut postgres = PgConnection::connect(&system.database.url).await?;
    sqlx::raw_sql(PREPARE).execute(&mut postgres).await?;
    let count = scale.backlog / 4;
    batch.send(&lines(&products, WARM_UP), WARM_UP).await?;
    let (mut ours, mut theirs, mut generator) = (Vec::new(), Vec::new(), 0.0);
    let mut rows = None;
    for _ in 0..scale.repetitions {
        let share = crate::cpu::Share::begin()?;
        ours.push(batch.send(&lines(&products, count), count).await?);
        generator = share.end()?;
        let rows = match &rows {
            Some(rows) => rows,
            None => rows.insert(stored(&mut postgres, count).await?),
        };
        theirs.push(copy(&mut postgres, rows, count).await?);
    }
    ensure_stored(&mut postgres, WARM_UP + count * scale.repetitions, &service).await?;
    let what = "two-line orders with ids and idempotency keys through POST /v1/commands, one connection, fsync on";
    let measure = Measure::alone("batch_commands_vs_copy", "orders/s", what, ours)
        .against("Postgres COPY of the same rows into the same table and indexes, one transaction", theirs)
        .goal(Goal::RatioAtLeast(0.35))
        .detail("generator_share", generator)
        .detail("commands", f64::from(u32::try_from(count)?))
        .note("Ours stores an answer under the idempotency key of each order besides; COPY stores the events alone.");
    Ok(vec![measure])
}

/// A stream of commands.
struct Batch {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Batch {
    /// Accepted commands a second.
    async fn send(&self, lines: &Bytes, count: usize) -> anyhow::Result<f64> {
        let chunks: Vec<_> = (0..lines.len()).step_by(CHUNK).map(|at| lines.slice(at..lines.len().min(at + CHUNK))).collect();
        let body = reqwest::Body::wrap_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::convert::Infallible>)));
        let request = self.client.post(&self.url).bearer_auth(&self.token).header("content-type", "application/x-ndjson");
        let begun = Instant::now();
        let answer = request.body(body).send().await?.error_for_status()?;
        let answers: Vec<Bytes> = answer.bytes_stream().try_collect().await?;
        let took = begun.elapsed();
        let answers = answers.concat();
        let accepted = answers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| {
            let answer: Value = serde_json::from_slice(line)?;
            ensure!(answer["status"] == 201, "an order was refused: {answer}");
            Ok(())
        });
        ensure!(accepted.collect::<anyhow::Result<Vec<_>>>()?.len() == count, "some orders were not answered");
        Ok(f64::from(u32::try_from(count)?) / took.as_secs_f64())
    }
}

/// So many orders of two lines.
fn lines(products: &[Uuid], count: usize) -> Bytes {
    let mut random = fastrand::Rng::new();
    let mut lines = String::with_capacity(count * 320);
    for _ in 0..count {
        let (id, key) = (Uuid::now_v7(), random.u128(..));
        let (first, second) = (products[random.usize(..products.len())], products[random.usize(..products.len())]);
        let (one, two) = (random.u8(1..9), random.u8(1..9));
        let written = writeln!(
            lines,
            r#"{{"command":"place-order","id":"{id}","key":"{key:032x}","data":{{"lines":[{{"product_id":"{first}","quantity":{one}}},{{"product_id":"{second}","quantity":{two}}}]}}}}"#
        );
        debug_assert!(written.is_ok(), "a string takes all");
    }
    lines.into()
}

/// As many rows as ours stored, as COPY reads them, in the order in which they came.
async fn stored(postgres: &mut PgConnection, count: usize) -> anyhow::Result<Bytes> {
    let select = format!("COPY (SELECT * FROM orders.events LIMIT {count}) TO STDOUT");
    let chunks: Vec<Bytes> = postgres.copy_out_raw(&select).await?.try_collect().await?;
    Ok(chunks.concat().into())
}

/// Rows a second, committed.
async fn copy(postgres: &mut PgConnection, rows: &Bytes, count: usize) -> anyhow::Result<f64> {
    sqlx::raw_sql("TRUNCATE copied.events").execute(&mut *postgres).await?;
    let begun = Instant::now();
    let mut copy = postgres.copy_in_raw("COPY copied.events FROM STDIN").await?;
    for chunk in rows.chunks(CHUNK) {
        copy.send(chunk).await?;
    }
    let copied = copy.finish().await?;
    let took = begun.elapsed();
    ensure!(usize::try_from(copied)? == count, "{copied} rows were copied");
    Ok(f64::from(u32::try_from(count)?) / took.as_secs_f64())
}

/// That what was answered is there.
async fn ensure_stored(postgres: &mut PgConnection, count: usize, service: &Running) -> anyhow::Result<()> {
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM orders.events").fetch_one(postgres).await?;
    ensure!(usize::try_from(stored)? == count, "{stored} events are stored, not {count}: {}", service.process.tail());
    Ok(())
}
