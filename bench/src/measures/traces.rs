//! What it costs the write side that traces can be recorded, and that some are.

use std::path::PathBuf;

use system_tests::collector::Collector;

use super::commands::Orders;
use crate::{
    cpu,
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
    /// Microseconds of the service's CPU an order.
    cpu: Vec<f64>,
    last: Option<Outcome>,
    service: Running,
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
        Ok(Self { orders: Orders::new(&service).await?, cpu: Vec::new(), last: None, service, _system: system })
    }

    async fn turn(&mut self, scale: &Scale) -> anyhow::Result<()> {
        let before = cpu::used(self.service.pid()?)?;
        let outcome = self.orders.place(scale).await?;
        let used = (cpu::used(self.service.pid()?)? - before).as_secs_f64();
        // The warm-up's orders are not counted; they came about as fast.
        self.cpu.push(used * 1e6 / (outcome.rate * (scale.warm_up + scale.duration).as_secs_f64()));
        self.last = Some(outcome);
        Ok(())
    }
}

/// `traces_1_percent_vs_off`, and `traces_off_vs_before` if `BENCH_BEFORE` names a program. A few percent are looked for, so it is
/// the service's CPU that counts, which Postgres and what else the machine does hardly touch, and each repetition goes there and
/// back again: whatever gets slower meanwhile hits both sides alike.
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
        Measure::alone(name, "µs of CPU an order", WHAT, side.cpu.clone()).details_of("ours", side.last.as_ref())
    };
    let mut measures = vec![
        line("traces_1_percent_vs_off", &on)
            .against("the same, and no trace is recorded", off.cpu.clone())
            .goal(Goal::RatioAtMost(1.02))
            .note(
                "One request in a hundred is recorded, and exported to a collector in the load generator, which takes it unread.",
            ),
    ];
    if let Some(before) = &before {
        let against = line("traces_off_vs_before", &off).against("the program that BENCH_BEFORE names", before.cpu.clone());
        measures.push(against.goal(Goal::RatioAtMost(1.01)));
    }
    Ok(measures)
}
