//! Redis is emptied, comes back empty, with an old backup, or as a replica that lags: with commands and reads going on.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use system_tests::{Client, Context, Oracle, Plan, Stack, load::Load};
use tokio::task::JoinHandle;
use uuid::Uuid;

#[tokio::test]
async fn an_emptied_redis_is_filled_again_while_commands_go_on() {
    let mut stack = Stack::start(Plan { own_redis: true, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 41, 8).await;
    load.accepts(200).await;
    let watch = Watch::begin(&stack.client());
    load.accepts(20).await;
    stack.own_redis().flush().await;
    load.accepts(100).await;
    // Again in the midst of the recovery, and once with nothing under way.
    stack.own_redis().flush().await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    stack.own_redis().flush().await;
    Oracle::of(&stack).verify().await;
    watch.end().await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_empty_is_filled_again() {
    let mut stack = Stack::start(Plan { own_redis: true, projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 42, 8).await;
    load.accepts(200).await;
    let watch = Watch::begin(&stack.client());
    stack.own_redis().kill();
    // Commands go on, and reads say that it is not their fault, soon.
    load.accepts(100).await;
    let (status, _, body) = stack.client().read("/v1/orders").await.unwrap();
    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&body));
    stack.own_redis().restart().await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    watch.end().await;
}

#[tokio::test]
async fn a_redis_restored_from_an_old_backup_catches_up() {
    let mut stack = Stack::start(Plan { own_redis: true, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 43, 8).await;
    load.accepts(150).await;
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.rdb");
    stack.own_redis().dump_to(&backup).await;
    load.accepts(150).await;
    stack.own_redis().restart_with(&backup).await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
    // And with nothing going on: nobody writes, so the projector has to look.
    stack.own_redis().restart_with(&backup).await;
    Oracle::of(&stack).verify().await;
    // And while the projector is away: only Kafka knows how far Redis had been.
    stack.projectors[0].kill();
    stack.own_redis().restart_with(&backup).await;
    stack.projectors[0].start().await;
    Oracle::of(&stack).verify().await;
}

#[tokio::test]
async fn a_replica_that_lags_takes_over_and_catches_up() {
    let mut stack = Stack::start(Plan { own_redis: true, projectors: 2, ..Plan::default() }).await;
    let mut load = Load::begin(&stack.client(), 44, 8).await;
    load.accepts(150).await;
    let replica = stack.own_redis().lagging_replica().await;
    load.accepts(100).await;
    stack.own_redis().fail_over(replica).await;
    load.accepts(100).await;
    load.finish().await;
    Oracle::of(&stack).verify().await;
}

/// Reads what exists, over and over: once it was seen it is never said to be missing, and no list is short of it.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<()>,
}

impl Watch {
    /// Where Redis loses something: 503 is an answer.
    pub(crate) fn begin(client: &Client) -> Self {
        Self::accepting(client, &[200, 503])
    }

    /// Where nothing is lost: only 200 is.
    pub(crate) fn begin_strictly(client: &Client) -> Self {
        Self::accepting(client, &[200])
    }

    fn accepting(client: &Client, statuses: &'static [u16]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn(watch(client.clone(), statuses, Arc::clone(&stop)));
        Self { stop, watching }
    }

    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.await.unwrap();
    }
}

async fn watch(client: Client, statuses: &[u16], stop: Arc<AtomicBool>) {
    let (mut seen, mut listed) = (BTreeSet::new(), BTreeSet::new());
    while !stop.load(Ordering::Relaxed) {
        let entries = client.ledger().entries();
        let orders: BTreeSet<Uuid> =
            entries.iter().filter(|entry| entry.context == Context::Orders).map(|entry| entry.id).collect();
        for id in orders {
            let (status, _, body) = client.read(&format!("/v1/orders/{id}")).await.unwrap();
            match status {
                200 => drop(seen.insert(id)),
                404 => assert!(!seen.contains(&id), "{id} was there, and is said not to exist"),
                _ => assert!(statuses.contains(&status), "{status}: {}", String::from_utf8_lossy(&body)),
            }
        }
        if let Some(now) = list(&client, statuses).await {
            assert!(listed.is_subset(&now), "the list lacks {:?}", listed.difference(&now));
            listed = now;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!seen.is_empty() && !listed.is_empty(), "something was watched");
}

/// All orders of the list, page by page; none when it can't be had, or was broken off by a switch to another generation.
async fn list(client: &Client, statuses: &[u16]) -> Option<BTreeSet<String>> {
    let (mut ids, mut path) = (BTreeSet::new(), "/v1/orders?limit=200".to_owned());
    loop {
        let (status, _, body) = client.read(&path).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        if status == 410 && path.contains("cursor") {
            return None;
        }
        assert!(statuses.contains(&status), "{status}: {body}");
        ids.extend(body["items"].as_array()?.iter().map(|item| item["id"].to_string()));
        let Some(next) = body["next"].as_str() else { return Some(ids) };
        path = format!("/v1/orders?limit=200&cursor={next}");
    }
}
