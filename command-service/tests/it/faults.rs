//! Postgres goes away, answers get lost, writers panic, processes die.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Database, Instance, Launch, eventually, id, product_body,
    proxy::{Cut, Proxy},
    service, staff, store,
};

const ADJUST: &str = "/v1/products/01900000-0000-7000-8000-000000000001/stock-adjustments";

fn received(delta: u64) -> Value {
    json!({ "delta": delta, "reason": "received" })
}

/// A service that reaches its database through a proxy, with one product.
async fn behind_proxy() -> (Database, Proxy, Instance) {
    let database = Database::create().await;
    let proxy = Proxy::start(database.address()).await;
    let shop = Launch::new(&database.url_via(proxy.port)).start().await;
    assert_eq!(shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await.status, 201);
    (database, proxy, shop)
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    assert_eq!(answer.json()["type"], "https://orderflow.dev/problems/unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_it_says_so_and_comes_back() {
    let (database, proxy, shop) = behind_proxy().await;
    proxy.cut();
    assert_unavailable(&shop.post(ADJUST, &staff(), &received(1)).await);
    assert_unavailable(&shop.post("/v1/users", &staff(), &json!({ "name": "A", "email": "a@x.org" })).await);
    assert_unavailable(&shop.get(&format!("/v1/products/{}/state", id(1)), &staff()).await);
    assert_unavailable(&shop.get("/v1/lanes?context=orders", &service()).await);
    let line = json!({ "command": "adjust-stock", "id": id(1), "data": received(1) });
    let answers = shop.commands(&staff(), &[line.clone(), line]).await;
    assert!(answers.iter().all(|answer| answer["status"] == 503), "{answers:?}");
    eventually("ready says so", async || {
        let ready = shop.get("/ready", "").await;
        ready.status == 503 && ready.json()["checks"]["postgres"]["status"] == "failed"
    })
    .await;
    assert_eq!(shop.get("/health", "").await.status, 200);
    proxy.restore();
    shop.ready().await;
    eventually("commands are taken again", async || shop.post(ADJUST, &staff(), &received(1)).await.status == 200).await;
    assert_eq!(store::checked_events(&database, "products").await.len(), 2);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_packets_keeps_nobody_waiting_for_ever() {
    let (database, proxy, shop) = behind_proxy().await;
    let started = Instant::now();
    proxy.stall();
    // The writer had a connection; then it has to make a new one.
    assert_unavailable(&shop.post(ADJUST, &staff(), &received(1)).await);
    assert_unavailable(&shop.post(ADJUST, &staff(), &received(1)).await);
    assert!(started.elapsed() < Duration::from_secs(90), "{:?}", started.elapsed());
    proxy.restore();
    eventually("commands are taken again", async || shop.post(ADJUST, &staff(), &received(1)).await.status == 200).await;
    assert_eq!(store::checked_events(&database, "products").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_hears_the_truth_when_an_answer_of_postgres_is_lost() {
    let (database, proxy, shop) = behind_proxy().await;
    let change = async |name: &str| {
        let request = shop.request(Method::PATCH, &format!("/v1/products/{}", id(1)), &staff());
        Answer::to(request.header("Idempotency-Key", name).json(&json!({ "name": name }))).await
    };
    // The names are what the proxy looks for in the statement.
    for (version, (name, cut)) in (2..).zip([
        ("before-1", Cut::Statement),
        ("after-1", Cut::Answer),
        ("after-2", Cut::Answer),
        ("before-2", Cut::Statement),
    ]) {
        proxy.cut_at(name, cut);
        let answer = change(name).await;
        assert_eq!((answer.status, answer.json()["version"].as_u64()), (200, Some(version)), "{name}: {answer:?}");
        assert_eq!(proxy.cuts(), usize::try_from(version).unwrap() - 1, "the cut was made");
        assert_eq!(store::checked_events(&database, "products").await.len(), usize::try_from(version).unwrap());
    }
    // Postgres stays away: nobody knows, and the same key finds out.
    proxy.cut_at("for-good", Cut::AnswerForGood);
    let unknown = change("for-good").await;
    assert_unavailable(&unknown);
    assert!(unknown.json()["detail"].as_str().unwrap().contains("may have been accepted"), "{unknown:?}");
    proxy.restore();
    let mut last = None;
    eventually("the key has its answer", async || {
        last = Some(change("for-good").await);
        last.as_ref().is_some_and(|answer| answer.status == 200)
    })
    .await;
    let answer = last.unwrap();
    assert!(answer.replayed() && answer.json()["version"] == 6, "{answer:?}");
    assert_eq!(store::checked_events(&database, "products").await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_again_and_again_lose_and_double_nothing() {
    const CALLERS: u64 = 16;
    const EACH: u64 = 15;
    let (database, proxy, shop) = behind_proxy().await;
    let (shop, proxy) = (Arc::new(shop), Arc::new(proxy));
    let cutting = tokio::spawn({
        let (shop, proxy) = (Arc::clone(&shop), Arc::clone(&proxy));
        async move {
            for cut in 0..10 {
                // Whatever is on its way then: it gets somewhere before the next cut.
                while !matches!(shop.post(ADJUST, &staff(), &received(1_000_000 + cut)).await.status, 200) {}
                proxy.cut();
                proxy.restore();
            }
        }
    });
    let callers = (0..CALLERS).map(|caller| {
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            for round in 0..EACH {
                let (key, body) = (format!("{caller}-{round}"), received(caller * 1_000 + round + 1));
                while {
                    let answer = shop.post_once(ADJUST, &staff(), &key, &body).await;
                    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                    answer.status != 200
                } {}
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    cutting.await.unwrap();
    let events = store::checked_events(&database, "products").await;
    let mut deltas: Vec<_> = events.iter().filter_map(|event| event.data["delta"].as_u64()).collect();
    // The cutter's own have no key: what it was not told of may be there too.
    deltas.retain(|delta| *delta < 1_000_000);
    deltas.sort_unstable();
    let expected: Vec<_> = (0..CALLERS).flat_map(|caller| (1..=EACH).map(move |round| caller * 1_000 + round)).collect();
    assert_eq!(deltas, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_lost_the_last_commits_leaves_no_gap() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    for _ in 0..3 {
        assert_eq!(shop.post(ADJUST, &staff(), &received(1)).await.status, 200);
    }
    let pool = database.pool("products").await;
    sqlx::query("DELETE FROM events WHERE version > 2").execute(&pool).await.unwrap();
    pool.close().await;
    // The process remembers version 4.
    let after = shop.post(ADJUST, &staff(), &received(10)).await;
    assert_eq!((after.status, after.json()["version"].as_u64()), (200, Some(3)));
    assert_eq!(store::checked_events(&database, "products").await.len(), 3);
    let state = shop.get(&format!("/v1/products/{}/state", id(1)), &staff()).await.json();
    assert_eq!(state["state"]["stock"]["on_hand"], 11, "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_an_index_disproves_is_forgotten() {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    assert_eq!(shop.post(ADJUST, &staff(), &received(1)).await.status, 200);
    // Someone wrote past append(), into a lane that nobody looks at.
    let pool = database.pool("products").await;
    let alien = "INSERT INTO events SELECT seq, 3, occurred_at, recorded_at, stream_id, gen_random_uuid(), correlation_id, causation_id, \
                 999, event_type, traceparent, data FROM events WHERE version = 2";
    sqlx::query(alien).execute(&pool).await.unwrap();
    pool.close().await;
    assert_eq!(shop.post(ADJUST, &staff(), &received(10)).await.status, 500);
    let after = shop.post(ADJUST, &staff(), &received(10)).await;
    assert_eq!((after.status, after.json()["version"].as_u64()), (200, Some(4)));
    let state = shop.get(&format!("/v1/products/{}/state", id(1)), &staff()).await.json();
    assert_eq!(state["state"]["stock"]["on_hand"], 12, "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_has_stored_what_it_acknowledged() {
    let database = Database::create().await;
    let mut shop = Launch::new(&database.url).start().await;
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let callers: Vec<_> = (0..16_u64)
        .map(|caller| {
            let (http, url) = (shop.http.clone(), format!("{}{ADJUST}", shop.url));
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for round in 1.. {
                    let delta = caller * 100_000 + round;
                    let request = http.post(&url).bearer_auth(staff()).json(&received(delta));
                    match Answer::of(request).await {
                        Ok(answer) if answer.status == 200 => acknowledged.push(delta),
                        _ => break,
                    }
                }
                acknowledged
            })
        })
        .collect();
    let pool = database.pool("products").await;
    eventually("it is busy", async || store::events(&pool).await.len() > 300).await;
    shop.kill();
    let acknowledged: Vec<u64> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    pool.close().await;
    let events = store::checked_events(&database, "products").await;
    let mut stored: Vec<_> = events.iter().filter_map(|event| event.data["delta"].as_u64()).collect();
    assert!(acknowledged.iter().all(|delta| stored.contains(delta)));
    let count = stored.len();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), count, "nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_finishes_what_it_took() {
    let database = Database::create().await;
    let mut shop = Launch::new(&database.url).start().await;
    shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (http, url) = (shop.http.clone(), format!("{}{ADJUST}", shop.url));
            tokio::spawn(async move {
                let mut acknowledged = 0;
                loop {
                    match Answer::of(http.post(&url).bearer_auth(staff()).json(&received(1))).await {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200, "{answer:?}");
                            acknowledged += 1;
                        }
                        // Refused to connect, or a kept connection that was closed: nothing was taken.
                        Err(_) => return acknowledged,
                    }
                }
            })
        })
        .collect();
    let pool = database.pool("products").await;
    eventually("it is busy", async || store::events(&pool).await.len() > 100).await;
    shop.signal(Signal::TERM);
    assert!(shop.ended().await.success(), "{}", shop.log());
    let acknowledged: usize = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    pool.close().await;
    assert_eq!(store::checked_events(&database, "products").await.len(), acknowledged + 1);
}

#[cfg(feature = "failpoints")]
mod with_failpoints {
    use super::*;

    async fn adjust_all_at_once(shop: &Instance, count: u64) -> Vec<Answer> {
        join_all((1..=count).map(|delta| async move { shop.post(ADJUST, &staff(), &received(delta)).await })).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_mailbox_sends_callers_away() {
        let database = Database::create().await;
        let shop = Launch::new(&database.url)
            .env("FAILPOINTS", "writer-decide=sleep(300)")
            .env("WRITERS", "1")
            .env("MAILBOX", "1")
            .env("BATCH_COMMANDS", "1")
            .start()
            .await;
        assert_eq!(shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await.status, 201);
        let answers = adjust_all_at_once(&shop, 24).await;
        let (taken, sent_away): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert!(!taken.is_empty() && !sent_away.is_empty(), "{answers:?}");
        for answer in sent_away {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
            assert_eq!(answer.json()["type"], "https://orderflow.dev/problems/overloaded");
            assert_eq!(answer.json()["retry_after"], 1);
        }
        // Lines of a stream wait for their turn.
        let line = json!({ "command": "adjust-stock", "id": id(1), "data": received(1) });
        let answers = shop.commands(&staff(), &vec![line; 4]).await;
        assert!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
        assert_eq!(store::checked_events(&database, "products").await.len(), taken.len() + 5);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_takes_its_batch_and_nothing_else() {
        let database = Database::create().await;
        // The first batch is the product, the second is stored, the third panics. Eight commands fill at least two batches.
        let shop = Launch::new(&database.url)
            .env("FAILPOINTS", "writer-decide=2*off->1*panic(as the test wants it)->off")
            .env("WRITERS", "1")
            .env("BATCH_COMMANDS", "4")
            .start()
            .await;
        assert_eq!(shop.post("/v1/products", &staff(), &product_body(id(1), "A")).await.status, 201);
        let answers = adjust_all_at_once(&shop, 8).await;
        let accepted = answers.iter().filter(|answer| answer.status == 200).count();
        assert!((1..8).contains(&accepted), "{answers:?}");
        for failed in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!((failed.status, &failed.json()["type"]), (500, &json!("https://orderflow.dev/problems/internal")));
        }
        assert_eq!(shop.post(ADJUST, &staff(), &received(99)).await.json()["version"], accepted + 2);
        assert_eq!(store::checked_events(&database, "products").await.len(), accepted + 2);
        assert!(shop.log().contains("as the test wants it") && shop.log().contains("a writer panicked"), "{}", shop.log());
    }
}
