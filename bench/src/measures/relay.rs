//! How fast a backlog leaves the event store.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use system_tests::servers::Topics;

use super::commands::PRODUCTS;
use crate::{
    counters::{Counter, Rise},
    cpu,
    kafka::{self, Records},
    measure::{Goal, Measure},
    orders,
    rate::figure,
    scale::Scale,
    system::{System, products},
};

/// A drain that takes longer is stuck.
const BOUND: Duration = Duration::from_secs(120);

/// `relay_vs_producer`
pub(crate) async fn against_producer(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[("RELAY_DELIVERY", "off")]).await?;
    let products = products(&service, PRODUCTS).await?;
    orders::fill(&service, &products, scale.backlog).await?;
    service.stop().await;
    let (mut ours, mut theirs, mut seen, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut records: Option<Arc<Records>> = None;
    for repetition in 0..scale.repetitions {
        let drained = drain(&system, &format!("{}_{repetition}", system.name), scale.backlog).await?;
        ours.push(drained.rise.rate);
        seen.push(drained.rise.seen);
        cpu.push(drained.cpu);
        let known = match &records {
            Some(records) => Arc::clone(records),
            None => Arc::clone(records.insert(read(&drained.topics, scale.backlog).await?)),
        };
        let topics = Topics::shared(format!("{}_p{repetition}", system.name));
        kafka::create(&topics).await?;
        let topic = kafka::orders(&topics);
        theirs.push(tokio::task::spawn_blocking(move || known.send(&topic)).await??);
    }
    let bytes = records.context("a repetition")?.bytes_each();
    let median = |values: Vec<f64>| crate::measure::Figure::from(values).median;
    Ok(vec![
        Measure::alone("relay_vs_producer", "events/s", "the relay drains a backlog of orders, exactly once", ours)
            .against("rdkafka's idempotent producer: the same keys, headers and bytes, from memory", theirs)
            .goal(Goal::RatioAtLeast(0.4))
            .detail("events", figure(scale.backlog as u64))
            .detail("bytes_per_event", figure(bytes as u64))
            .detail("share_seen", median(seen))
            .detail("service_cpu_us_per_event", median(cpu))
            .note(
                "From the first to the last event that the relay counts as committed; `share_seen` of the backlog went by in \
                 that time. After the first drain the topic is read back, and has each event once. The producer has the \
                 relay's settings but a linger.ms of 5, and no transactions.",
            ),
    ])
}

struct Drained {
    rise: Rise,
    /// Microseconds of the service for one event.
    cpu: f64,
    topics: Topics,
}

/// A relay's cursor lies on Kafka under the prefix, so under a new prefix it begins with the first event.
async fn drain(system: &System, prefix: &str, backlog: usize) -> anyhow::Result<Drained> {
    let topics = Topics::shared(prefix);
    let service = system.command_service(&[("TOPIC_PREFIX", prefix)]).await?;
    let published = Counter::of(&service, "orderflow_relay_events_total", "context=\"orders\"");
    let rise = published.rise(backlog as u64, BOUND).await?;
    let cpu = cpu::used(service.pid()?)?.as_secs_f64() * 1e6 / figure(backlog as u64);
    service.stop().await;
    Ok(Drained { rise, cpu, topics })
}

/// The backlog as it was published, each event once.
async fn read(topics: &Topics, backlog: usize) -> anyhow::Result<Arc<Records>> {
    let topic = kafka::orders(topics);
    let records = tokio::task::spawn_blocking(move || Records::read(&topic)).await??;
    ensure!(records.len() == backlog, "{} events were published of {backlog}", records.len());
    Ok(Arc::new(records))
}
