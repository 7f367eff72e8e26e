//! Live updates while Redis is lost, emptied, or away.

use events::Context;

use crate::harness::{
    Shop, connect, customer,
    redis_server::RedisServer,
    samples::{id, order},
    staff,
    streams::{Stream, by_stream, change},
};

async fn shop_on(redis: &RedisServer) -> Shop {
    let mut shop = Shop::unbuilt(&redis.url(), |_| ()).await;
    shop.build_all().await;
    put_version(&shop, 3).await;
    shop
}

async fn put_version(shop: &Shop, version: u64) {
    let mut order = order(1, Some(7));
    order.version = version;
    shop.put_order(&order).await;
    shop.log(Context::Orders, &[change(id(1), version, "order.confirmed.v1")]).await;
}

/// One stream of each kind, past what they begin with.
async fn streams(shop: &Shop) -> (Stream, Stream) {
    let mut order = shop.follow(&format!("/v1/orders/{}/updates", id(1)), &customer(id(7)), "").await;
    assert_eq!(order.next().await.version(), 3);
    let mut changes = shop.follow("/v1/updates", &staff(), "").await;
    put_version(shop, 4).await;
    for stream in [&mut order, &mut changes] {
        assert_eq!(stream.next().await.version(), 4);
    }
    (order, changes)
}

/// The read models are refilled, from older versions to newer ones, and both streams go on.
async fn refilled(shop: &mut Shop, order: &mut Stream, changes: &mut Stream) {
    shop.build_all().await;
    for version in 1..=5 {
        put_version(shop, version).await;
    }
    // The client had version 4: it may be told that again, as it was told to start anew, but nothing older.
    let mut event = order.next().await;
    if event.version() == 4 {
        event = order.next().await;
    }
    assert_eq!((&*event.name, event.version()), ("view", 5));
    // Losses that are noticed one after another are told one after another.
    let mut event = changes.next().await;
    while event.name == "reset" || event.version() < 5 {
        event = changes.next().await;
    }
}

#[tokio::test]
async fn a_flush_is_a_reset_and_no_silence() {
    let redis = RedisServer::start().await;
    let mut shop = shop_on(&redis).await;
    let (mut order, mut changes) = streams(&shop).await;
    shop.command(&redis::cmd("FLUSHALL")).await;
    for stream in [&mut order, &mut changes] {
        let reset = stream.next().await;
        assert_eq!((&*reset.name, &*reset.data), ("reset", r#"{"cause":"lost"}"#));
    }
    refilled(&mut shop, &mut order, &mut changes).await;
}

/// Emptied and refilled before anybody could look: what lies there is the same, but what was missed is not known.
#[tokio::test]
async fn a_flush_that_is_over_before_it_is_seen_is_a_reset_too() {
    let redis = RedisServer::start().await;
    let shop = shop_on(&redis).await;
    let (mut order, mut changes) = streams(&shop).await;
    let slot = shop.slot(Context::Orders, id(1));
    let generations = read_model::keys::generations(&shop.prefix);
    let mut refill = redis::pipe();
    let mut connection = shop.redis.clone();
    let view: Vec<u8> = redis::cmd("GET").arg(slot.view(id(1))).query_async(&mut connection).await.unwrap();
    let pointers: Vec<String> = redis::cmd("HGETALL").arg(&generations).query_async(&mut connection).await.unwrap();
    refill.atomic().cmd("FLUSHALL").cmd("HSET").arg(&generations).arg(pointers).cmd("SET").arg(slot.view(id(1))).arg(view);
    refill.cmd("XADD").arg(slot.log()).arg("*").arg("changes").arg("[]");
    refill.exec_async(&mut connection).await.unwrap();
    for stream in [&mut order, &mut changes] {
        assert_eq!(stream.next().await.data, r#"{"cause":"lost"}"#);
    }
    assert_eq!(order.next().await.version(), 4);
    put_version(&shop, 5).await;
    for stream in [&mut order, &mut changes] {
        assert_eq!(stream.next().await.version(), 5);
    }
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_a_reset() {
    let mut redis = RedisServer::start().await;
    let mut shop = shop_on(&redis).await;
    let (mut order, mut changes) = streams(&shop).await;
    redis.kill();
    redis.restart().await;
    shop.redis = connect(&redis.url()).await;
    for stream in [&mut order, &mut changes] {
        assert_eq!(stream.next().await.data, r#"{"cause":"lost"}"#);
    }
    refilled(&mut shop, &mut order, &mut changes).await;
}

#[tokio::test]
async fn lost_connections_to_redis_lose_nothing() {
    let redis = RedisServer::start().await;
    let shop = shop_on(&redis).await;
    let (mut order, mut changes) = streams(&shop).await;
    let mut told = Vec::new();
    for version in 5..40 {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
        shop.command(&kill).await;
        put_version(&shop, version).await;
        if version % 10 == 0 {
            while told.len() < usize::try_from(version - 4).unwrap() {
                told.push(changes.next().await);
            }
        }
    }
    while told.len() < 35 {
        told.push(changes.next().await);
    }
    assert!(by_stream(&told)[&id(1).to_string()].iter().copied().eq(5..40));
    let mut version = 4;
    while version < 39 {
        let event = order.next().await;
        assert!(event.name == "view" && event.version() > version, "{event:?} after {version}");
        version = event.version();
    }
}

/// While Redis hangs streams stay open, and nobody is let in; afterwards everything arrives.
#[tokio::test]
async fn a_redis_that_hangs_delays_but_does_not_end_streams() {
    let redis = RedisServer::start().await;
    let mut shop = Shop::unbuilt(&redis.url(), |settings| settings.timeout = std::time::Duration::from_millis(300)).await;
    shop.build_all().await;
    put_version(&shop, 3).await;
    let (mut order, mut changes) = streams(&shop).await;
    redis.stop();
    crate::harness::eventually(async || shop.get("/v1/updates", &staff()).await.status == 503).await;
    redis.resume();
    put_version(&shop, 5).await;
    for stream in [&mut order, &mut changes] {
        assert_eq!(stream.next().await.version(), 5);
    }
}
