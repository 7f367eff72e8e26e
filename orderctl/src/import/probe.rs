//! How long it takes from an answer of the command service until the query service shows it, sampled while
//! the import runs.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::{Api, Service};

/// Between samples: rare enough to cost nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Seconds that a read waits.
const WAIT: u64 = 30;

/// Samples that may be under way; when the read side lags, they overlap.
const UNDER_WAY: usize = 32;

/// Samples orders as they are answered, until the sender of `latest` is gone. Without a query service there are
/// no samples.
pub async fn run(api: Api, latest: watch::Receiver<Option<(Uuid, u64)>>) -> Vec<Duration> {
    let answered = stream::unfold(latest, |mut latest| async {
        tokio::time::sleep(PAUSE).await;
        // What was answered during the pause is older than it seems.
        latest.mark_unchanged();
        latest.changed().await.ok()?;
        let order = *latest.borrow_and_update();
        Some((order, latest))
    });
    let mut samples: Vec<Duration> = answered
        .filter_map(|order| async move { order.map(|order| (Instant::now(), order)) })
        .map(|(start, (order, version))| sample(&api, start, order, version))
        .buffer_unordered(UNDER_WAY)
        .filter_map(|sample| async move { sample })
        .collect()
        .await;
    samples.sort();
    samples
}

async fn sample(api: &Api, start: Instant, order: Uuid, version: u64) -> Option<Duration> {
    let path = format!("/v1/orders/{order}?min_version={version}");
    let read = api.request(Method::GET, Service::Query, &path).header("prefer", format!("wait={WAIT}"));
    let status = read.send().await.ok()?.status();
    (status == StatusCode::OK).then(|| start.elapsed())
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
