//! Watches the time for authorisations, and what is to be seen of all sagas.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::outbound::postgres::{PostgresError, Store};

/// How late a timer may fire.
const LOOK: Duration = Duration::from_millis(500);
/// How often sagas are counted.
const COUNT: Duration = Duration::from_secs(5);
/// Stages that sagas pass through, to tell of those without any as well.
const PASSING: [&str; 5] = ["running", "confirmed", "ending", "stuck", "parked"];

/// Fires timers until `stop` is cancelled; `due` hears that there may be new steps.
pub async fn run(store: Store, due: Arc<Notify>, stop: CancellationToken) {
    let mut failures = 0_u32;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        match store.fire_due().await {
            Ok(0) => failures = 0,
            Ok(fired) => {
                failures = 0;
                metrics::counter!("orderflow_saga_timers_fired_total").increment(fired);
                due.notify_one();
            }
            Err(error) => {
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(failures, %error, "timers can't be fired");
                }
            }
        }
    }
}

/// Gauges how many sagas are where, until `stop` is cancelled.
pub async fn gauge(store: Store, stop: CancellationToken) {
    loop {
        // Readiness says when Postgres does not answer.
        if let Err(error) = gauge_once(&store).await {
            tracing::debug!(%error, "sagas can't be counted");
        }
        if stop.run_until_cancelled(tokio::time::sleep(COUNT)).await.is_none() {
            return;
        }
    }
}

async fn gauge_once(store: &Store) -> Result<(), PostgresError> {
    let stages = store.stages().await?;
    for stage in PASSING {
        let sagas = stages.sagas.iter().find(|(name, _)| name == stage).map_or(0, |(_, sagas)| *sagas);
        metrics::gauge!("orderflow_sagas", "stage" => stage).set(number(sagas));
    }
    metrics::gauge!("orderflow_saga_timers").set(number(stages.timers));
    Ok(())
}

/// Exact as far as anybody counts.
fn number(count: i64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
