//! Orders while everything else runs too: what the write side has left when relay, projector and query service share its
//! cores.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use system_tests::wait::until;
use tokio::time::Instant;

use super::commands::{Orders, rates};
use crate::{
    counters::{Counter, publishing},
    measure::Measure,
    scale::Scale,
    system::System,
};

/// How long the projector may take for what one repetition stored.
const DRAINED: Duration = Duration::from_secs(120);

/// `commands_all_on`
pub(crate) async fn all_on(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let system = System::new().await?;
    let service = system.command_service(&[]).await?;
    let projector = system.projector(&service.url(), &[]).await?;
    let _query_service = system.query_service().await?;
    publishing(&service).await?;
    let applied = Counter::of(&projector, "orderflow_projection_events_total", "context=\"orders\"");
    let orders = Orders::new(&service).await?;
    let mut postgres = PgConnection::connect(&system.database.url).await?;
    let (mut outcomes, mut behind, mut drained_in) = (Vec::new(), 0, Duration::ZERO);
    for _ in 0..scale.repetitions {
        outcomes.push(orders.place(scale).await?);
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM orders.events").fetch_one(&mut postgres).await?;
        let stored = stored.unsigned_abs();
        let begun = Instant::now();
        behind = stored.saturating_sub(applied.read().await?);
        until("the projector has applied all orders", DRAINED, async || {
            applied.read().await.is_ok_and(|count| count >= stored).then_some(())
        })
        .await;
        drained_in = begun.elapsed();
    }
    let what = "the same orders with exactly-once relay, projector and query service on the same cores";
    Ok(vec![
        Measure::alone("commands_all_on", "orders/s", what, rates(&outcomes))
            .details_of("ours", outcomes.last())
            .detail("events_behind_at_the_end", f64::from(u32::try_from(behind)?))
            .detail("then_visible_after_s", drained_in.as_secs_f64()),
    ])
}
