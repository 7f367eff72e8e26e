//! Steps that are given out, and what came of them.

use std::{collections::HashSet, time::Duration};

use events::orders::OrderShipped;
use fulfilment::{
    application::task::Tried,
    domain::saga::Step,
    outbound::postgres::{Patience, Settled},
};

use crate::world::{LANTERN, PATIENT, TEAPOT, World, attempt, refused, unknown};

/// Steps belong to nobody for longer than a moment.
const FLEETING: Patience = Patience { lease: Duration::from_millis(1), ..PATIENT };

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_take_each_step_once() {
    let world = World::new(PATIENT).await;
    let mut orders = HashSet::new();
    for _ in 0..20 {
        orders.insert(world.place().await);
    }
    let other = world.beside(PATIENT).await;
    let mut taken = Vec::new();
    while taken.len() < orders.len() {
        let (ours, theirs) = tokio::join!(world.store.take(3), other.take(3));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert!(ours.len() <= 3 && theirs.len() <= 3 && ours.len() + theirs.len() > 0);
        taken.extend(ours.into_iter().chain(theirs).map(|task| task.order_id));
    }
    assert_eq!((taken.len(), taken.into_iter().collect::<HashSet<_>>()), (20, orders));
    assert!(world.store.take(10).await.unwrap().is_empty() && other.take(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_step_that_was_begun_by_a_process_that_died_is_taken_again_under_the_same_key() {
    let world = World::new(PATIENT).await;
    let order = world.place().await;
    let fleeting = world.beside(FLEETING).await;
    let died = fleeting.take(1).await.unwrap().remove(0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = world.take().await;
    assert_eq!((again.order_id, again.step, &again.key, again.attempt), (order, died.step, &died.key, 2));
    // It was only slow, and it was refused what the other one gets: that does not count any more.
    assert_eq!(world.settle(&died, refused()).await, Settled::Late);
    assert_eq!(world.settle(&again, Tried::Done(None)).await, Settled::Answered);
    assert_eq!(world.take().await.step, Step::Reserve(TEAPOT));
    let outcomes: Vec<String> = world.view(order).await.attempts.unwrap().into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, ["late", "done"]);
}

#[tokio::test]
async fn what_is_not_known_is_tried_again_and_then_waits_for_a_person() {
    let world = World::new(PATIENT).await;
    let (order, other) = (world.place().await, world.place().await);
    let mut settled = Vec::new();
    while settled.len() < 3 {
        for task in world.store.take(10).await.unwrap() {
            let tried = if task.order_id == order { unknown() } else { Tried::Done(None) };
            let came = world.settle(&task, tried).await;
            if task.order_id == order {
                settled.push(came);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(settled, [Settled::Again, Settled::Again, Settled::Parked]);
    let view = world.view(order).await;
    let step = view.step.unwrap();
    assert_eq!((view.stage.as_str(), step.name, step.attempts), ("parked", "reserve", 3));
    assert_eq!((step.due, step.error.as_deref()), (None, Some("no answer")));
    // The other one was not held up.
    assert_ne!(world.view(other).await.stage, "parked");
}

#[tokio::test]
async fn a_process_that_dies_of_a_step_does_not_try_it_for_ever() {
    let world = World::new(PATIENT).await;
    world.place().await;
    let fleeting = world.beside(FLEETING).await;
    for number in 1..=4 {
        let task = fleeting.take(1).await.unwrap().remove(0);
        assert_eq!((task.attempt, world.store.is_too_many(task.attempt)), (number, number == 4));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_the_provider_calls_it_is_there_when_it_is_needed() {
    let world = World::new(PATIENT).await;
    let order = world.place().await;
    for step in [Step::Reserve(LANTERN), Step::Reserve(TEAPOT), Step::Authorise, Step::Confirm] {
        world.done(step).await;
    }
    assert_eq!(world.view(order).await.stage, "confirmed");
    world.hear(order, 2, OrderShipped { carrier: None, tracking: None }.into()).await;
    let capture = world.take().await;
    assert_eq!((capture.step, capture.authorisation.as_ref().unwrap().as_str()), (Step::Capture, "ref-authorise"));
    let reference = events::text::ProviderReference::parse("cap-1").unwrap();
    world.store.settle(&capture, &attempt(Tried::Done(Some(reference)))).await.unwrap();
    let commit = world.take().await;
    assert_eq!((commit.step, commit.capture.unwrap().as_str().to_owned()), (Step::Commit(LANTERN), "cap-1".to_owned()));
}
