//! More than it can take: what is still done, how soon the rest hears 503, and how soon all is well again.
//!
//! The command service has one core and the generator another, so that it is not the generator that is measured.

use std::time::Duration;

use anyhow::Context as _;

use super::commands::{CONNECTIONS, Orders};
use crate::{
    cpu,
    load::{Load, Outcome, milliseconds},
    measure::{Curves, Goal, Measure, Measured},
    pin,
    rate::per_second,
    scale::Scale,
    system::{Running, System},
};

/// Connections of an open loop: more than wait at any time, so that a request rarely waits for one.
const OPEN_CONNECTIONS: usize = 512;
/// Offered in the curve, in peaks.
const OFFERED: [f64; 7] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
/// Offered when it is too much, in peaks.
const TOO_MUCH: f64 = 3.0;
/// Offered afterwards, in peaks.
const CALM: f64 = 0.5;
/// The capacity is capped, as more than service and generator can pass on one core each could not be offered three times: one
/// writer, of whose commands two share a commit, and a short queue before it.
const CAPPED: [(&str, &str); 4] = [("RELAY_DELIVERY", "off"), ("WRITERS", "1"), ("BATCH_COMMANDS", "2"), ("MAILBOX", "64")];

/// `overload_*`
pub(crate) async fn overload(scale: &Scale) -> anyhow::Result<Measured> {
    let system = System::new().await?;
    let bed = Bed::new(&system, *scale).await?;
    let curves = bed.curves().await?;
    let mut rounds = Vec::new();
    for _ in 0..scale.repetitions {
        rounds.push(bed.round().await?);
    }
    let last = rounds.last().context("a repetition")?;
    let each = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let measures = vec![
        Measure::alone("overload_throughput", "orders/s", "accepted when 3× the peak is offered, on 512 connections", each(|round| round.flood.rate))
            .against("the peak, on 64 connections", each(|round| round.peak))
            .goal(Goal::RatioAtLeast(0.8))
            .details_of("ours", Some(&last.flood))
            .detail("offered", last.peak * TOO_MUCH)
            .detail("answered", last.answered)
            .note("Capacity is capped (one writer, 2 commands a commit, a queue of 64) and service and generator have a core each, so that the generator can offer 3×."),
        Measure::alone("overload_refusal_ms", "ms", "p99 until a 503, at 3× the peak", each(|round| milliseconds(&round.flood.refused_latency, 99.0)))
            .goal(Goal::AtMost(100.0))
            .detail("p50_ms", milliseconds(&last.flood.refused_latency, 50.0))
            .detail("max_ms", milliseconds(&last.flood.refused_latency, 100.0)),
        Measure::alone("overload_recovery", "orders/s", "accepted at half the peak, from the moment on when 3× ends", each(|round| round.calm.rate))
            .against("what is offered then", each(|round| round.peak * CALM))
            .goal(Goal::RatioAtLeast(0.95))
            .details_of("ours", Some(&last.calm)),
        Measure::alone("overload_rss_mb", "MB", "resident memory of the command service after 3× the peak", each(|round| round.resident_mb))
            .goal(Goal::AtMost(200.0)),
    ];
    Ok(Measured { measures, curves })
}

/// The service on its core, and where the generator runs.
struct Bed {
    service: Running,
    orders: Orders,
    generator: usize,
    scale: Scale,
}

/// Peak, flood, calm.
struct Round {
    peak: f64,
    flood: Outcome,
    /// Answers a second in the flood, accepted or not: when this is what was offered, the generator kept up.
    answered: f64,
    resident_mb: f64,
    calm: Outcome,
}

impl Bed {
    async fn new(system: &System, scale: Scale) -> anyhow::Result<Self> {
        let service = system.command_service(&CAPPED).await?;
        let orders = Orders::new(&service).await?;
        pin::process(service.pid()?, 0)?;
        let generator = std::thread::available_parallelism()?.get() - 1;
        Ok(Self { service, orders, generator, scale })
    }

    /// What is accepted on 64 connections, as fast as it goes.
    async fn peak(&self) -> anyhow::Result<f64> {
        let (load, orders) = (self.load(CONNECTIONS, self.scale.warm_up), self.orders.clone());
        let outcome = pin::on_core(self.generator, move || async move { load.closed(|_| orders.requests()).await }).await?;
        Ok(outcome.rate)
    }

    async fn offer(&self, rate: f64, warm_up: Duration) -> anyhow::Result<Outcome> {
        let (load, orders) = (self.load(OPEN_CONNECTIONS, warm_up), self.orders.clone());
        pin::on_core(self.generator, move || async move { load.open(rate, |_| orders.requests()).await }).await
    }

    fn load(&self, connections: usize, warm_up: Duration) -> Load {
        Load { address: self.orders.address, connections, warm_up, duration: self.scale.duration, overload: true }
    }

    /// Points of offered, done and p99; and the same of what was refused.
    async fn curves(&self) -> anyhow::Result<Curves> {
        let peak = self.peak().await?;
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for factor in OFFERED {
            let outcome = self.offer(peak * factor, self.scale.warm_up).await?;
            done.push((peak * factor, outcome.rate, outcome.ms(99.0)));
            if outcome.refused > 0 {
                let rate = self.rate(outcome.refused);
                refused.push((peak * factor, rate, milliseconds(&outcome.refused_latency, 99.0)));
            }
        }
        Ok(Curves::from([("overload".to_owned(), done), ("overload_refused".to_owned(), refused)]))
    }

    async fn round(&self) -> anyhow::Result<Round> {
        let peak = self.peak().await?;
        let flood = self.offer(peak * TOO_MUCH, self.scale.warm_up).await?;
        let resident_mb = cpu::resident_mb(self.service.pid()?)?;
        let calm = self.offer(peak * CALM, Duration::ZERO).await?;
        let answered = flood.rate + self.rate(flood.refused);
        Ok(Round { peak, flood, answered, resident_mb, calm })
    }

    fn rate(&self, count: u64) -> f64 {
        per_second(count, self.scale.duration)
    }
}
