//! How far a service is, by its own metrics: looking there costs it little, where a consumer would take a core.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::{
    rate::{figure, per_second},
    system::Running,
};

/// The pause between two looks. A command service's page has 145 kB and costs it 1.7 ms: looked at all the time, it would take
/// a seventh of a core from what is measured. What was reached is noticed half of this late, to our disadvantage.
const LOOK: Duration = Duration::from_millis(50);

/// A counter of a service: all its series whose labels contain a text, summed.
pub(crate) struct Counter {
    client: reqwest::Client,
    url: String,
    name: &'static str,
    label: &'static str,
}

/// Waits until a command service publishes orders. It is ready before: its relays take their groups over one after the other.
pub(crate) async fn publishing(service: &Running) -> anyhow::Result<()> {
    /// The relay groups of a context, unless it is said otherwise.
    const GROUPS: u64 = 1;
    const BOUND: Duration = Duration::from_secs(60);
    Counter::of(service, "orderflow_relay_owned", "context=\"orders\"").rise(GROUPS, BOUND).await?;
    Ok(())
}

/// How fast a counter rose, from when it was first seen above zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rise {
    /// A second.
    pub(crate) rate: f64,
    /// The share of all that happened under our eyes, and not before the first look.
    pub(crate) seen: f64,
}

impl Counter {
    /// Of this service.
    #[must_use]
    pub(crate) fn of(service: &Running, name: &'static str, label: &'static str) -> Self {
        Self { client: reqwest::Client::new(), url: format!("{}/metrics", service.url()), name, label }
    }

    /// What it says now.
    pub(crate) async fn read(&self) -> anyhow::Result<u64> {
        let page = self.client.get(&self.url).send().await?.text().await?;
        let series = page.lines().filter(|line| line.starts_with(self.name) && line.contains(self.label));
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Waits until it reaches `goal`, and tells how fast it went there.
    pub(crate) async fn rise(&self, goal: u64, bound: Duration) -> anyhow::Result<Rise> {
        let deadline = Instant::now() + bound;
        let mut first = None;
        loop {
            let (count, now) = (self.read().await?, Instant::now());
            if count > 0 {
                let (begun, already) = *first.get_or_insert((now, count));
                if count >= goal {
                    let seen = count - already;
                    return Ok(Rise { rate: per_second(seen, now - begun), seen: figure(seen) / figure(count) });
                }
            }
            ensure!(now < deadline, "{} stands at {count} and not at {goal} after {bound:?}", self.name);
            tokio::time::sleep(LOOK).await;
        }
    }
}
