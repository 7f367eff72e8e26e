//! Another session holds what an append needs.

use std::time::Duration;

use fastrand::Rng;
use sqlx::{Connection, PgConnection};
use system_tests::{Context, Oracle, Plan, Stack, chaos::fault::hold_lanes, load::Load, wait::until};

#[tokio::test]
async fn who_holds_the_lanes_keeps_commands_waiting_and_loses_none() {
    let stack = Stack::start(Plan::default()).await;
    let mut load = Load::begin(&stack.client(), 81, 4).await;
    load.accepts(50).await;
    let holder = hold_lanes(&stack.database.url, Context::Orders).await.unwrap();
    let (client, order) = (stack.client(), load.order(&mut Rng::with_seed(81)));
    let waiting = tokio::spawn(async move { client.send(&order).await });
    let mut looker = PgConnection::connect(&stack.database.url).await.unwrap();
    // Postgres names the idle session as what the writer waits for: these are the locks that appends take.
    let blocked =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
    until("a writer waits", Duration::from_secs(120), async || {
        let blocked: i64 = sqlx::query_scalar(blocked).fetch_one(&mut looker).await.unwrap();
        (blocked > 0).then_some(())
    })
    .await;
    assert!(!waiting.is_finished());
    drop(holder);
    assert!(waiting.await.unwrap().is_accepted());
    load.accepts(50).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}
