//! From the store to Kafka: everything once, in order, whoever dies on the way.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use events::partition::partition_of;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::harness::{
    Database, Instance, Launch, eventually,
    kafka::{Published, Topics},
    staff,
    store::{self, Stored},
};

/// Until another instance publishes; a few seconds, where the machine has nothing else to do.
const TAKEOVER: Duration = Duration::from_secs(90);

/// A database, topics, and a process that stores events and publishes none.
struct Shop {
    database: Database,
    topics: Topics,
    writer: Arc<Instance>,
}

impl Shop {
    async fn open() -> Self {
        let (database, topics) = tokio::join!(Database::create(), Topics::new());
        let writer = Arc::new(Launch::new(&database.url).start().await);
        Self { database, topics, writer }
    }

    fn publisher(&self) -> Launch {
        Launch::new(&self.database.url).publishing(&self.topics)
    }

    async fn stored(&self) -> Vec<Stored> {
        store::checked_events(&self.database, "products").await
    }

    /// Stores commands until told to stop.
    fn busy(&self) -> Busy {
        let (stop, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (writer, stopped, count) = (Arc::clone(&self.writer), Arc::clone(&stop), Arc::clone(&stored));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                count.fetch_add(some_commands(&writer).await, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Busy { stop, stored, task }
    }

    /// Waits until all is published, and checks that it is there once and in order.
    async fn assert_published_exactly_once(&self) -> Vec<Published> {
        let stored = self.stored().await;
        let published = self.topics.read_until("products", stored.len()).await;
        assert_eq!(published.len(), stored.len(), "nothing twice");
        assert_faithful(&published, &stored);
        published
    }
}

/// Commands that are stored in the background.
struct Busy {
    stop: Arc<AtomicBool>,
    stored: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Busy {
    async fn until(&self, more: u64) {
        let from = self.stored.load(Ordering::SeqCst);
        eventually("more is stored", async || self.stored.load(Ordering::SeqCst) >= from + more).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

/// Makes some products and adjusts each; gives the number of events.
async fn some_commands(writer: &Instance) -> u64 {
    let products: Vec<_> = (0..10).map(|_| Uuid::now_v7()).collect();
    let mut lines: Vec<Value> = products
        .iter()
        .map(|id| json!({ "command": "create-product", "id": id, "data": { "sku": id, "name": "A", "price": { "minor": 1, "currency": "GBP" } } }))
        .collect();
    for delta in 1..=3 {
        let data = json!({ "delta": delta, "reason": "received" });
        lines.extend(products.iter().map(|id| json!({ "command": "adjust-stock", "id": id, "data": data })));
    }
    let answers = writer.commands(&staff(), &lines).await;
    assert!(answers.iter().all(|answer| answer["status"].as_u64() < Some(300)), "{answers:?}");
    lines.len() as u64
}

/// Each published event is as it is stored, in its key's partition, and in the order of its stream and lane.
fn assert_faithful(published: &[Published], stored: &[Stored]) {
    let by_id: HashMap<_, _> = stored.iter().map(|event| (event.event_id, event)).collect();
    let mut versions: HashMap<Uuid, u64> = HashMap::new();
    let mut seqs: HashMap<(i32, u16), u64> = HashMap::new();
    for event in published {
        let original = by_id.get(&event.event_id).unwrap_or_else(|| panic!("nobody stored {event:?}"));
        let expected = (original.stream, original.version, original.lane, original.seq, original.event_type.as_str());
        assert_eq!((event.key, event.version, event.lane, event.seq, event.event_type.as_str()), expected);
        assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap(), original.data);
        let partition = partition_of(event.key.to_string().as_bytes(), 3);
        assert_eq!(u32::try_from(event.partition), Ok(partition));
        let version = versions.entry(event.key).or_default();
        assert_eq!(event.version, *version + 1, "out of order in its stream: {event:?}");
        *version = event.version;
        let seq = seqs.entry((event.partition, event.lane)).or_default();
        assert!(event.seq > *seq, "out of order in its lane: {event:?}");
        *seq = event.seq;
    }
}

/// The first of each event: what a consumer that dedupes by version sees.
fn without_repeats(published: &[Published]) -> Vec<Published> {
    let mut versions: HashMap<Uuid, u64> = HashMap::new();
    let mut first = Vec::new();
    for event in published {
        let version = versions.entry(event.key).or_default();
        if event.version > *version {
            *version = event.version;
            first.push(event.clone());
        }
    }
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_published_once_and_in_order() {
    let shop = Shop::open().await;
    // Some of it was there before.
    some_commands(&shop.writer).await;
    let publisher = shop.publisher().start().await;
    let busy = shop.busy();
    busy.until(400).await;
    busy.end().await;
    // The publisher's own events go the short way.
    some_commands(&publisher).await;
    let published = shop.assert_published_exactly_once().await;
    publisher.stop().await;
    shop.publisher().start().await.stop().await;
    assert_eq!(shop.topics.read("products").await, published, "a restart publishes nothing again");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a soak: takes a minute"]
async fn many_restarts_publish_nothing_twice() {
    let shop = Shop::open().await;
    for _ in 0..12 {
        some_commands(&shop.writer).await;
        shop.publisher().start().await.stop().await;
        shop.assert_published_exactly_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_owner_loses_its_group_and_is_fenced() {
    let shop = Shop::open().await;
    let first = shop.publisher().start().await;
    let second = shop.publisher().start().await;
    let busy = shop.busy();
    let published = shop.topics.read_until("products", 40).await.len();
    first.signal(Signal::STOP);
    let stopped = Instant::now();
    // Much more than what the first had in flight.
    shop.topics.read_until("products", published + 1_000).await;
    assert!(stopped.elapsed() < TAKEOVER, "the second took over after {:?}", stopped.elapsed());
    first.signal(Signal::CONT);
    busy.until(200).await;
    busy.end().await;
    shop.assert_published_exactly_once().await;
    first.ready().await;
    second.ready().await;
    first.stop().await;
    second.stop().await;
    shop.assert_published_exactly_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_groups_of_a_process_share_one_session_and_standing_by_keeps_it() {
    let shop = Shop::open().await;
    let (first, second) = (shop.publisher().start().await, shop.publisher().start().await);
    let pool = shop.database.pool("products").await;
    let sessions = async || {
        let sessions = "SELECT pid, query_start,
                (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted)
            FROM pg_stat_activity a WHERE datname = current_database() AND application_name = 'orderflow-relay-owner' ORDER BY pid";
        let sessions: Vec<(i32, DateTime<Utc>, i64)> = sqlx::query_as(sessions).fetch_all(&pool).await.unwrap();
        sessions
    };
    let mut before = sessions().await;
    eventually("who stands by has asked again on the session that it had, and all groups are owned", async || {
        let now = sessions().await;
        let all_owned = now.iter().map(|(_, _, groups)| groups).sum::<i64>() == 8;
        let kept = now.len() == 2
            && before.len() == 2
            && now.iter().zip(&before).all(|(now, before)| now.0 == before.0 && (now.2 == 8 || now.1 > before.1));
        // On a machine without time a session may be lost: then it begins anew.
        if !now.iter().map(|session| session.0).eq(before.iter().map(|session| session.0)) {
            before = now;
        }
        kept && all_owned
    })
    .await;
    pool.close().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_published_events_is_not_published() {
    let shop = Shop::open().await;
    some_commands(&shop.writer).await;
    let publisher = shop.publisher().start().await;
    let published = shop.assert_published_exactly_once().await;
    publisher.stop().await;
    // As a restore to an earlier point would: the tail of lane 3 is gone, and something else takes its place.
    let pool = shop.database.pool("products").await;
    let lost = "DELETE FROM events WHERE lane = (SELECT lane FROM events ORDER BY lane DESC LIMIT 1) AND seq > 1";
    sqlx::query(lost).execute(&pool).await.unwrap();
    pool.close().await;
    let lane = shop.stored().await.last().unwrap().lane;
    let publisher = shop.publisher().listening().await;
    let check = format!("relay-products-{}", lane % 2);
    let refused = async || {
        let ready = publisher.get("/ready", "").await;
        let detail = ready.json()["checks"][&check]["detail"].as_str().unwrap_or_default().to_owned();
        ready.status == 503 && detail.contains("lane") && detail.contains(&lane.to_string())
    };
    eventually("ready says that the store is behind", refused).await;
    // Commands are taken, and of that group none is published, however long one waits.
    some_commands(&publisher).await;
    let of_group = |events: &[Published], group: u16| events.iter().filter(|event| event.lane % 2 == group).count();
    let other = 1 - lane % 2;
    let expected = shop.stored().await.iter().filter(|event| event.lane % 2 == other).count();
    eventually("the other group is published", async || of_group(&shop.topics.read("products").await, other) == expected).await;
    let now = shop.topics.read("products").await;
    assert_eq!(of_group(&now, lane % 2), of_group(&published, lane % 2));
    assert!(refused().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_is_not_published_to_the_same_topics() {
    let shop = Shop::open().await;
    some_commands(&shop.writer).await;
    shop.publisher().start().await.stop().await;
    let published = shop.topics.read("products").await.len();
    let other = Database::create().await;
    let publisher = Launch::new(&other.url).publishing(&shop.topics).listening().await;
    some_commands(&publisher).await;
    eventually("ready says that it is another store", async || {
        let ready = publisher.get("/ready", "").await;
        ready.status == 503
            && ready.json()["checks"]["relay-products-0"]["detail"].as_str().is_some_and(|text| text.contains("store"))
    })
    .await;
    assert_eq!(shop.topics.read("products").await.len(), published);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_least_once_loses_nothing_and_moves_on() {
    let shop = Shop::open().await;
    let publisher = || shop.publisher().env("RELAY_DELIVERY", "at-least-once");
    let busy = shop.busy();
    for _ in 0..2 {
        let mut killed = publisher().start().await;
        let before = shop.topics.read("products").await.len();
        shop.topics.read_until("products", before + 200).await;
        killed.kill();
    }
    busy.end().await;
    let last = publisher().start().await;
    let stored = shop.stored().await;
    eventually("all is published", async || without_repeats(&shop.topics.read("products").await).len() == stored.len()).await;
    last.stop().await;
    let published = shop.topics.read("products").await;
    assert_faithful(&without_repeats(&published), &stored);
    publisher().start().await.stop().await;
    assert_eq!(shop.topics.read("products").await.len(), published.len(), "the cursor is at the end");
}

#[cfg(feature = "failpoints")]
mod with_failpoints {
    use std::collections::BTreeMap;

    use super::*;

    /// A process that dies at this place, and another that takes over, while events are stored all the time.
    async fn dies_at(failpoint: &str) {
        let shop = Shop::open().await;
        some_commands(&shop.writer).await;
        let busy = shop.busy();
        let mut dying = shop.publisher().env("FAILPOINTS", failpoint).spawn();
        // Alone, it owns all groups once their relays have started, unless it dies before.
        dying.relays_settled_or_ended().await;
        let second = shop.publisher().start().await;
        let status = dying.ended().await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{failpoint}: {}", dying.log());
        let died = Instant::now();
        let published = shop.topics.read("products").await.len();
        shop.topics.read_until("products", published + 200).await;
        assert!(died.elapsed() < TAKEOVER, "{failpoint}: taken over after {:?}", died.elapsed());
        busy.end().await;
        shop.assert_published_exactly_once().await;
        second.stop().await;
        let lanes = shop.assert_published_exactly_once().await.iter().fold(BTreeMap::new(), |mut lanes, event| {
            *lanes.entry(event.lane % 2).or_insert(0) += 1;
            lanes
        });
        assert_eq!(lanes.len(), 2, "both groups publish: {lanes:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn survives_an_owner_that_dies_before_it_fences() {
        dies_at("relay-owned=return").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn survives_an_owner_that_dies_when_it_has_fenced() {
        dies_at("relay-fenced=return").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn survives_an_owner_that_dies_in_a_transaction() {
        dies_at("relay-sent=3*off->return").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn survives_an_owner_that_dies_after_a_commit() {
        dies_at("relay-committed=3*off->return").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn asked_to_end_it_publishes_what_it_has_stored() {
        let shop = Shop::open().await;
        // While each group is busy with its first batch, more is stored and the end is asked for.
        let publisher = shop.publisher().env("FAILPOINTS", "relay-sent=2*sleep(1500)->off").start().await;
        let stored = some_commands(&publisher).await + some_commands(&publisher).await;
        publisher.stop().await;
        assert_eq!(shop.topics.read("products").await.len() as u64, stored);
    }

    /// One process after the other, each of which dies at its first chance to publish.
    #[tokio::test(flavor = "multi_thread")]
    async fn survives_owners_that_die_one_after_the_other() {
        let shop = Shop::open().await;
        let busy = shop.busy();
        for failpoint in ["relay-sent=return", "relay-committed=return", "relay-fenced=return", "relay-sent=1*off->return"] {
            busy.until(40).await;
            let mut dying = shop.publisher().env("FAILPOINTS", failpoint).spawn();
            let status = dying.ended().await;
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{failpoint}: {}", dying.log());
        }
        busy.end().await;
        let last = shop.publisher().start().await;
        shop.assert_published_exactly_once().await;
        last.stop().await;
    }
}
