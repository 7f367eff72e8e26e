//! From events to the ledger.

use consumer::Handler;
use futures::future::join_all;
use uuid::Uuid;

use crate::{
    events::{confirmed, order, placed},
    world::{PATIENCE, World},
};

const USER: Uuid = Uuid::from_u128(7);

#[tokio::test]
async fn the_same_events_again_cause_nothing() {
    let world = World::new(PATIENCE).await;
    let endpoint = world.endpoint("http://127.0.0.1:1/", &["*"]).await;
    let records = order(Uuid::now_v7(), vec![placed(USER), confirmed()]);
    // In one batch, in others, with more: a group that begins at zero again.
    world.handle(&records[..1]).await;
    world.handle(&records[1..]).await;
    // Two deliveries and one e-mail.
    assert_eq!(world.effects().await, 3);
    world.handle(&records).await;
    world.handle(&records).await;
    assert_eq!(world.effects().await, 3);

    // Not even what subscribed since, or an endpoint whose ledger was emptied.
    world.endpoint("http://127.0.0.1:1/", &["*"]).await;
    world.execute("TRUNCATE notifier.effects CASCADE").await;
    world.handle(&records).await;
    assert_eq!(world.effects().await, 0);
    world.webhooks.delete(crate::world::OWNER, endpoint.endpoint.id).await.unwrap();
}

#[tokio::test]
async fn two_who_handle_the_same_partition_cause_it_once() {
    let world = World::new(PATIENCE).await;
    world.endpoint("http://127.0.0.1:1/", &["order.confirmed.v1"]).await;
    let records = order(Uuid::now_v7(), vec![placed(USER), confirmed()]);
    let both = join_all((0..4).map(async |_| world.handling().handle(&records).await));
    for handled in both.await {
        handled.unwrap();
    }
    assert_eq!(world.effects().await, 2);
}

#[tokio::test]
async fn a_ledger_that_is_there_is_a_second_line() {
    let world = World::new(PATIENCE).await;
    let records = order(Uuid::now_v7(), vec![placed(USER), confirmed()]);
    world.handle(&records).await;
    // As if versions had been lost.
    world.execute("TRUNCATE notifier.streams").await;
    world.handle(&records).await;
    assert_eq!(world.effects().await, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_once() {
    let world = World::new(PATIENCE).await;
    let records = order(Uuid::now_v7(), vec![placed(USER)]);
    let (position, why) = (&records[0].position, events::DecodeError::Header("ce_id"));
    for _ in 0..2 {
        world.handling().unreadable(position, Some(b"ke\0y"), &why).await.unwrap();
    }
    let kept: String = world.ask("SELECT topic || '/' || partition || ' ' || key || ': ' || why FROM notifier.unreadable").await;
    assert_eq!(kept, "orderflow.orders.v1/0 key: the header `ce_id` is missing or malformed");
}
