//! What sagas make of what happened to their orders.

use events::{
    OrderId,
    orders::{Fulfilment, OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped},
};
use fulfilment::{
    domain::saga::{OrderState, Step},
    outbound::postgres::{Gaps, HearError, Unreadable},
};
use uuid::Uuid;

use crate::world::{ANN, LANTERN, PATIENT, World, heard, placed, reason};

#[tokio::test]
async fn an_order_begins_with_its_first_step_and_a_timer() {
    let world = World::new(PATIENT).await;
    let order = world.place().await;
    let view = world.view(order).await;
    assert_eq!((view.stage.as_str(), view.user_id(), view.stock.len()), ("running", Some(ANN), 2));
    assert!(view.payment_until.is_some());
    // Whoever wrote it may have died at once: what is to be done is stored with the state.
    let task = world.beside(PATIENT).await.take(10).await.unwrap().remove(0);
    assert_eq!((task.order_id, task.step, task.attempt), (order, Step::Reserve(LANTERN), 1));
    assert_eq!(task.key, format!("{}:reserve:{}", order.0.simple(), LANTERN.0.simple()));
    assert!(task.traceparent.is_some());
}

#[tokio::test]
async fn what_comes_again_changes_nothing() {
    let world = World::new(PATIENT).await;
    let order = world.place().await;
    world.done(Step::Reserve(LANTERN)).await;
    let next = world.take().await;
    world.hear(order, 1, placed(Fulfilment::Managed)).await;
    let both = [heard(order, 1, placed(Fulfilment::Managed)), heard(order, 2, OrderConfirmed {}.into())];
    for _ in 0..2 {
        world.store.hear(&both, None, Gaps::Refuse).await.unwrap();
    }
    assert!(world.store.take(10).await.unwrap().is_empty(), "the step under way is not given out twice: {next:?}");
    assert_eq!(world.view(order).await.stage, "running");
    world.hear(order, 3, OrderShipped { carrier: None, tracking: None }.into()).await;
    world.store.hear(&both, None, Gaps::Refuse).await.unwrap();
    assert_eq!(world.view(order).await.order, OrderState::Shipped, "it is not confirmed once more");
}

#[tokio::test]
async fn a_whole_life_in_one_batch_is_heard_in_its_order() {
    let world = World::new(PATIENT).await;
    let order = OrderId(Uuid::now_v7());
    let cancelled = OrderCancelled { reason: reason("changed my mind") };
    let life = [heard(order, 1, placed(Fulfilment::Managed)), heard(order, 2, cancelled.into())];
    world.store.hear(&life, None, Gaps::Refuse).await.unwrap();
    let view = world.view(order).await;
    assert_eq!((view.stage.as_str(), view.ending.unwrap().name, view.payment_until), ("ending", "cancelled", None));
    // It was asked for before the end was heard: it is asked for, and undone then.
    world.done(Step::Reserve(LANTERN)).await;
    world.done(Step::Release(LANTERN)).await;
    assert_eq!(world.view(order).await.stage, "cancelled");
}

#[tokio::test]
async fn orders_of_other_systems_and_of_earlier_times_are_left_alone() {
    let world = World::new(PATIENT).await;
    let (external, early) = (OrderId(Uuid::now_v7()), OrderId(Uuid::now_v7()));
    world.hear(external, 1, placed(Fulfilment::External)).await;
    world.hear(external, 2, OrderConfirmed {}.into()).await;
    let placed = heard(early, 1, placed(Fulfilment::Managed));
    let later = placed.recorded_at + chrono::TimeDelta::seconds(1);
    world.store.hear(&[placed], Some(later), Gaps::Refuse).await.unwrap();
    for order in [external, early] {
        assert!(world.store.view(order).await.unwrap().is_none());
    }
    assert!(world.store.take(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_missing_is_noticed_and_can_be_put_in_its_place() {
    let world = World::new(PATIENT).await;
    let order = world.place().await;
    let shipped = || heard(order, 3, OrderShipped { carrier: None, tracking: None }.into());
    let missing = world.store.hear(&[shipped()], None, Gaps::Refuse).await;
    assert!(matches!(missing, Err(HearError::Missing { after: 1, until: 2, .. })), "{missing:?}");
    let both = [heard(order, 2, OrderConfirmed {}.into()), shipped()];
    world.store.hear(&both, None, Gaps::Refuse).await.unwrap();
    // Where nobody has it, the rest is heard all the same.
    world.store.hear(&[heard(order, 6, OrderDelivered {}.into())], None, Gaps::Pass).await.unwrap();
    let again = world.store.hear(&[heard(order, 8, OrderDelivered {}.into())], None, Gaps::Refuse).await;
    assert!(matches!(again, Err(HearError::Missing { after: 6, until: 7, .. })), "{again:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_once() {
    let world = World::new(PATIENT).await;
    let unreadable = Unreadable { topic: "orders", partition: 1, offset: 7, key: Some(b"k"), cause: "broken" };
    for _ in 0..2 {
        world.store.keep(unreadable).await.unwrap();
    }
}

#[tokio::test]
async fn two_services_share_a_database() {
    let world = World::new(PATIENT).await;
    // Opening again migrates nothing, in whatever search path another service's connections have.
    world.beside(PATIENT).await.ping().await.unwrap();
    world.place().await;
}
