//! Postgres is restored to an earlier point, while Kafka and Redis are not.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use serde_json::Value;
use system_tests::{Client, Context, Ledger, Oracle, Plan, Stack, load::Load, oracle::published, wait::until};

/// Waits until a command service, the one that owns the orders' relay group, says that its relay refuses, and why.
async fn refused(stack: &Stack) {
    until("the relay refuses", Duration::from_secs(240), async || {
        let mut refuses = false;
        for service in &stack.commands {
            let ready: Value = reqwest::get(format!("{}/ready", service.url())).await.ok()?.json().await.ok()?;
            let detail = ready["checks"]["relay-orders-0"]["detail"].as_str().unwrap_or_default();
            refuses |= detail.contains("restored to an earlier point");
        }
        refuses.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_of_a_restored_store_refuses_and_skips_nothing() {
    let mut stack = Stack::start(Plan { commands: 2, own_servers: true, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 61, 8).await;
    load.accepts(200).await;
    stack.servers().postgres.back_up("earlier").await;
    load.accepts(400).await;
    let order = load.order(&mut Rng::with_seed(61));
    load.finish().await;
    Oracle::of(&stack).verify().await;
    stack.servers().postgres.back_up("latest").await;
    let before = published(&stack, Context::Orders).await;
    // Under the feet of services that go on, and again with services that know nothing of what was lost.
    stack.servers().postgres.restore("earlier").await;
    refused(&stack).await;
    for service in &mut stack.commands {
        service.kill();
        service.spawn();
        service.listening().await;
    }
    refused(&stack).await;
    // What is taken now lies where published events lay: it does not reach Kafka, neither in their place nor behind them.
    let urls = stack.commands.iter().map(|service| service.url()).collect();
    let other = Client::new(urls, stack.query.url(), Arc::new(Ledger::default()));
    assert!(other.send(&order).await.is_accepted());
    refused(&stack).await;
    assert_eq!(published(&stack, Context::Orders).await, before);
    // The store that Kafka knows comes back: everything is as it was, and goes on.
    for service in &mut stack.commands {
        service.kill();
    }
    stack.servers().postgres.restore("latest").await;
    for service in &mut stack.commands {
        service.spawn();
    }
    stack.ready().await;
    let mut load = Load::begin(&stack.client(), 62, 8).await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}
