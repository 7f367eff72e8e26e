use std::collections::BTreeMap;

use super::*;

const LONG: Duration = Duration::from_secs(3600);

fn instance(port: u16, contexts: &[&str]) -> Instance {
    Instance {
        id: Uuid::from_u128(port.into()),
        name: "shop".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        health_url: String::new(),
        version: String::new(),
        contexts: contexts.iter().map(|context| (*context).to_owned()).collect(),
    }
}

/// A breaker opens at the second failure, for ever.
fn instances(known: impl IntoIterator<Item = Instance>) -> (Instances, watch::Sender<Arc<[Instance]>>) {
    let (sender, receiver) = watch::channel(known.into_iter().collect());
    let settings = Settings { failures: 2, first_pause: LONG, last_pause: LONG };
    (Instances::new("shop", receiver, settings), sender)
}

/// What the instances do, by port, and how often they were called.
#[derive(Default)]
struct World {
    troubles: BTreeMap<u16, Blame>,
    calls: Mutex<BTreeMap<u16, usize>>,
}

impl World {
    fn with(troubles: impl IntoIterator<Item = (u16, Blame)>) -> Self {
        Self { troubles: troubles.into_iter().collect(), ..Self::default() }
    }

    fn calls(&self) -> BTreeMap<u16, usize> {
        self.calls.lock().unwrap().clone()
    }

    /// The answer is the port.
    async fn call(&self, instances: &Instances, context: Option<&str>, repeat: Repeat) -> Result<u16, CallError<Blame>> {
        let call = |base: String| async move {
            let port: u16 = base.rsplit(':').next().unwrap().parse().unwrap();
            *self.calls.lock().unwrap().entry(port).or_default() += 1;
            self.troubles.get(&port).map_or(Ok(port), |trouble| Err(*trouble))
        };
        instances.call(context, repeat, |blame| *blame, call).await
    }
}

#[tokio::test]
async fn calls_are_spread() {
    let (instances, _sender) = instances([instance(1, &[]), instance(2, &[]), instance(3, &[])]);
    let world = World::default();
    for _ in 0..30 {
        world.call(&instances, None, Repeat::Unreached).await.unwrap();
    }
    assert_eq!(world.calls(), BTreeMap::from([(1, 10), (2, 10), (3, 10)]));
}

#[tokio::test]
async fn an_instance_that_is_not_reached_is_gone_round_and_soon_left_alone() {
    let (instances, _sender) = instances([instance(1, &[]), instance(2, &[])]);
    let world = World::with([(1, Blame::NotReached)]);
    for _ in 0..20 {
        assert_eq!(world.call(&instances, None, Repeat::Unreached).await.unwrap(), 2);
    }
    assert_eq!(world.calls(), BTreeMap::from([(1, 2), (2, 20)]));
}

#[tokio::test]
async fn after_a_failure_only_an_idempotent_call_goes_to_the_next() {
    for (repeat, called) in [(Repeat::Unreached, 1), (Repeat::Failed, 2)] {
        let (instances, _sender) = instances([instance(1, &[]), instance(2, &[])]);
        let world = World::with([(1, Blame::Failed), (2, Blame::NotReached)]);
        let error = world.call(&instances, None, repeat).await.unwrap_err();
        assert_eq!(world.calls().len(), called);
        // Somewhere it may have been done.
        assert_eq!(error.into_error(), Some(Blame::Failed));
    }
}

#[tokio::test]
async fn an_answer_is_an_answer_even_if_it_is_an_error() {
    let (instances, _sender) = instances([instance(1, &[]), instance(2, &[])]);
    let world = World::with([(1, Blame::Answered), (2, Blame::Answered)]);
    for calls in 1..10 {
        assert_eq!(world.call(&instances, None, Repeat::Failed).await.unwrap_err().into_error(), Some(Blame::Answered));
        assert_eq!(world.calls().values().sum::<usize>(), calls);
    }
}

#[tokio::test]
async fn when_all_breakers_are_open_nobody_is_called() {
    let (instances, _sender) = instances([instance(1, &[])]);
    let world = World::with([(1, Blame::Failed)]);
    for _ in 0..2 {
        world.call(&instances, None, Repeat::Failed).await.unwrap_err();
    }
    let error = world.call(&instances, None, Repeat::Failed).await.unwrap_err();
    assert!(matches!(&error, CallError::AllOpen { count: 1, .. }), "{error:?}");
    assert_eq!(world.calls(), BTreeMap::from([(1, 2)]));
}

#[tokio::test]
async fn only_those_that_serve_the_context_are_called() {
    let (instances, _sender) = instances([instance(1, &["users"]), instance(2, &["orders"]), instance(3, &[])]);
    let world = World::default();
    for _ in 0..4 {
        world.call(&instances, Some("orders"), Repeat::Unreached).await.unwrap();
    }
    assert_eq!(world.calls(), BTreeMap::from([(2, 2), (3, 2)]));
}

#[tokio::test]
async fn where_nobody_is_the_error_names_the_service() {
    let (instances, _sender) = instances([instance(1, &["users"])]);
    let error = World::default().call(&instances, Some("orders"), Repeat::Failed).await.map_err(|error| match error {
        CallError::NoInstance { name, context } => (name, context),
        other => panic!("{other:?}"),
    });
    assert_eq!(error, Err(("shop".to_owned(), Some("orders".to_owned()))));
    let (empty, _sender) = self::instances([]);
    assert!(matches!(World::default().call(&empty, None, Repeat::Failed).await, Err(CallError::NoInstance { .. })));
}

#[tokio::test]
async fn a_call_waits_a_moment_for_the_first_instance() {
    let (instances, sender) = instances([]);
    let world = World::default();
    let call = world.call(&instances, None, Repeat::Unreached);
    let appear = async { sender.send_replace([instance(7, &[])].into_iter().collect()) };
    assert_eq!(futures::join!(call, appear).0.unwrap(), 7);
}

#[tokio::test]
async fn an_instance_that_comes_back_as_another_begins_with_a_closed_breaker() {
    let (instances, sender) = instances([instance(1, &[])]);
    let broken = World::with([(1, Blame::NotReached)]);
    for _ in 0..3 {
        broken.call(&instances, None, Repeat::Failed).await.unwrap_err();
    }
    let again = Instance { id: Uuid::from_u128(99), ..instance(1, &[]) };
    sender.send_replace([again].into_iter().collect());
    assert_eq!(World::default().call(&instances, None, Repeat::Failed).await.unwrap(), 1);
}
