//! Load over HTTP/1.1: as fast as it goes on so many connections (closed loop), or at a rate, whatever the answers take (open
//! loop; a late answer delays no request of another connection, and what waits for a connection counts as latency).
//!
//! Requests are bytes, made beforehand where possible, and answers are only parsed as far as their length: what the
//! generator takes for itself is taken from what it measures.

mod connection;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::Instant};

pub(crate) use connection::Connection;

use crate::{
    cpu::Share,
    rate::{figure, per_second},
    scale::Scale,
};

/// Makes the requests of one connection, one after another.
pub(crate) type Requests = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// Is told of each accepted answer: when it came, and its body.
pub(crate) type Answered = Arc<dyn Fn(std::time::Instant, &[u8]) + Send + Sync>;

/// What came of a load.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Accepted (2xx) answers a second.
    pub(crate) rate: f64,
    /// From when a request was due to its answer, in microseconds; accepted ones only.
    pub(crate) latency: Histogram<u64>,
    /// Refused with 503.
    pub(crate) refused: u64,
    /// The same for those.
    pub(crate) refused_latency: Histogram<u64>,
    /// The generator's share of all cores.
    pub(crate) generator: f64,
}

impl Outcome {
    /// A percentile of the latency, in milliseconds.
    #[must_use]
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        milliseconds(&self.latency, percentile)
    }
}

/// A percentile, in milliseconds, of a histogram of microseconds.
#[must_use]
pub(crate) fn milliseconds(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    figure(histogram.value_at_percentile(percentile)) / 1e3
}

/// Microseconds up to ten minutes, to three digits.
///
/// # Panics
///
/// Never: the bounds are right.
#[must_use]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("right bounds")
}

/// When a connection may send.
#[derive(Clone)]
enum Pace {
    /// Whenever it has its answer.
    Free,
    /// The next of a common sequence of moments, this many a second.
    Rate { tickets: Arc<AtomicU64>, rate: f64 },
}

/// How a load runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Connections.
    pub(crate) connections: usize,
    /// What is not counted at first.
    pub(crate) warm_up: Duration,
    /// What is counted.
    pub(crate) duration: Duration,
    /// Whether 503 is an answer like another; else it is an error, as all others are.
    pub(crate) overload: bool,
}

impl Load {
    /// On so many connections, for as long as the scale says; every refusal is an error.
    pub(crate) fn on(address: SocketAddr, connections: usize, scale: &Scale) -> Self {
        Self { address, connections, warm_up: scale.warm_up, duration: scale.duration, overload: false }
    }

    /// As fast as it goes: each connection sends when it has its answer.
    pub(crate) async fn closed(&self, requests: impl Fn(usize) -> Requests) -> anyhow::Result<Outcome> {
        self.run(&Pace::Free, requests, None).await
    }

    /// At `rate` requests a second, whatever the answers take.
    pub(crate) async fn open(&self, rate: f64, requests: impl Fn(usize) -> Requests) -> anyhow::Result<Outcome> {
        self.run(&Pace::Rate { tickets: Arc::default(), rate }, requests, None).await
    }

    /// The same, telling of each accepted answer, also of those that are not counted.
    pub(crate) async fn open_telling(
        &self,
        rate: f64,
        requests: impl Fn(usize) -> Requests,
        answered: Answered,
    ) -> anyhow::Result<Outcome> {
        self.run(&Pace::Rate { tickets: Arc::default(), rate }, requests, Some(answered)).await
    }

    async fn run(
        &self,
        pace: &Pace,
        requests: impl Fn(usize) -> Requests,
        answered: Option<Answered>,
    ) -> anyhow::Result<Outcome> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address).await?);
        }
        let begin = Instant::now();
        let mut workers = JoinSet::new();
        for (index, connection) in connections.into_iter().enumerate() {
            workers.spawn(work(connection, *self, pace.clone(), begin, requests(index), answered.clone()));
        }
        tokio::time::sleep_until(begin + self.warm_up).await;
        let share = Share::begin()?;
        tokio::time::sleep_until(begin + self.warm_up + self.duration).await;
        let generator = share.end()?;
        let mut outcome = Outcome { rate: 0.0, latency: histogram(), refused: 0, refused_latency: histogram(), generator };
        while let Some(worker) = workers.join_next().await {
            let (accepted, refused) = worker??;
            outcome.refused += refused.len();
            outcome.latency.add(accepted)?;
            outcome.refused_latency.add(refused)?;
        }
        outcome.rate = per_second(outcome.latency.len(), self.duration);
        Ok(outcome)
    }
}

async fn work(
    mut connection: Connection,
    load: Load,
    pace: Pace,
    begin: Instant,
    mut next: Requests,
    answered: Option<Answered>,
) -> anyhow::Result<(Histogram<u64>, Histogram<u64>)> {
    let (counted, end) = (begin + load.warm_up, begin + load.warm_up + load.duration);
    let (mut accepted, mut refused) = (histogram(), histogram());
    let mut request = Vec::with_capacity(1024);
    loop {
        request.clear();
        next(&mut request);
        let due = match &pace {
            Pace::Free => Instant::now(),
            Pace::Rate { tickets, rate } => {
                let ticket = tickets.fetch_add(1, Ordering::Relaxed);
                let due = begin + Duration::from_secs_f64(figure(ticket) / rate);
                tokio::time::sleep_until(due).await;
                due
            }
        };
        if due >= end {
            return Ok((accepted, refused));
        }
        let response = connection.exchange(&request).await?;
        let now = Instant::now();
        if let Some(answered) = answered.as_ref().filter(|_| (200..300).contains(&response.status)) {
            answered(now.into_std(), connection.body(&response));
        }
        // What is counted was answered within the time, so that the rate is one of work done.
        let counts = (counted..end).contains(&now);
        let took = u64::try_from((now - due).as_micros())?.max(1);
        match response.status {
            200..300 if counts => accepted.record(took)?,
            200..300 => {}
            503 if load.overload => {
                if counts {
                    refused.record(took)?;
                }
            }
            status => {
                let body = String::from_utf8_lossy(connection.body(&response)).into_owned();
                ensure!(false, "answered {status}: {body}");
            }
        }
    }
}
