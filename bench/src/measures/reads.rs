//! Reading one order over HTTP, against axum with a constant, with Redis and with Postgres behind it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Zipf};
use sqlx::{Executor as _, PgPool};
use uuid::Uuid;

use super::commands::{CONNECTIONS, PRODUCTS};
use crate::{
    counters::Counter,
    cpu,
    load::{Connection, Load, Outcome, Requests},
    measure::{Figure, Goal, Measure},
    orders,
    peers::{HELLO_ANSWER, redis_key},
    scale::Scale,
    system::{Running, System, products, token},
};

/// The lines.
pub(crate) const NAMES: &[&str] = &["reads_vs_hello", "reads_vs_redis_get", "reads_vs_postgres"];

/// Orders that are read.
const ORDERS: usize = 10_000;
/// Draws made beforehand, for all connections together.
const DRAWS: usize = 1 << 20;
/// Until the orders are in the read model.
const BOUND: Duration = Duration::from_secs(60);

const WHAT: &str = "GET of one order, 64 connections, 10,000 orders drawn by Zipf 1.0";

/// `reads_vs_hello`, `reads_vs_redis_get`, `reads_vs_postgres`
pub(crate) async fn against_peers(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let ids = make_orders(&system).await?;
    let service = system.query_service().await?;
    let views = views(&service, &ids).await?;
    keep_in_redis(&system, &views).await?;
    keep_in_postgres(&system, &views).await?;
    let (_, constant) = &views[views.len() / 2];
    let peers = [
        system.peer("hello", &[(HELLO_ANSWER, constant)]).await?,
        system.peer("redis-get", &[]).await?,
        system.peer("postgres", &[]).await?,
    ];
    let reading = Reading::of(&ids)?;
    let (mut ours, mut theirs) = (Side::default(), [Side::default(), Side::default(), Side::default()]);
    let mut last = None;
    for _ in 0..scale.repetitions {
        last = Some(reading.run(&service, scale, &mut ours).await?);
        for (peer, side) in peers.iter().zip(&mut theirs) {
            reading.run(peer, scale, side).await?;
        }
    }
    service.stop().await;
    let last = last.context("a repetition")?;
    let [hello, redis, postgres] = theirs;
    let line = |name: &str, against: &str, reference: Side, goal: f64| {
        Measure::alone(name, "req/s", WHAT, ours.rate.clone())
            .against(against, reference.rate)
            .goal(Goal::RatioAtLeast(goal))
            .detail("p50_ms", last.ms(50.0))
            .detail("p99_ms", last.ms(99.0))
            .detail("generator_share", last.generator)
            .detail("service_cpu_us_per_request", Figure::from(ours.cpu.clone()).median)
            .detail("reference_cpu_us_per_request", Figure::from(reference.cpu).median)
            .detail("view_bytes", Figure::from(views.iter().map(|(_, view)| length(view)).collect::<Vec<_>>()).median)
    };
    Ok(vec![
        line("reads_vs_hello", "axum answering a constant of the same size, without authentication", hello, 0.85)
            .note("Ours checks the bearer token of each request."),
        line("reads_vs_redis_get", "axum and one awaited Redis GET a request, without authentication", redis, 1.5),
        line("reads_vs_postgres", "axum and sqlx, SELECT of a json column by primary key, without authentication", postgres, 5.0)
            .note("The pool is sqlx's default of 10 connections, without its ping before each use."),
    ])
}

/// One server's repetitions.
#[derive(Default)]
struct Side {
    rate: Vec<f64>,
    /// Microseconds of the server's process for one request.
    cpu: Vec<f64>,
}

fn length(text: &str) -> f64 {
    crate::rate::figure(text.len() as u64)
}

