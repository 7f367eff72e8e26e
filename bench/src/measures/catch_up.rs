//! How fast the projector makes the read models anew.

mod growth;
mod limits;
mod naive;
mod topic;

use std::time::Duration;

use system_tests::servers::Topics;

pub(crate) use self::growth::growth;
use self::topic::{Life, Made};
use crate::{
    counters::Counter,
    cpu, kafka,
    measure::{Figure, Goal, Measure},
    rate::figure,
    scale::Scale,
    system::System,
};

/// A catch-up that takes longer stands still.
const BOUND: Duration = Duration::from_secs(900);

const WHAT: &str = "the projector from an empty Redis, all read models, orders of two lines";

/// `catch_up_vs_limit`, `catch_up_vs_naive`
pub(crate) async fn placed(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let made = make(&system, scale.catch_up, Life::Placed).await?;
    let (mut ours, mut limit, mut slow) = (Repetitions::default(), Vec::new(), Vec::new());
    let (mut reads, mut sets) = (Vec::new(), Vec::new());
    for repetition in 0..scale.repetitions {
        ours.add(catch_up(&system, &made, repetition).await?);
        let documents = limits::documents(&system.redis).await?;
        system.redis.flush().await;
        let (topic, url) = (kafka::orders(&system.topics), system.redis.url());
        let read = tokio::task::spawn_blocking(move || limits::consume(&topic)).await??;
        let set = tokio::task::spawn_blocking(move || limits::set(&url, &documents)).await??;
        limit.push(read.min(set));
        reads.push(read);
        sets.push(set);
        system.redis.flush().await;
        let group = format!("{}_naive_{repetition}", system.name);
        slow.push(naive::run(&kafka::orders(&system.topics), &group, &system.redis.url()).await?);
    }
    let with_limit = ours
        .details(Measure::alone("catch_up_vs_limit", "events/s", WHAT, ours.rate.clone()), &made)
        .against("the slower of reading the topic with rdkafka, and SETs of the same documents in pipelines of 500", limit)
        .goal(Goal::RatioAtLeast(0.5))
        .detail("limit_consume_per_s", Figure::from(reads).median)
        .detail("limit_set_per_s", Figure::from(sets).median)
        .note("From the first to the last event that the projector counts as written; `share_seen` of all went by in that time.");
    let with_naive = Measure::alone("catch_up_vs_naive", "events/s", WHAT, ours.rate)
        .against("the tutorial's loop: StreamConsumer, one awaited HSET and SET an event", slow)
        .goal(Goal::RatioAtLeast(10.0))
        .detail("naive_events", figure(naive::EVENTS));
    Ok(vec![with_limit, with_naive])
}

/// `catch_up_life`
pub(crate) async fn life(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let made = make(&system, scale.catch_up, Life::Whole).await?;
    let mut ours = Repetitions::default();
    for repetition in 0..scale.repetitions {
        ours.add(catch_up(&system, &made, repetition).await?);
    }
    let what = "the same with four events an order: placed, confirmed, shipped, delivered";
    Ok(vec![ours.details(Measure::alone("catch_up_life", "events/s", what, ours.rate.clone()), &made)])
}

async fn make(system: &System, events: usize, life: Life) -> anyhow::Result<Made> {
    let topics: &Topics = &system.topics;
    kafka::create(topics).await?;
    let topic = kafka::orders(topics);
    tokio::task::spawn_blocking(move || topic::make(&topic, events as u64, life)).await?
}

/// What the repetitions gave.
#[derive(Default)]
struct Repetitions {
    rate: Vec<f64>,
    seen: Vec<f64>,
    projector: Vec<f64>,
    redis: Vec<f64>,
    peak: Vec<f64>,
}

struct CaughtUp {
    /// Events a second.
    rate: f64,
    /// The share of all that the rate is of.
    seen: f64,
    /// Microseconds of the projector for one event, its start included.
    projector: f64,
    /// Microseconds of Redis for one event.
    redis: f64,
    /// The projector's memory at its most, in MB.
    peak: f64,
    /// And at rest.
    resident: f64,
}

impl Repetitions {
    fn add(&mut self, one: CaughtUp) {
        self.rate.push(one.rate);
        self.seen.push(one.seen);
        self.projector.push(one.projector);
        self.redis.push(one.redis);
        self.peak.push(one.peak);
    }

    fn details(&self, measure: Measure, made: &Made) -> Measure {
        let median = |values: &[f64]| Figure::from(values.to_vec()).median;
        measure
            .detail("events", figure(made.events))
            .detail("bytes_per_event", figure(made.bytes / made.events.max(1)))
            .detail("payload_bytes_per_event", figure(made.payload_bytes / made.events.max(1)))
            .detail("mb_per_s", median(&self.rate) * figure(made.bytes) / figure(made.events) / 1e6)
            .detail("share_seen", median(&self.seen))
            .detail("projector_cpu_us_per_event", median(&self.projector))
            .detail("redis_cpu_us_per_event", median(&self.redis))
            .detail("projector_peak_mb", median(&self.peak))
    }
}

/// Empties Redis and lets a new group catch up.
async fn catch_up(system: &System, made: &Made, repetition: usize) -> anyhow::Result<CaughtUp> {
    system.redis.flush().await;
    let group = format!("{}_{repetition}", system.name);
    let before = limits::redis_cpu(&system.redis).await?;
    let projector = system.projector_alone(&[("GROUP_ID", &group)]).await?;
    let applied = Counter::of(&projector, "orderflow_projection_events_total", "context=\"orders\"");
    let rise = applied.rise(made.events, BOUND).await?;
    let each = |seconds: f64| seconds * 1e6 / figure(made.events);
    let caught_up = CaughtUp {
        rate: rise.rate,
        seen: rise.seen,
        projector: each(cpu::used(projector.pid()?)?.as_secs_f64()),
        redis: each(limits::redis_cpu(&system.redis).await? - before),
        peak: cpu::peak_mb(projector.pid()?)?,
        resident: cpu::resident_mb_at_rest(projector.pid()?).await?,
    };
    projector.stop().await;
    Ok(caught_up)
}
