//! From the commit of an order to where consumers can read it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use system_tests::servers::Topics;
use uuid::Uuid;

use super::commands::{CONNECTIONS, PRODUCTS};
use crate::{
    counters::publishing,
    kafka::{self, Arrivals},
    load::{Answered, Load, Outcome, histogram, milliseconds},
    measure::{Figure, Goal, Measure},
    orders::{self, Placing},
    peers::OUTBOX_TOPIC,
    scale::Scale,
    system::{Running, System, products},
};

/// Orders a second.
const RATE: f64 = 500.0;

/// `commit_to_kafka_ms`
pub(crate) async fn against_outbox(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[]).await?;
    publishing(&service).await?;
    let products: Arc<[Uuid]> = products(&service, PRODUCTS).await?.into();
    let own = Topics::shared(format!("{}_outbox", system.name));
    kafka::create(&own).await?;
    let topic = kafka::orders(&own);
    let outbox = system.peer("polling-outbox", &[(OUTBOX_TOPIC, &topic)]).await?;
    let (mut ours, mut theirs) = (Percentiles::default(), Percentiles::default());
    let mut last = None;
    for _ in 0..scale.repetitions {
        let (delays, outcome) = place(&service, &kafka::orders(&system.topics), &products, scale).await?;
        ours.add(&delays);
        last = Some(outcome);
        theirs.add(&place(&outbox, &topic, &products, scale).await?.0);
    }
    service.stop().await;
    let last = last.context("a repetition")?;
    let (p99, outbox_p99) = (Figure::from(ours.p99).median, Figure::from(theirs.p99).median);
    Ok(vec![
        Measure::alone(
            "commit_to_kafka_ms",
            "ms",
            "p50 from commit to readable by a read_committed consumer, 500 orders/s",
            ours.p50,
        )
        .against("p50 of an outbox table polled every 100 ms", theirs.p50)
        .goal(Goal::RatioAtMost(0.25))
        .detail("p99_ms", p99)
        .detail("reference_p99_ms", outbox_p99)
        .detail("accepted_per_s", last.rate)
        .detail("generator_share", last.generator)
        .note(
            "From the HTTP answer, which goes out right after the commit, to a consumer in the same process as the \
                 generator; what the consumer had before the answer was read counts as 0.",
        ),
    ])
}

/// One side's repetitions.
#[derive(Default)]
struct Percentiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Percentiles {
    fn add(&mut self, delays: &Histogram<u64>) {
        self.p50.push(milliseconds(delays, 50.0));
        self.p99.push(milliseconds(delays, 99.0));
    }
}

/// Places orders and looks when they come out.
async fn place(
    service: &Running,
    topic: &str,
    products: &Arc<[Uuid]>,
    scale: &Scale,
) -> anyhow::Result<(Histogram<u64>, Outcome)> {
    let arrivals = Arrivals::watch(topic)?;
    let commits: Arc<Mutex<HashMap<Uuid, Instant>>> = Arc::default();
    let noting = Arc::clone(&commits);
    let answered: Answered = Arc::new(move |at, body| {
        if let Some(id) = orders::answered_id(body) {
            noting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, at);
        }
    });
    let load = Load::on(service.address()?, CONNECTIONS, scale);
    let counted = Instant::now() + scale.warm_up;
    let placing = Placing::of(products)?;
    let outcome = load.open_telling(RATE, |_| placing.requests(), answered).await?;
    let commits = std::mem::take(&mut *commits.lock().unwrap_or_else(PoisonError::into_inner));
    let seen = arrivals.end(commits.len()).await?;
    let mut delays = histogram();
    for (id, answered) in commits.iter().filter(|(_, at)| **at >= counted) {
        let seen = seen.get(id).with_context(|| format!("the order {id} did not reach Kafka"))?;
        delays.record(u64::try_from(seen.saturating_duration_since(*answered).as_micros())?.max(1))?;
    }
    Ok((delays, outcome))
}
