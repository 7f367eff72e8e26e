//! A mailbox that panics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use notifier::{
    application::{
        keeper::Policy,
        mailbox::Patience,
        sender::{Outcome, Sender, Taken},
    },
    domain::backoff::Backoff,
};
use uuid::Uuid;

use crate::{
    events::{order, placed},
    receiver::{Manner, Receiver},
    world::{PATIENCE, World, until},
};

/// Panics at one endpoint, until told otherwise.
struct Panicking {
    inner: Arc<dyn Sender>,
    panics: Arc<AtomicBool>,
}

impl Sender for Panicking {
    fn send<'a>(&'a self, taken: &'a Taken) -> BoxFuture<'a, Outcome> {
        async move {
            let is_good = taken.payload.contains("order.placed.v1");
            assert!(is_good || !self.panics.load(Ordering::SeqCst), "as planned");
            self.inner.send(taken).await
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_mailbox_that_panics_is_started_again_alone_and_reported_when_it_keeps_on() {
    let panics = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&panics);
    let policy = Policy {
        backoff: Backoff { first: Duration::from_millis(10), most: Duration::from_millis(50) },
        limit: 3,
        window: Duration::from_secs(5),
    };
    // What it dies with in hand is due again soon.
    let patience = Patience { lease: Duration::from_millis(100), ..PATIENCE };
    let mut world = World::with_sender(patience, policy, |inner| Arc::new(Panicking { inner, panics: told })).await;
    let (good, bad) = (Receiver::start(Manner::Answer(200)).await, Receiver::start(Manner::Answer(200)).await);
    world.endpoint(&good.url, &["order.placed.v1"]).await;
    world.endpoint(&bad.url, &["order.confirmed.v1"]).await;
    world.send();
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil()), crate::events::confirmed()])).await;
    until("it is reported", async || world.dying.check().is_err()).await;
    // Its neighbour goes on.
    world.handle(&order(Uuid::now_v7(), vec![placed(Uuid::nil())])).await;
    until("the neighbour delivers", async || good.deliveries().len() == 2).await;
    assert_eq!(bad.deliveries().len(), 0);

    panics.store(false, Ordering::SeqCst);
    until("it delivers", async || bad.deliveries().len() == 1).await;
    until("the report is taken back", async || world.dying.check().is_ok()).await;
    assert_eq!(good.deliveries().len(), 2);
}
