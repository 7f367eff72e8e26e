//! How long it takes from an answer of the command service until the query service shows it, sampled while
//! the import runs.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::{Api, Service};

/// Between samples: rare enough to cost nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Seconds that a read waits.
const WAIT: u64 = 30;

/// Samples orders as they are answered, until the sender of `latest` is gone. Without a query service there are
/// no samples.
pub async fn run(api: Api, mut latest: watch::Receiver<Option<(Uuid, u64)>>) -> Vec<Duration> {
    let mut samples = Vec::new();
    while latest.changed().await.is_ok() {
        let Some((order, version)) = *latest.borrow_and_update() else { continue };
        let start = Instant::now();
        let path = format!("/v1/orders/{order}?min_version={version}");
        let read = api.request(Method::GET, Service::Query, &path).header("prefer", format!("wait={WAIT}"));
        if read.send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            samples.push(start.elapsed());
        }
        tokio::time::sleep(PAUSE).await;
    }
    samples.sort();
    samples
}

/// The sample below which a share of all lies.
pub fn quantile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile(&samples, 50), Some(Duration::from_millis(50)));
        assert_eq!(quantile(&samples, 99), Some(Duration::from_millis(99)));
        assert_eq!(quantile(&samples[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(quantile(&[], 50), None);
    }
}