/// Makes the orders through the whole system, and ends all of it but Redis.
async fn make_orders(system: &System) -> anyhow::Result<Vec<Uuid>> {
    let service = system.command_service(&[]).await?;
    let projector = system.projector(&service.url(), &[]).await?;
    let products = products(&service, PRODUCTS).await?;
    let ids = orders::fill(&service, &products, ORDERS).await?;
    let applied = Counter::of(&projector, "orderflow_projection_events_total", "context=\"orders\"");
    applied.rise(ORDERS as u64, BOUND).await?;
    projector.stop().await;
    service.stop().await;
    Ok(ids)
}

/// What the query service answers for each.
async fn views(service: &Running, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, String)>> {
    let (mut connection, token) = (Connection::open(service.address()?).await?, token()?);
    let mut views = Vec::with_capacity(ids.len());
    for id in ids {
        let response = connection.exchange(request(*id, &token).as_bytes()).await?;
        let body = std::str::from_utf8(connection.body(&response))?;
        ensure!(response.status == 200, "a read answered {}: {body}", response.status);
        views.push((*id, body.to_owned()));
    }
    Ok(views)
}

async fn keep_in_redis(system: &System, views: &[(Uuid, String)]) -> anyhow::Result<()> {
    let mut connection = redis::Client::open(system.redis.url())?.get_multiplexed_async_connection().await?;
    for views in views.chunks(1_000) {
        let mut pipeline = redis::pipe();
        for (id, view) in views {
            pipeline.set(redis_key(*id), view).ignore();
        }
        pipeline.exec_async(&mut connection).await?;
    }
    Ok(())
}

async fn keep_in_postgres(system: &System, views: &[(Uuid, String)]) -> anyhow::Result<()> {
    let pool = PgPool::connect(&system.database.url).await?;
    pool.execute("CREATE TABLE orders_doc (id uuid PRIMARY KEY, doc json NOT NULL)").await?;
    let (ids, documents): (Vec<_>, Vec<_>) = views.iter().cloned().unzip();
    sqlx::query("INSERT INTO orders_doc SELECT id, doc::json FROM unnest($1::uuid[], $2::text[]) AS views (id, doc)")
        .bind(ids)
        .bind(documents)
        .execute(&pool)
        .await?;
    pool.execute("VACUUM ANALYZE orders_doc").await?;
    pool.close().await;
    Ok(())
}

fn request(id: Uuid, token: &str) -> String {
    format!("GET /v1/orders/{id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// Requests and draws, made once: the generator only copies.
struct Reading {
    requests: Arc<[String]>,
    draws: Arc<[u16]>,
}

impl Reading {
    fn of(ids: &[Uuid]) -> anyhow::Result<Self> {
        let token = token()?;
        let (zipf, mut random) = (Zipf::new(crate::rate::figure(ids.len() as u64), 1.0)?, StdRng::seed_from_u64(1));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank from 1 to 10,000")]
        let draw = || zipf.sample(&mut random) as u16 - 1;
        let draws = std::iter::repeat_with(draw).take(DRAWS).collect();
        Ok(Self { requests: ids.iter().map(|id| request(*id, &token)).collect(), draws })
    }

    /// As fast as it goes on 64 connections.
    async fn run(&self, server: &Running, scale: &Scale, side: &mut Side) -> anyhow::Result<Outcome> {
        let load = Load::on(server.address()?, CONNECTIONS, scale);
        let before = cpu::used(server.pid()?)?;
        let outcome = load.closed(|connection| self.requests(connection)).await?;
        let used = (cpu::used(server.pid()?)? - before).as_secs_f64();
        // The warm-up's requests are not counted; they came about as fast.
        let requests = outcome.rate * (scale.warm_up + scale.duration).as_secs_f64();
        side.rate.push(outcome.rate);
        side.cpu.push(used * 1e6 / requests);
        Ok(outcome)
    }

    fn requests(&self, connection: usize) -> Requests {
        let (requests, draws) = (Arc::clone(&self.requests), Arc::clone(&self.draws));
        let mut next = connection * (DRAWS / CONNECTIONS);
        Box::new(move |request| {
            next = (next + 1) % DRAWS;
            request.extend_from_slice(requests[usize::from(draws[next])].as_bytes());
        })
    }
}
