//! Redis is emptied, and comes back empty.

use system_tests::{Oracle, Plan, Stack, load::Load};

#[tokio::test]
async fn an_emptied_redis_is_filled_again_while_commands_go_on() {
    let mut stack = Stack::start(Plan { own_redis: true, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 41, 8).await;
    load.accepts(200).await;
    stack.own_redis().flush().await;
    load.accepts(100).await;
    // Again in the midst of the recovery, and once with nothing under way.
    stack.own_redis().flush().await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    stack.own_redis().flush().await;
    Oracle::of(&stack).verify().await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_empty_is_filled_again() {
    let mut stack = Stack::start(Plan { own_redis: true, projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 42, 8).await;
    load.accepts(200).await;
    stack.own_redis().kill();
    // Commands go on, and reads say that it is not their fault, soon.
    load.accepts(100).await;
    let (status, _, body) = stack.client().read("/v1/orders").await.unwrap();
    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&body));
    stack.own_redis().restart().await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}
