//! The relay is killed at every step that matters, and a second instance takes over.

use std::time::Duration;

use rustix::process::Signal;
use system_tests::{Context, Oracle, Plan, Stack, load::Load, planter::Plant, wait::until};

use crate::parted::RELAYS;

/// The moments of a publication: owner but not the producer; the last owner's producer fenced, the cursor not read;
/// events sent but not committed; committed, and the process does not know it.
const FAILPOINTS: [&str; 4] = ["relay-owned", "relay-fenced", "relay-sent", "relay-committed"];

/// Kills an instance at each failpoint in turn while clients work; the other one goes on meanwhile.
async fn killed_at_every_step(delivery: &'static str, seed: u64) -> Stack {
    let command_environment = vec![("RELAY_DELIVERY", delivery)];
    let mut stack = Stack::start(Plan { commands: 2, command_environment, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), seed, 8).await;
    for (round, failpoint) in FAILPOINTS.into_iter().enumerate() {
        // The instance that owns the groups is killed, so that the other one takes over, with the failpoint set.
        let (victim, other) = (round % 2, (round + 1) % 2);
        let nth = if failpoint.ends_with("sent") || failpoint.ends_with("committed") { 5 } else { 1 };
        stack.commands[victim].kill();
        stack.commands[victim].set("FAILPOINTS", &format!("{failpoint}={nth}*off->return"));
        stack.commands[victim].spawn();
        stack.commands[victim].listening().await;
        stack.commands[other].kill();
        let ended = stack.commands[victim].ended(Duration::from_secs(120)).await;
        assert!(!ended.success(), "{failpoint} kills: {ended}");
        stack.commands[victim].set("FAILPOINTS", "");
        for process in &mut stack.commands {
            process.spawn();
        }
        load.accepts(60).await;
    }
    load.finish().await;
    stack.ready().await;
    stack
}

#[tokio::test]
async fn a_relay_killed_at_every_step_publishes_exactly_once() {
    let stack = killed_at_every_step("exactly-once", 21).await;
    Oracle::of(&stack).verify().await;
}

#[tokio::test]
async fn duplicates_of_an_at_least_once_relay_change_nothing() {
    let stack = killed_at_every_step("at-least-once", 22).await;
    Oracle::of(&stack).settle().await;
    // The kills did make some: what the other test proves is not for want of trying.
    let findings = Oracle::of(&stack).impatient().findings().await;
    assert!(findings.iter().any(|finding| finding.contains("a second time")), "{findings:#?}");
    Oracle::of(&stack).at_least_once().verify().await;
    // And records that come again much later.
    let before = stack.metric(&stack.projectors[0].url(), "orderflow_projection_duplicates_total").await;
    let entries = stack.ledger.entries();
    let order = entries.iter().find(|entry| entry.context == Context::Orders && entry.version >= 2).unwrap();
    let path = format!("/v1/orders/{}/events", order.id);
    let history: serde_json::Value = stack.client().asking(&path).send().await.unwrap().json().await.unwrap();
    let events = history["events"].as_array().unwrap();
    for event in events {
        Plant::recorded(Context::Orders, event).plant(&stack, Context::Orders).await;
    }
    Oracle::of(&stack).at_least_once().verify().await;
    let after = stack.metric(&stack.projectors[0].url(), "orderflow_projection_duplicates_total").await;
    assert!(after - before >= events.len() as f64, "each duplicate is counted: {before}, then {after}");
}

/// A process that is stopped keeps its connections: Postgres has to take its groups from it, and Kafka its producer.
#[tokio::test]
async fn a_relay_that_is_stopped_loses_its_groups_and_does_no_harm_afterwards() {
    let stack = Stack::start(Plan { commands: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 23, 6).await;
    load.accepts(100).await;
    for victim in [0, 1, 0] {
        stack.commands[victim].signal(Signal::STOP);
        let other = stack.commands[1 - victim].url();
        until("the other instance owns every group", Duration::from_secs(120), async || {
            (stack.metric(&other, "orderflow_relay_owned").await >= RELAYS).then_some(())
        })
        .await;
        load.accepts(60).await;
        stack.commands[victim].signal(Signal::CONT);
        load.accepts(60).await;
    }
    load.finish().await;
    Oracle::of(&stack).verify().await;
}
