//! Services that are asked to end finish what they have taken.

use std::time::Duration;

use rustix::process::Signal;
use system_tests::{Oracle, Plan, Stack, load::Load};

/// A little more than the stack's `SHUTDOWN_TIMEOUT`.
const BOUND: Duration = Duration::from_secs(70);

#[tokio::test]
async fn every_service_ends_well_under_load() {
    let mut stack = Stack::start(Plan { commands: 2, projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 61, 8).await;
    load.accepts(100).await;
    for round in 0..4 {
        for process in [&mut stack.commands[round % 2], &mut stack.projectors[round % 2], &mut stack.query] {
            process.signal(Signal::TERM);
            let ended = process.ended(BOUND).await;
            assert_eq!(ended.code(), Some(0), "it exits with 0\n{}", process.tail());
            process.spawn();
        }
        load.accepts(60).await;
    }
    load.finish().await;
    stack.ready().await;
    Oracle::of(&stack).verify().await;
}

/// What was acknowledged before the end is published before the end.
#[tokio::test]
async fn nothing_is_left_unpublished_at_the_end() {
    let mut stack = Stack::start(Plan::default()).await;
    let mut load = Load::begin(&stack.client(), 62, 8).await;
    load.accepts(200).await;
    load.finish().await;
    stack.commands[0].signal(Signal::TERM);
    let ended = stack.commands[0].ended(BOUND).await;
    assert_eq!(ended.code(), Some(0));
    // Personal data and gaps are the only things that the projector asks it for.
    Oracle::of(&stack).published().await;
    stack.commands[0].start().await;
    Oracle::of(&stack).verify().await;
}
