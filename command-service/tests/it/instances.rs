//! Two processes on one database, hammered with commands on the same streams.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{
    Answer, Database, Instance, Launch, id, product_body, service, staff,
    store::{self, Stored},
};

/// Two processes that share a database. Small batches and caches, so that they meet often.
pub(crate) async fn pair(database: &Database) -> [Arc<Instance>; 2] {
    let start = || Launch::new(&database.url).env("BATCH_COMMANDS", "16").env("CACHE_AGGREGATES", "8").start();
    let (first, second) = tokio::join!(start(), start());
    [Arc::new(first), Arc::new(second)]
}

/// Runs as many callers as there are numbers, each over the instance that is its turn.
async fn callers<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    instances: &[Arc<Instance>; 2],
    count: usize,
    call: impl Fn(Arc<Instance>, usize) -> F,
) -> Vec<T> {
    let running = (0..count).map(|caller| tokio::spawn(call(Arc::clone(&instances[caller % 2]), caller)));
    join_all(running).await.into_iter().map(Result::unwrap).collect()
}

/// The events of each stream, in order, as JSON pointers see them.
fn by_stream(events: &[Stored]) -> HashMap<Uuid, Vec<&Stored>> {
    let mut streams: HashMap<_, Vec<_>> = HashMap::new();
    for event in events {
        streams.entry(event.stream).or_default().push(event);
    }
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_command_is_stored_once_and_lanes_have_no_gap() {
    const CALLERS: usize = 24;
    const EACH: usize = 40;
    let database = Database::create().await;
    let instances = pair(&database).await;
    // Three hot products, and one of each caller's own.
    for number in 0..3 {
        let created = instances[0].post("/v1/products", &staff(), &product_body(id(number + 1), &number.to_string())).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    let acknowledged = callers(&instances, CALLERS, |instance, caller| async move {
        let own = id(1_000 + caller as u128);
        let mut acknowledged = vec![(own, instance.post("/v1/products", &staff(), &product_body(own, &own.to_string())).await)];
        for round in 0..EACH {
            let target = if round % 4 == 3 { own } else { id(((caller + round) % 3) as u128 + 1) };
            let path = format!("/v1/products/{target}/stock-adjustments");
            let adjust = json!({ "delta": caller * 1_000 + round + 1, "reason": "received" });
            acknowledged.push((target, instance.post(&path, &staff(), &adjust).await));
        }
        acknowledged
    })
    .await;
    let events = store::checked_events(&database, "products").await;
    assert_eq!(events.len(), 3 + CALLERS * (EACH + 1), "each command made one event");
    let stored: HashMap<_, _> = events.iter().map(|event| ((event.lane, event.seq), event)).collect();
    let mut told = HashSet::new();
    for (target, answer) in acknowledged.into_iter().flatten() {
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let receipt = answer.json();
        let position = (u16::try_from(receipt["lane"].as_u64().unwrap()).unwrap(), receipt["seq"].as_u64().unwrap());
        assert!(told.insert(position), "two callers were told of {position:?}");
        let event = stored[&position];
        assert_eq!((event.stream, Some(event.version)), (target, receipt["version"].as_u64()));
    }
    let deltas: HashSet<_> = events.iter().filter_map(|event| event.data["delta"].as_u64()).collect();
    assert_eq!(deltas.len(), CALLERS * EACH, "each delta is there once");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_version_has_one_winner() {
    const CALLERS: usize = 12;
    const ROUNDS: usize = 15;
    let database = Database::create().await;
    let instances = pair(&database).await;
    instances[0].post("/v1/products", &staff(), &product_body(id(1), "hot")).await;
    let path = format!("/v1/products/{}/stock-adjustments", id(1));
    for round in 0..ROUNDS {
        let version = round + 1;
        let path = path.clone();
        let answers = callers(&instances, CALLERS, move |instance, caller| {
            let path = path.clone();
            async move {
                let request = instance.request(Method::POST, &path, &staff()).header("If-Match", format!("\"{version}\""));
                Answer::to(request.json(&json!({ "delta": caller + 1, "reason": "counted" }))).await
            }
        })
        .await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        let mut expected = vec![412; CALLERS];
        expected[0] = 200;
        assert_eq!(statuses, expected, "at version {version}");
        for lost in answers.iter().filter(|answer| answer.status == 412) {
            assert_eq!(lost.json()["version"], version + 1, "{lost:?}");
        }
    }
    assert_eq!(store::checked_events(&database, "products").await.len(), ROUNDS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_never_sold_twice() {
    const STOCK: usize = 50;
    const CALLERS: usize = 40;
    let database = Database::create().await;
    let instances = pair(&database).await;
    instances[0].post("/v1/products", &staff(), &product_body(id(1), "scarce")).await;
    let path = format!("/v1/products/{}", id(1));
    let received = json!({ "delta": STOCK, "reason": "received" });
    instances[1].post(&format!("{path}/stock-adjustments"), &staff(), &received).await;
    let reserved = callers(&instances, CALLERS, move |instance, caller| {
        let path = path.clone();
        async move {
            let mut reserved = 0;
            for round in 0..3 {
                let reservation = id(10_000 + (caller * 10 + round) as u128);
                let reserve = json!({ "reservation_id": reservation, "order_id": id(5), "quantity": 1 });
                let answer = instance.post(&format!("{path}/reservations"), &service(), &reserve).await;
                match answer.status {
                    201 => reserved += 1,
                    422 => assert_eq!(answer.rule(), "InsufficientStock"),
                    _ => panic!("{answer:?}"),
                }
            }
            reserved
        }
    })
    .await;
    assert_eq!(reserved.iter().sum::<usize>(), STOCK);
    let events = store::checked_events(&database, "products").await;
    assert_eq!(events.len(), STOCK + 2);
    for instance in &instances {
        let state = instance.get(&format!("/v1/products/{}/state", id(1)), &staff()).await.json();
        assert_eq!(state["state"]["stock"]["reserved"], STOCK, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_lines_over_both_keep_each_streams_order() {
    const STREAMS: u128 = 20;
    const EACH: usize = 25;
    let database = Database::create().await;
    let instances = pair(&database).await;
    // Each process gets the whole life of its streams; all streams share the lanes.
    let answers = callers(&instances, 2, |instance, caller| async move {
        let streams: Vec<_> = (0..STREAMS).map(|number| id(1_000 * (caller as u128 + 1) + number)).collect();
        let mut lines = Vec::new();
        for stream in &streams {
            lines.push(json!({ "command": "create-product", "id": stream, "data": { "sku": stream, "name": "x",
                "price": { "minor": 1, "currency": "GBP" } } }));
        }
        for round in 1..=EACH {
            for stream in &streams {
                let data = json!({ "delta": round, "reason": "received" });
                lines.push(json!({ "command": "adjust-stock", "id": stream, "if_match": round, "data": data }));
            }
        }
        instance.commands(&staff(), &lines).await
    })
    .await;
    for answer in answers.iter().flatten() {
        assert!(matches!(answer["status"].as_u64(), Some(200 | 201)), "{answer}");
    }
    let events = store::checked_events(&database, "products").await;
    for (stream, events) in by_stream(&events) {
        let deltas: Vec<_> = events.iter().skip(1).map(|event| event.data["delta"].as_u64().unwrap()).collect();
        assert_eq!(deltas, (1..=EACH as u64).collect::<Vec<_>>(), "{stream}");
        let types: BTreeMap<_, usize> = events.iter().fold(BTreeMap::new(), |mut types, event| {
            *types.entry(event.event_type.as_str()).or_default() += 1;
            types
        });
        assert_eq!(types, BTreeMap::from([("product.created.v1", 1), ("product.stock-adjusted.v2", EACH)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_soon_knows_what_another_process_made_of_a_product() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    let order = json!({ "lines": [{ "product_id": id(1), "quantity": 1 }] });
    // The second process learns that there is none, and must not go on believing that.
    assert_eq!(instances[1].post("/v1/orders", &staff(), &order).await.rule(), "UnknownProduct");
    instances[0].post("/v1/products", &staff(), &product_body(id(1), "A")).await;
    crate::harness::eventually("the product can be ordered", async || {
        instances[1].post("/v1/orders", &staff(), &order).await.status == 201
    })
    .await;
    let discontinue = format!("/v1/products/{}/discontinue", id(1));
    assert_eq!(instances[0].post(&discontinue, &staff(), &json!({})).await.status, 200);
    // The process that did it knows at once.
    assert_eq!(instances[0].post("/v1/orders", &staff(), &order).await.rule(), "ProductDiscontinued");
    crate::harness::eventually("the product can't be ordered any more", async || {
        instances[1].post("/v1/orders", &staff(), &order).await.rule() == "ProductDiscontinued"
    })
    .await;
}
