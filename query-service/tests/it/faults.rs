//! Redis is away, hangs, comes back.

use std::time::{Duration, Instant};

use events::Context;

use crate::harness::{
    Shop, connect, eventually,
    redis_server::RedisServer,
    samples::{id, order, product},
    staff,
};

const TIMEOUT: Duration = Duration::from_millis(300);

/// Every kind of read; the order is cached, the product is not.
fn paths() -> [String; 5] {
    [
        format!("/v1/orders/{}", id(1)),
        format!("/v1/products/{}", id(2)),
        format!("/v1/orders/{}?min_version=9", id(1)),
        "/v1/orders".to_owned(),
        "/v1/stats".to_owned(),
    ]
}

async fn shop_on(redis: &RedisServer) -> Shop {
    let mut shop = Shop::unbuilt(&redis.url(), |settings| settings.timeout = TIMEOUT).await;
    fill(&mut shop).await;
    assert_eq!(shop.get(&paths()[0], &staff()).await.status, 200);
    shop
}

async fn fill(shop: &mut Shop) {
    for context in Context::ALL {
        shop.build(context, 1).await;
    }
    shop.put_order(&order(1, None)).await;
    shop.put_product(&product(2, "Lantern", 5)).await;
}

async fn refused_in_time(shop: &Shop, path: &str) {
    let started = Instant::now();
    let answer = shop.get_with(path, &staff(), &[("Prefer", "wait=20")]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}: {answer:?}");
    assert_eq!(answer.json()["type"], "https://orderflow.dev/problems/unavailable");
    assert!(!answer.body.contains("127.0.0.1"), "{path} tells of the inside: {answer:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{path} took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_dead_redis_is_a_503_and_its_return_is_noticed() {
    let mut redis = RedisServer::start().await;
    let mut shop = shop_on(&redis).await;
    redis.kill();
    eventually(async || shop.get(&paths()[0], &staff()).await.status == 503).await;
    for path in paths() {
        refused_in_time(&shop, &path).await;
    }
    redis.restart().await;
    shop.redis = connect(&redis.url()).await;
    // It has come back empty: that is said, and is no 404.
    eventually(async || shop.get(&paths()[0], &staff()).await.json()["type"] == "https://orderflow.dev/problems/rebuilding")
        .await;
    fill(&mut shop).await;
    assert_eq!(shop.get(&paths()[0], &staff()).await.status, 200);
}

#[tokio::test]
async fn a_hanging_redis_is_a_503_within_a_bound() {
    let redis = RedisServer::start().await;
    let shop = shop_on(&redis).await;
    redis.stop();
    for path in &paths()[1..] {
        refused_in_time(&shop, path).await;
    }
    // What is cached is served until the silence is noticed, and no longer.
    eventually(async || shop.get(&paths()[0], &staff()).await.status == 503).await;
    redis.resume();
    eventually(async || shop.get(&paths()[0], &staff()).await.status == 200).await;
    assert_eq!(shop.get(&paths()[1], &staff()).await.status, 200);
}

#[tokio::test]
async fn many_readers_of_a_hanging_redis_do_not_queue_up_behind_each_other() {
    let redis = RedisServer::start().await;
    let shop = shop_on(&redis).await;
    redis.stop();
    let started = Instant::now();
    let token = staff();
    let path = &paths()[1];
    let answers = futures::future::join_all((0..50).map(|_| shop.get(path, &token))).await;
    let took = started.elapsed();
    redis.resume();
    assert!(answers.iter().all(|answer| answer.status == 503));
    // One after the other they would need 15 s.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
