//! What it costs the write side that traces can be recorded, and that some are.

use std::path::PathBuf;

use system_tests::collector::Collector;

use super::commands::{Orders, rates};
use crate::{
    load::Outcome,
    measure::{Goal, Measure},
    scale::Scale,
    system::{Running, System},
};

/// What is measured here.
pub(crate) const NAMES: &[&str] = &["traces_1_percent_vs_off", "traces_off_vs_before"];

/// The program of a command service that another one is compared with, such as one built before a change.
const BEFORE: &str = "BENCH_BEFORE";

/// What is done on all sides.
const WHAT: &str = "two-line orders with idempotency keys, 64 connections, fsync on, relay off";

/// A command service on a database of its own.
struct Side {
    orders: Orders,
    outcomes: Vec<Outcome>,
    _service: Running,
    _system: System,
}

impl Side {
    async fn new(program: Option<PathBuf>, more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let system = System::new().await?;
        let settings = [&[("RELAY_DELIVERY", "off")][..], more].concat();
        let service = match program {
            Some(program) => system.command_service_at(&program, &settings).await?,
            None => system.command_service(&settings).await?,
        };
        Ok(Self { orders: Orders::new(&service).await?, outcomes: Vec::new(), _service: service, _system: system })
    }

    async fn turn(&mut self, scale: &Scale) -> anyhow::Result<()> {
        self.outcomes.push(self.orders.place(scale).await?);
        Ok(())
    }
}

/// `traces_1_percent_vs_off`, and `traces_off_vs_before` if `BENCH_BEFORE` names a program. A few percent are looked for, so each
/// repetition goes there and back again: whatever gets slower meanwhile hits both sides alike.
pub(crate) async fn cost(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let collector = Collector::sink().await;
    let recording = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint), ("OTEL_TRACES_SAMPLER_ARG", "0.01")];
    let (mut off, mut on) = (Side::new(None, &[]).await?, Side::new(None, &recording).await?);
    let before = std::env::var_os(BEFORE).map(PathBuf::from);
    let mut before = match before {
        Some(program) => Some(Side::new(Some(program), &[]).await?),
        None => None,
    };
    for _ in 0..scale.repetitions {
        off.turn(scale).await?;
        on.turn(scale).await?;
        if let Some(before) = &mut before {
            before.turn(scale).await?;
            before.turn(scale).await?;
        }
        on.turn(scale).await?;
        off.turn(scale).await?;
    }
    let line = |name: &str, side: &Side| {
        Measure::alone(name, "orders/s", WHAT, rates(&side.outcomes)).details_of("ours", side.outcomes.last())
    };
    let mut measures = vec![
        line("traces_1_percent_vs_off", &on)
            .against("the same, and no trace is recorded", rates(&off.outcomes))
            .goal(Goal::RatioAtLeast(0.98))
            .note(
                "One request in a hundred is recorded, and exported to a collector in the load generator, which takes it unread.",
            ),
    ];
    if let Some(before) = &before {
        let against = line("traces_off_vs_before", &off).against("the program that BENCH_BEFORE names", rates(&before.outcomes));
        measures.push(against.goal(Goal::RatioAtLeast(0.99)));
    }
    Ok(measures)
}
