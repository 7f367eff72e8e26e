//! `growth_*`: what is slower with a thousand times as much behind it.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::json;
use uuid::Uuid;

use super::{
    commands::{Orders, psql},
    stock::adjustments,
};
use crate::{
    load::{Load, Outcome, Requests},
    measure::{Goal, Measure},
    scale::Scale,
    system::{Running, System, products, token},
};

/// Commands a second at which latencies are compared: far from what it can take.
const RATE: f64 = 300.0;
/// The same where each command reads its stream from the store.
const READING_RATE: f64 = 100.0;
/// What little and much is compared may differ by so much.
const GOAL: Goal = Goal::RatioAtMost(1.15);

/// `growth_store`: the latency of placing an order with 10⁴ and 10⁷ events in the store.
pub(crate) async fn store(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let (small, large) = (System::new().await?, System::new().await?);
    let (small, large) = (filled(&small, 10_000).await?, filled(&large, 10_000_000).await?);
    let (little, much) = (Orders::new(&small).await?, Orders::new(&large).await?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.repetitions {
        ours.push(steady(&large, scale, RATE, |_| much.requests()).await?.ms(50.0));
        theirs.push(steady(&small, scale, RATE, |_| little.requests()).await?.ms(50.0));
    }
    Ok(vec![
        Measure::alone("growth_store", "ms", "median latency of an order at 300/s, 10⁷ events in the store", ours)
            .against("the same, 10⁴ events in the store", theirs)
            .goal(GOAL),
    ])
}

/// A command service whose store of orders has this many events, of streams that nobody asks for.
async fn filled(system: &System, events: u32) -> anyhow::Result<Running> {
    // The first start makes the tables; the heads of the lanes are read at the next.
    drop(system.command_service(&[("RELAY_DELIVERY", "off")]).await?);
    let line =
        |line: u8| json!({"line": line, "product_id": Uuid::nil(), "product_version": 1, "quantity": 2, "unit_price": 1_297});
    let data = json!({"fulfilment": "managed", "currency": "GBP", "total": 5_188, "lines": [line(1), line(2)]});
    let fill = format!(
        "INSERT INTO orders.events (seq, version, occurred_at, recorded_at, stream_id, event_id, correlation_id, lane, event_type, data)
         SELECT n / 16 + 1, 1, now(), now(), id, id, id, n % 16, 'order.placed.v1', '{data}'
         FROM (SELECT n, ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id FROM generate_series(0, {events} - 1) AS n) AS filler;
         INSERT INTO orders.event_types (event_type) VALUES ('order.placed.v1') ON CONFLICT DO NOTHING;"
    );
    psql(&system.database.url, &fill)?;
    settle(&system.database.url, "orders.events")?;
    system.command_service(&[("RELAY_DELIVERY", "off")]).await
}

/// `growth_stream`: the latency of a command on a stream of 10 and of 10,000 events that is not in memory.
pub(crate) async fn stream(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    const STREAMS: usize = 20;
    let system = System::new().await?;
    // One aggregate in memory for each writer: the next command's is read from the store.
    let service = system.command_service(&[("RELAY_DELIVERY", "off"), ("CACHE_AGGREGATES", "1")]).await?;
    let all = products(&service, 2 * STREAMS).await?;
    let (shallow, deep) = all.split_at(STREAMS);
    deepen(&service, shallow, 10).await?;
    deepen(&service, deep, 10_000).await?;
    settle(&system.database.url, "products.events")?;
    let token = token()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.repetitions {
        ours.push(steady(&service, scale, READING_RATE, |_| adjustments(&token, deep)).await?.ms(50.0));
        theirs.push(steady(&service, scale, READING_RATE, |_| adjustments(&token, shallow)).await?.ms(50.0));
    }
    Ok(vec![
        Measure::alone(
            "growth_stream",
            "ms",
            "median latency of a command at 100/s on a stream of 10,000 events, read from the store",
            ours,
        )
        .against("the same, streams of 10 events", theirs)
        .goal(GOAL)
        .note("The shallow streams grow to some hundred events during the run; a snapshot is kept every 100 events."),
    ])
}

/// What Postgres would do in the background after many writes, and into what is measured.
fn settle(url: &str, table: &str) -> anyhow::Result<()> {
    psql(url, &format!("VACUUM (ANALYZE) {table}"))?;
    psql(url, "CHECKPOINT")
}

/// Adds events to each product until it has so many.
async fn deepen(service: &Running, products: &[Uuid], depth: usize) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for product in products {
        let mut lines = String::new();
        for _ in 1..depth {
            let data = json!({"delta": 1, "reason": "counted"});
            writeln!(lines, "{}", json!({"command": "adjust-stock", "id": product, "data": data}))?;
        }
        let request = client.post(format!("{}/v1/commands", service.url())).bearer_auth(token()?);
        let answer = request.header("content-type", "application/x-ndjson").body(lines).send().await?.text().await?;
        let last = answer.lines().last().context("an answer")?;
        ensure!(last.contains(&format!("\"version\":{depth}")), "a product is not as deep as it should be: {last}");
    }
    Ok(())
}

async fn steady(service: &Running, scale: &Scale, rate: f64, requests: impl Fn(usize) -> Requests) -> anyhow::Result<Outcome> {
    let load = Load {
        address: service.address()?,
        connections: 16,
        warm_up: scale.warm_up,
        duration: scale.duration.max(Duration::from_secs(5)),
        overload: false,
    };
    load.open(rate, requests).await
}
