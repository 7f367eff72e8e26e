//! The topics no longer reach back to their beginning: read models come from the event store.

use std::time::Duration;

use redis::{AsyncCommands, aio::MultiplexedConnection};
use system_tests::{Context, Plan, Stack, load::Load, stack::PARTITIONS, wait::until};

use crate::{
    rebuild::view,
    redis::Watch,
    verify::{cell, orderctl, said},
};

async fn connect(stack: &Stack) -> MultiplexedConnection {
    redis::Client::open(stack.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// A field of the state of each of a context's slots.
async fn states(stack: &Stack, generation: u32, context: Context, field: &str) -> Vec<Option<String>> {
    let (mut redis, mut found) = (connect(stack).await, Vec::new());
    for partition in 0..PARTITIONS {
        let key = format!("{}:{{g{generation}:{context}:{partition}}}:state", stack.redis_prefix());
        found.push(redis.hget(key, field).await.unwrap());
    }
    found
}

/// Deletes from the topics what the read models have had: the logs begin about where they end.
async fn forget(stack: &Stack) {
    for context in Context::ALL {
        let offsets = until("something of the context is read", Duration::from_secs(240), async || {
            let offsets = states(stack, 1, context, "offset").await;
            let offsets: Vec<i64> =
                offsets.into_iter().map(|offset| offset.map_or(0, |offset| offset.parse().unwrap())).collect();
            offsets.iter().any(|offset| *offset > 0).then_some(offsets)
        })
        .await;
        stack.topics.delete_records(context, &offsets).await;
    }
}

/// Has everything compared, once every slot of the first generations says that it is complete.
async fn no_difference(stack: &Stack, generation: u32) {
    until("every slot is complete", Duration::from_secs(240), async || {
        for context in Context::ALL {
            let goals = states(stack, generation, context, "goal").await;
            if goals.iter().any(|goal| goal.as_deref() != Some("")) {
                return None;
            }
        }
        Some(())
    })
    .await;
    let output = orderctl(stack, &["verify", "--full"]).await;
    let text = said(&output);
    assert!(output.status.success() && text.contains("No difference."), "{text}");
    let streams = cell(&text, "views", "orders", "streams");
    assert!(streams > 0 && streams == cell(&text, "views", "orders", "compared"), "{text}");
    assert!(cell(&text, "kafka", "orders", "deleted") > 0, "the topic lacks what was deleted: {text}");
}

#[tokio::test]
async fn a_rebuild_from_the_store_is_not_noticed_by_those_who_read() {
    let stack = Stack::start(Plan { projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 71, 6).await;
    load.accepts(150).await;
    forget(&stack).await;
    let watch = Watch::begin_strictly(&stack.client());
    load.accepts(30).await;
    let output = orderctl(&stack, &["rebuild", "--from", "store", "--expect-no-difference"]).await;
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for context in Context::ALL {
        assert!(text.contains(&format!("{context}: generation 2 is built beside generation 1, from the event store")), "{text}");
        assert!(text.contains(&format!("{context}: generation 2 is read now")), "{text}");
    }
    load.accepts(60).await;
    load.finish().await;
    watch.end().await;
    no_difference(&stack, 2).await;
    // Nothing more is written, and the generations are level all the same: one can go back and forth.
    for _ in 0..2 {
        let output = orderctl(&stack, &["rollback", "--projection", "orders", "--projection", "users"]).await;
        assert!(output.status.success(), "{}", said(&output));
    }

    // A single view.
    let order = stack.ledger.entries().iter().find(|entry| entry.context == Context::Orders).map(|entry| entry.id).unwrap();
    let (key, mut redis, id) = (view(&stack, 2, order), connect(&stack).await, order.to_string());
    let right: Vec<u8> = redis.get(&key).await.unwrap();
    let _: () = redis.del(&key).await.unwrap();
    let rebuild = ["rebuild", "--projection", "orders", "--stream", &id];
    let output = orderctl(&stack, &[&rebuild[..], &["--dry-run"]].concat()).await;
    assert!(output.status.success() && said(&output).contains("differs"), "{}", said(&output));
    assert!(!redis.exists::<_, bool>(&key).await.unwrap());
    let output = orderctl(&stack, &[&rebuild[..], &["--dry-run", "--expect-no-difference"]].concat()).await;
    assert!(!output.status.success(), "{}", said(&output));
    let output = orderctl(&stack, &rebuild).await;
    assert!(output.status.success() && said(&output).contains("rebuilt"), "{}", said(&output));
    assert_eq!(redis.get::<_, Vec<u8>>(&key).await.unwrap(), right);
    let output = orderctl(&stack, &[&rebuild[..], &["--expect-no-difference"]].concat()).await;
    assert!(output.status.success() && said(&output).contains("same"), "{}", said(&output));
}

#[tokio::test]
async fn an_emptied_redis_is_filled_from_the_store_by_itself() {
    let mut stack = Stack::start(Plan { own_redis: true, projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 72, 8).await;
    load.accepts(200).await;
    forget(&stack).await;
    let watch = Watch::begin(&stack.client());
    load.accepts(20).await;
    stack.own_redis().flush().await;
    // One of those that fill it dies in the midst.
    stack.projectors[1].kill();
    load.accepts(60).await;
    stack.projectors[1].start().await;
    load.accepts(30).await;
    load.finish().await;
    no_difference(&stack, 1).await;
    // And with nothing going on.
    stack.own_redis().flush().await;
    no_difference(&stack, 1).await;
    watch.end().await;
}
