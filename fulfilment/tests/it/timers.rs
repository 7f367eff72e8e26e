//! The time for authorisations.

use std::time::Duration;

use fulfilment::{domain::saga::Step, outbound::postgres::Patience};

use crate::world::{LANTERN, PATIENT, TEAPOT, World};

/// The time is over at once.
const HASTY: Patience = Patience { payment: Duration::ZERO, ..PATIENT };

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_once() {
    let world = World::new(HASTY).await;
    let order = world.place().await;
    let other = world.beside(HASTY).await;
    let (ours, theirs) = tokio::join!(world.store.fire_due(), other.fire_due());
    assert_eq!(ours.unwrap() + theirs.unwrap(), 1);
    assert_eq!(world.store.fire_due().await.unwrap(), 0);
    let view = world.view(order).await;
    assert_eq!((view.stage.as_str(), view.ending.unwrap().name, view.payment_until), ("ending", "timed-out", None));
    // The step that was under way is not given up, and then undone.
    world.done(Step::Reserve(LANTERN)).await;
    world.done(Step::Release(LANTERN)).await;
    world.done(Step::Cancel).await;
    assert_eq!(world.view(order).await.stage, "cancelled");
}

#[tokio::test]
async fn an_authorisation_stops_the_timer() {
    let world = World::new(HASTY).await;
    let order = world.place().await;
    for step in [Step::Reserve(LANTERN), Step::Reserve(TEAPOT), Step::Authorise] {
        world.done(step).await;
    }
    assert_eq!(world.store.fire_due().await.unwrap(), 0);
    assert_eq!(world.view(order).await.ending.map(|ending| ending.name), None);
}
