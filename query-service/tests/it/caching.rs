//! Views kept in process are never older than what Redis has announced.

use std::time::Duration;

use events::Context;
use redis::Value;

use crate::harness::{
    Shop, at_version, eventually,
    redis_server::RedisServer,
    samples::{id, order},
    staff,
};

async fn put_version(shop: &Shop, version: u64) {
    shop.put(Context::Orders, id(1), at_version(version), &serde_json::json!({"version": version})).await;
}

async fn read_version(shop: &Shop) -> u64 {
    shop.get(&format!("/v1/orders/{}", id(1)), &staff()).await.version()
}

/// Returns when everything that Redis has sent to the service until now was handled: the answer to a read that is not
/// cached comes behind it on the same connection.
async fn barrier(shop: &Shop) {
    assert_eq!(shop.get(&format!("/v1/orders/{}", id(99)), &staff()).await.status, 404);
}

async fn tracked_connection(shop: &Shop) -> Option<String> {
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut shop.redis.clone()).await.unwrap();
    let name = format!("name=query-service:{} ", shop.prefix);
    let client = clients.lines().find(|client| client.contains(&name))?;
    Some(client.strip_prefix("id=")?.split(' ').next()?.to_owned())
}

#[tokio::test]
async fn hot_views_are_served_from_the_process() {
    let shop = Shop::open().await;
    put_version(&shop, 1).await;
    assert_eq!(read_version(&shop).await, 1);
    assert_eq!(shop.link.cached(Context::Orders, id(1)).unwrap().header.version, 1);
}

#[tokio::test]
async fn a_changed_view_is_not_served_after_its_invalidation() {
    let shop = Shop::open().await;
    for version in 1..=200 {
        put_version(&shop, version).await;
        barrier(&shop).await;
        assert_eq!(read_version(&shop).await, version);
    }
}

#[tokio::test]
async fn readers_in_a_race_with_a_writer_never_go_back() {
    let shop = Shop::open().await;
    put_version(&shop, 1).await;
    let writing = async {
        for version in 2..=1_000 {
            put_version(&shop, version).await;
            if version % 10 == 0 {
                barrier(&shop).await;
                assert!(read_version(&shop).await >= version);
            }
        }
    };
    let reading = || async {
        let mut last = 0;
        while last < 1_000 {
            let version = read_version(&shop).await;
            assert!(version >= last, "{version} after {last}");
            last = version;
        }
    };
    let all = async { tokio::join!(writing, reading(), reading(), reading(), reading()) };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("readers see the last version");
}

#[tokio::test]
async fn a_deleted_view_is_gone() {
    let shop = Shop::open().await;
    put_version(&shop, 1).await;
    assert_eq!(read_version(&shop).await, 1);
    shop.command(redis::cmd("DEL").arg(shop.slot(Context::Orders, id(1)).view(id(1)))).await;
    barrier(&shop).await;
    assert_eq!(shop.get(&format!("/v1/orders/{}", id(1)), &staff()).await.status, 404);
}

#[tokio::test]
async fn nothing_is_served_from_before_a_lost_tracking_connection() {
    let shop = Shop::open().await;
    for round in 1..=5 {
        put_version(&shop, 2 * round - 1).await;
        barrier(&shop).await;
        assert_eq!(read_version(&shop).await, 2 * round - 1);
        let old = tracked_connection(&shop).await.unwrap();
        shop.command(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(&old)).await;
        // Nobody is told of this write: the old connection is dead, and the new one has not read the view.
        put_version(&shop, 2 * round).await;
        eventually(async || tracked_connection(&shop).await.is_some_and(|new| new != old)).await;
        assert_eq!(read_version(&shop).await, 2 * round);
    }
}

#[tokio::test]
async fn a_flush_empties_the_cache_and_the_pointers() {
    let redis = RedisServer::start().await;
    let mut shop = Shop::unbuilt(&redis.url(), |_| ()).await;
    shop.build(Context::Orders, 1).await;
    shop.put_order(&order(1, None)).await;
    assert_eq!(read_version(&shop).await, 1);
    let flushed: Value = redis::cmd("FLUSHALL").query_async(&mut shop.redis.clone()).await.unwrap();
    assert_eq!(flushed, Value::Okay);
    // Not 404: that there are no read models is no statement about the order.
    let path = format!("/v1/orders/{}", id(1));
    eventually(async || shop.link.cached(Context::Orders, id(1)).is_none()).await;
    let answer = shop.get(&path, &staff()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    assert_eq!(answer.json()["type"], "https://orderflow.dev/problems/rebuilding");
}

#[tokio::test]
async fn another_generation_is_another_cache_entry() {
    let mut shop = Shop::open().await;
    put_version(&shop, 7).await;
    assert_eq!(read_version(&shop).await, 7);
    shop.build(Context::Orders, 2).await;
    put_version(&shop, 5).await;
    barrier(&shop).await;
    assert_eq!(read_version(&shop).await, 5);
    shop.build(Context::Orders, 1).await;
    assert_eq!(read_version(&shop).await, 7);
}
