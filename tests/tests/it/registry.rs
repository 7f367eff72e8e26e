//! The service registry in a Redis that is killed, emptied and started again.

use std::{sync::Arc, time::Duration};

use service_kit::{
    health::Health,
    registry::{Instance, RedisRegistry, Registration, ServiceRegistry},
};
use system_tests::{servers::RedisServer, wait::until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take on a machine that is starved.
const PATIENCE: Duration = Duration::from_secs(90);

/// Short, so that those who are killed are soon gone; heartbeats come three times as often.
const TTL: Duration = Duration::from_secs(2);
/// So long that a heartbeat is never late, and short enough to wait for.
const CALM: Duration = Duration::from_secs(12);

fn registry(redis: &RedisServer, ttl: Duration) -> Arc<dyn ServiceRegistry> {
    Arc::new(RedisRegistry::new(&redis.url(), "test", ttl).unwrap())
}

fn instance(name: &str, port: u16) -> Instance {
    Instance {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        health_url: format!("http://127.0.0.1:{port}/ready"),
        version: "1.2.3".to_owned(),
        contexts: vec!["orders".to_owned()],
    }
}

/// An instance's own side, as in its process.
struct Running {
    registration: Option<Registration>,
    stopping: CancellationToken,
}

impl Running {
    fn start(registry: &Arc<dyn ServiceRegistry>, instance: &Instance) -> Self {
        let stopping = CancellationToken::new();
        let health = Health::new(stopping.clone());
        let registration = Registration::start(Arc::clone(registry), instance.clone(), &health, stopping.clone());
        Self { registration: Some(registration), stopping }
    }

    async fn shut_down(mut self) {
        self.stopping.cancel();
        self.registration.take().expect("it runs").finished().await;
    }
}

async fn until_there(registry: &Arc<dyn ServiceRegistry>, name: &str, wanted: &[&Instance]) {
    let mut ids: Vec<_> = wanted.iter().map(|instance| instance.id).collect();
    ids.sort();
    until(&format!("the instances of {name} are {ids:?}"), PATIENCE, async || {
        let mut found: Vec<_> = registry.discover(name).await.iter().map(|instance| instance.id).collect();
        found.sort();
        (found == ids).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_registers_is_found_and_who_shuts_down_is_gone_at_once() {
    let redis = RedisServer::start().await;
    let (ours, theirs) = (registry(&redis, CALM), registry(&redis, CALM));
    let (one, two, other) = (instance("shop", 1), instance("shop", 2), instance("bank", 3));
    let running = [&one, &two, &other].map(|instance| Running::start(&ours, instance));
    until_there(&theirs, "shop", &[&one, &two]).await;
    until_there(&theirs, "bank", &[&other]).await;
    assert_eq!(theirs.discover("bank").await, [other]);
    let mut watched = theirs.watch("shop");
    watched.wait_for(|known| known.len() == 2).await.unwrap();
    let [first, ..] = running;
    first.shut_down().await;
    until_there(&theirs, "shop", &[&two]).await;
    let known = tokio::time::timeout(PATIENCE, watched.wait_for(|known| known.len() == 1)).await.unwrap().unwrap();
    assert_eq!(**known, [two]);
}

#[tokio::test]
async fn who_is_killed_is_gone_after_its_time_to_live() {
    let redis = RedisServer::start().await;
    let (ours, theirs) = (registry(&redis, TTL), registry(&redis, TTL));
    let (killed, lives) = (instance("shop", 1), instance("shop", 2));
    let keeping = Running::start(&ours, &lives);
    until("both are there", PATIENCE, async || {
        ours.register(&killed).await.ok()?;
        (theirs.discover("shop").await.len() == 2).then_some(())
    })
    .await;
    // No heartbeat follows, as when the process is gone.
    until_there(&theirs, "shop", &[&lives]).await;
    keeping.shut_down().await;
}

#[tokio::test]
async fn while_redis_is_away_the_last_known_are_there_and_when_it_is_back_empty_all_come_back() {
    let mut redis = RedisServer::start().await;
    let (ours, theirs) = (registry(&redis, CALM), registry(&redis, CALM));
    let (one, two) = (instance("shop", 1), instance("shop", 2));
    let running = [Running::start(&ours, &one), Running::start(&ours, &two)];
    until_there(&theirs, "shop", &[&one, &two]).await;
    let watched = theirs.watch("shop");
    until("both are watched", PATIENCE, async || (watched.borrow().len() == 2).then_some(())).await;

    redis.kill();
    until("the registry is noticed to be away", PATIENCE, async || (!theirs.list().await.is_current).then_some(())).await;
    assert_eq!(theirs.discover("shop").await, [one.clone(), two.clone()]);
    // It goes on in the background, and nobody is lost at any moment.
    let never_fewer = watch_for_gaps(Arc::clone(&theirs), 2);
    redis.restart().await;
    // Somebody who never knew them finds them again: they have come back by themselves.
    until_there(&registry(&redis, CALM), "shop", &[&one, &two]).await;
    until("it is current again", PATIENCE, async || theirs.list().await.is_current.then_some(())).await;
    assert_eq!(watched.borrow().len(), 2);
    never_fewer.abort();
    assert!(never_fewer.await.unwrap_err().is_cancelled(), "an instance was missing at some moment");
    for one in running {
        one.shut_down().await;
    }
}

fn watch_for_gaps(registry: Arc<dyn ServiceRegistry>, count: usize) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            assert_eq!(registry.discover("shop").await.len(), count);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

#[tokio::test]
async fn a_registry_that_is_emptied_while_it_answers_loses_nobody() {
    let redis = RedisServer::start().await;
    let (ours, theirs) = (registry(&redis, CALM), registry(&redis, CALM));
    let one = instance("shop", 1);
    // Nobody's heartbeat brings it back.
    ours.register(&one).await.unwrap();
    let known = theirs.discover("shop").await;
    assert_eq!(known, [one]);
    redis.flush().await;
    assert_eq!(theirs.discover("shop").await, known);
    // It is believed for a time only.
    until_there(&theirs, "shop", &[]).await;
}

#[tokio::test]
async fn nobody_needs_the_registry_to_start_or_to_stop() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let (stopping, registry) = (CancellationToken::new(), registry(&redis, TTL));
    let health = Health::new(stopping.clone()).check("work", || async { Ok(()) });
    let registration = Registration::start(Arc::clone(&registry), instance("shop", 1), &health, stopping.clone());
    until("it is degraded, and ready", PATIENCE, async || {
        let report = health.report().await;
        assert!(report.is_ready(), "{report:?}");
        let check = &report.checks["registry"];
        check.detail.as_ref().is_some_and(|detail| detail.contains("does not answer")).then_some(())
    })
    .await;
    assert!(registry.discover("shop").await.is_empty());
    stopping.cancel();
    tokio::time::timeout(PATIENCE, registration.finished()).await.unwrap();
}

#[tokio::test]
async fn who_is_not_ready_is_not_there() {
    let redis = RedisServer::start().await;
    let (ours, stopping) = (registry(&redis, CALM), CancellationToken::new());
    let health = Health::new(stopping.clone());
    let work = health.state("work");
    let late = instance("shop", 1);
    let registration = Registration::start(Arc::clone(&ours), late.clone(), &health, stopping.clone());
    let early = Running::start(&ours, &instance("bank", 2));
    until("the other has registered", PATIENCE, async || (!ours.discover("bank").await.is_empty()).then_some(())).await;
    assert!(ours.discover("shop").await.is_empty());
    work.set_ok();
    until_there(&ours, "shop", &[&late]).await;
    stopping.cancel();
    registration.finished().await;
    early.shut_down().await;
    until("both have gone", PATIENCE, async || ours.list().await.instances.is_empty().then_some(())).await;
}
