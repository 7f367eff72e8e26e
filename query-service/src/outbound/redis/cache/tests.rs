use events::Context;
use read_model::Flags;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn key(id: u128) -> ViewKey {
    ViewKey { context: Context::Orders, generation: 1, stream: Uuid::from_u128(id) }
}

fn view(version: u64, bytes: usize) -> View {
    let header = Header { flags: Flags::NONE, version, owner: None };
    View::decode(header.encode(&vec![b'x'; bytes])).unwrap()
}

/// Loads version 1, with something happening between Redis's reply and the insertion.
async fn load_overtaken_by(cache: &ViewCache, overtake: impl FnOnce()) {
    let (reply, replied) = oneshot::channel();
    let load = cache.get_or_load(key(1), LIMIT, async { Ok(Some(replied.await.unwrap())) });
    let mut load = std::pin::pin!(load);
    assert!(futures::poll!(&mut load).is_pending());
    overtake();
    reply.send(view(1, 10)).unwrap();
    assert_eq!(load.await.unwrap().unwrap().header.version, 1);
}

#[tokio::test]
async fn keeps_what_was_loaded() {
    let cache = ViewCache::new(1 << 20);
    load_overtaken_by(&cache, || ()).await;
    assert_eq!(cache.get(&key(1)).unwrap().header.version, 1);
}

#[tokio::test]
async fn an_invalidation_that_overtakes_the_reply_keeps_it_out() {
    let cache = ViewCache::new(1 << 20);
    load_overtaken_by(&cache, || cache.remove(&key(1))).await;
    assert!(cache.get(&key(1)).is_none());
}

#[tokio::test]
async fn a_flush_that_overtakes_the_reply_keeps_it_out() {
    let cache = ViewCache::new(1 << 20);
    load_overtaken_by(&cache, || cache.clear()).await;
    assert!(cache.get(&key(1)).is_none());
}

#[tokio::test]
async fn an_invalidated_reply_does_not_replace_a_newer_one() {
    let cache = ViewCache::new(1 << 20);
    let (reply, replied) = oneshot::channel();
    let old = cache.get_or_load(key(1), LIMIT, async { Ok(Some(replied.await.unwrap())) });
    let mut old = std::pin::pin!(old);
    assert!(futures::poll!(&mut old).is_pending());
    cache.remove(&key(1));
    cache.get_or_load(key(1), LIMIT, async { Ok(Some(view(2, 10))) }).await.unwrap();
    reply.send(view(1, 10)).unwrap();
    old.await.unwrap();
    assert_eq!(cache.get(&key(1)).unwrap().header.version, 2);
}

#[tokio::test]
async fn readers_of_one_view_share_a_load_but_not_its_failure() {
    let cache = ViewCache::new(1 << 20);
    let (fail, failed) = oneshot::channel::<()>();
    let first = cache.get_or_load(key(1), LIMIT, async {
        failed.await.unwrap();
        Err(RedisReadError::Unavailable("test".to_owned()))
    });
    let mut first = std::pin::pin!(first);
    assert!(futures::poll!(&mut first).is_pending());
    let second = cache.get_or_load(key(1), LIMIT, async { Ok(Some(view(3, 10))) });
    let mut second = std::pin::pin!(second);
    assert!(futures::poll!(&mut second).is_pending());
    fail.send(()).unwrap();
    assert!(first.await.is_err());
    assert_eq!(second.await.unwrap().unwrap().header.version, 3);
}

#[tokio::test]
async fn a_load_that_hangs_is_given_up() {
    let cache = ViewCache::new(1 << 20);
    let hung = cache.get_or_load(key(1), Duration::from_millis(10), std::future::pending()).await;
    assert!(matches!(hung, Err(RedisReadError::Unavailable(_))));
    assert!(cache.get_or_load(key(1), LIMIT, async { Ok(Some(view(1, 10))) }).await.unwrap().is_some());
}

#[tokio::test]
async fn holds_no_more_bytes_than_allowed() {
    let cache = ViewCache::new(1 << 20);
    for id in 0..2_000 {
        cache.get_or_load(key(id), LIMIT, async { Ok(Some(view(1, 2_000))) }).await.unwrap();
        assert!(cache.bytes() <= 1 << 20);
    }
    assert!(cache.bytes() > 1 << 19);
}
