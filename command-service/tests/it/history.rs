//! Audit and time travel: pages of events, states at versions and times, the feed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::harness::{Database, Instance, Launch, id, product_body, service, staff, store};

/// A product with `adjustments` after its creation, each of one piece more.
async fn shop(adjustments: usize) -> (Database, Instance) {
    let database = Database::create().await;
    let shop = Launch::new(&database.url).start().await;
    let mut lines = vec![json!({ "command": "create-product", "data": product_body(id(1), "A") })];
    let adjust = json!({ "command": "adjust-stock", "id": id(1), "data": { "delta": 1, "reason": "received" } });
    lines.resize(adjustments + 1, adjust);
    let answers = shop.commands(&staff(), &lines).await;
    assert!(answers.iter().all(|answer| answer["status"].as_u64() < Some(300)), "{answers:?}");
    (database, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_through_a_stream_without_gap_or_repeat() {
    let (_database, shop) = shop(249).await;
    let (mut versions, mut after, mut pages) = (Vec::new(), Some(0), 0);
    while let Some(cursor) = after {
        let page = shop.get(&format!("/v1/products/{}/events?after={cursor}", id(1)), &staff()).await.json();
        versions.extend(page["events"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()));
        after = page["next"].as_u64();
        pages += 1;
    }
    assert_eq!((pages, versions), (3, (1..=250).collect()));
    // A page that ends with the stream says so.
    let last = shop.get(&format!("/v1/products/{}/events?after=150&limit=100", id(1)), &staff()).await.json();
    assert_eq!((last["events"].as_array().unwrap().len(), &last["next"]), (100, &Value::Null));
    let beyond = shop.get(&format!("/v1/products/{}/events?after=250", id(1)), &staff()).await;
    assert_eq!((beyond.status, beyond.json()), (200, json!({ "events": [], "next": null })));
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_the_state_at_a_version_and_at_a_time() {
    let (_database, shop) = shop(1_100).await;
    let state = async |query: &str| {
        let answer = shop.get(&format!("/v1/products/{}/state{query}", id(1)), &staff()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let state = answer.json();
        (state["version"].as_u64().unwrap(), state["state"]["stock"]["on_hand"].as_u64().unwrap())
    };
    assert_eq!(state("").await, (1_101, 1_100));
    for version in [1, 2, 999, 1_000, 1_001, 1_101] {
        assert_eq!(state(&format!("?version={version}")).await, (version, version - 1));
    }
    let first = shop.get(&format!("/v1/products/{}/events?limit=1", id(1)), &staff()).await.json();
    let recorded: DateTime<Utc> = first["events"][0]["recorded_at"].as_str().unwrap().parse().unwrap();
    let stamp = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let (version, on_hand) = state(&format!("?at={}", stamp(recorded))).await;
    // All that was recorded in that moment belongs to it.
    assert!((1..=1_101).contains(&version) && on_hand == version - 1);
    assert_eq!(state(&format!("?at={}", stamp(Utc::now()))).await, (1_101, 1_100));
    let before = stamp(recorded - chrono::TimeDelta::microseconds(1));
    assert_eq!(shop.get(&format!("/v1/products/{}/state?at={before}", id(1)), &staff()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_of_all_lanes_is_the_store() {
    let (database, shop) = shop(50).await;
    let lines: Vec<_> = (100..160)
        .map(|number| json!({ "command": "create-product", "data": product_body(id(number), &number.to_string()) }))
        .collect();
    shop.commands(&staff(), &lines).await;
    let stored = store::checked_events(&database, "products").await;
    assert_eq!(stored.len(), 111);
    let lanes = shop.get("/v1/lanes?context=products", &service()).await.json();
    let mut found = Vec::new();
    for (lane, head) in lanes["heads"].as_array().unwrap().iter().enumerate() {
        let (mut after, head) = (0, head.as_u64().unwrap());
        loop {
            let path = format!("/v1/feed?context=products&lane={lane}&after={after}&limit=7");
            let events = shop.get(&path, &service()).await.lines();
            after = events.last().map_or(after, |event| event["seq"].as_u64().unwrap());
            let ended = events.len() < 7;
            found.extend(events);
            if ended {
                break;
            }
        }
        assert_eq!(after, head, "lane {lane}");
    }
    let ids: Vec<_> = found.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = stored.iter().map(|event| event.event_id.to_string()).collect();
    assert_eq!(ids, expected);
    assert_eq!(found[0]["data"], stored[0].data);
}
