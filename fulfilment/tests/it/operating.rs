//! What operators decide.

use events::{OrderId, orders::OrderShipped};
use fulfilment::{
    application::task::Tried,
    domain::saga::Step,
    outbound::postgres::{Filter, OperateError, Patience, Verb},
};
use uuid::Uuid;

use crate::world::{LANTERN, PATIENT, TEAPOT, World, reason, refused, unknown};

/// One attempt, and a person has to look.
const ONCE: Patience = Patience { attempts: 1, ..PATIENT };

#[tokio::test]
async fn what_waits_for_a_person_is_taken_again_under_the_same_key() {
    let world = World::new(ONCE).await;
    let order = world.place().await;
    let first = world.take().await;
    assert!(matches!(world.store.operate(order, &Verb::Retry, "ann").await, Err(OperateError::BeingTaken)));
    world.settle(&first, unknown()).await;
    assert!(world.store.take(10).await.unwrap().is_empty());
    world.store.operate(order, &Verb::Retry, "ann").await.unwrap();
    let again = world.take().await;
    assert_eq!((&again.key, again.attempt), (&first.key, 1), "nobody knows what became of the first");
    world.settle(&again, Tried::Done(None)).await;
    let view = world.view(order).await;
    let done: Vec<_> = view.attempts.unwrap().into_iter().map(|one| (one.outcome, one.who)).collect();
    let by = |who: &str| Some(who.to_owned());
    assert_eq!(done, [("unknown".to_owned(), None), ("retry".to_owned(), by("ann")), ("done".to_owned(), None)]);
}

#[tokio::test]
async fn what_was_refused_is_asked_for_again_under_another_key() {
    let world = World::new(PATIENT).await;
    let order = world.place().await;
    for step in [Step::Reserve(LANTERN), Step::Reserve(TEAPOT), Step::Authorise, Step::Confirm] {
        world.done(step).await;
    }
    world.hear(order, 2, OrderShipped { carrier: None, tracking: None }.into()).await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let task = world.take().await;
        assert_eq!(task.step, Step::Capture);
        keys.push(task.key.clone());
        world.settle(&task, refused()).await;
        assert_eq!(world.view(order).await.stage, "stuck");
        world.store.operate(order, &Verb::Retry, "ann").await.unwrap();
    }
    let plain = format!("{}:capture", order.0.simple());
    assert_eq!(keys, [plain.clone(), format!("{plain}:1"), format!("{plain}:2")]);
    // An unknown outcome keeps the key that it was asked for under.
    let task = world.take().await;
    world.settle(&task, unknown()).await;
    world.store.operate(order, &Verb::Retry, "ann").await.unwrap();
    assert_eq!(world.take().await.key, format!("{plain}:3"));
}

#[tokio::test]
async fn a_step_can_be_skipped_and_a_saga_given_up() {
    let world = World::new(ONCE).await;
    let order = world.place().await;
    let task = world.take().await;
    world.settle(&task, unknown()).await;
    world.store.operate(order, &Verb::Skip(None), "ann").await.unwrap();
    let task = world.take().await;
    assert_eq!(task.step, Step::Reserve(TEAPOT));
    world.settle(&task, unknown()).await;
    world.store.operate(order, &Verb::Abort(reason("never mind")), "ann").await.unwrap();
    world.done(Step::Release(LANTERN)).await;
    world.done(Step::Cancel).await;
    let view = world.view(order).await;
    assert_eq!((view.stage.as_str(), view.ending.unwrap().reason.as_str()), ("cancelled", "never mind"));
    for verb in [Verb::Retry, Verb::Skip(None), Verb::Abort(reason("again"))] {
        assert!(matches!(world.store.operate(order, &verb, "ann").await, Err(OperateError::Nothing(_))), "{verb:?}");
    }
    let nobody = OrderId(Uuid::now_v7());
    assert!(matches!(world.store.operate(nobody, &Verb::Retry, "ann").await, Err(OperateError::NotFound)));
}

#[tokio::test]
async fn sagas_are_listed_by_where_they_are() {
    let world = World::new(ONCE).await;
    let (parked, _) = (world.place().await, world.place().await);
    for task in world.store.take(10).await.unwrap() {
        let tried = if task.order_id == parked { unknown() } else { Tried::Done(None) };
        world.settle(&task, tried).await;
    }
    let listing = world.store.list(&Filter { stage: Some("parked".to_owned()), limit: 10 }).await.unwrap();
    assert_eq!(listing.sagas.iter().map(|line| line.order_id).collect::<Vec<_>>(), [parked]);
    assert_eq!(listing.sagas[0].error.as_deref(), Some("no answer"));
    let counts: Vec<_> = listing.counts.iter().map(|count| (count.stage.as_str(), count.sagas)).collect();
    assert_eq!(counts, [("parked", 1), ("running", 1)]);
    let stages = world.store.stages().await.unwrap();
    assert_eq!((stages.sagas.len(), stages.timers), (2, 2));
}
