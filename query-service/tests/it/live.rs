//! Live updates of one order, and what all streams have in common.

use std::time::Duration;

use events::Context;
use query_service::inbound::http;
use read_model::{Flags, Header, OrderStatus};
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};

use crate::harness::{
    PATIENCE, SECRET, Shop, customer, eventually,
    samples::{id, order},
    staff,
    streams::{Event, Stream, change},
    token,
};

async fn put_version(shop: &Shop, number: u128, version: u64) {
    let mut order = order(number, Some(7));
    order.version = version;
    let header = Header { flags: Flags::NONE, version, owner: Some(id(7)) };
    shop.put(Context::Orders, id(number), header, &order).await;
}

fn updates(number: u128) -> String {
    format!("/v1/orders/{}/updates", id(number))
}

fn is_view(event: &Event, version: u64) {
    assert_eq!((&*event.name, event.version()), ("view", version), "{event:?}");
}

#[tokio::test]
async fn the_present_view_comes_first_and_then_each_newer_one_as_a_read_gives_it() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 3).await;
    let mut stream = shop.follow(&updates(1), &customer(id(7)), "").await;
    for version in 3..8 {
        if version > 3 {
            put_version(&shop, 1, version).await;
        }
        let event = stream.next().await;
        is_view(&event, version);
        assert_eq!(event.data, shop.get(&format!("/v1/orders/{}", id(1)), &staff()).await.body);
    }
    // Another's order, and the same version again, are no news.
    put_version(&shop, 2, 9).await;
    put_version(&shop, 1, 7).await;
    put_version(&shop, 1, 8).await;
    is_view(&stream.next().await, 8);
}

#[tokio::test]
async fn a_stream_that_goes_on_tells_only_what_is_newer() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let first = shop.follow(&updates(1), &staff(), "").await.next().await;
    // Nothing is new.
    let mut same = shop.follow(&updates(1), &staff(), &first.id).await;
    put_version(&shop, 1, 2).await;
    let second = same.next().await;
    is_view(&second, 2);
    put_version(&shop, 1, 5).await;
    for last in [&first, &second] {
        is_view(&shop.follow(&updates(1), &staff(), &last.id).await.next().await, 5);
    }
}

/// Clients come and go while versions are written as fast as they can be: each sees ever newer ones, up to the last.
#[tokio::test]
async fn nothing_is_missed_between_subscribing_and_reading() {
    const LAST: u64 = 400;
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let reader = async |patience: u64| {
        let (mut version, mut id) = (0, String::new());
        while version < LAST {
            let mut stream = shop.follow(&updates(1), &staff(), &id).await;
            for _ in 0..patience {
                let event = stream.next().await;
                assert!(event.name == "view" && event.version() > version, "{event:?} after {version}");
                (version, id) = (event.version(), event.id);
                if version == LAST {
                    break;
                }
            }
        }
    };
    let writer = async {
        for version in 2..=LAST {
            put_version(&shop, 1, version).await;
        }
    };
    futures::join!(writer, reader(1), reader(1), reader(3), reader(50), reader(u64::MAX));
}

#[tokio::test]
async fn another_generation_is_told_and_then_its_view() {
    let mut shop = Shop::open().await;
    put_version(&shop, 1, 4).await;
    let mut stream = shop.follow(&updates(1), &staff(), "").await;
    let before = stream.next().await;
    shop.build(Context::Orders, 2).await;
    let reset = stream.next().await;
    assert_eq!((&*reset.name, &*reset.data), ("reset", r#"{"cause":"rebuilt"}"#));
    // An older version than it had is never told, not even after a reset.
    put_version(&shop, 1, 3).await;
    put_version(&shop, 1, 4).await;
    is_view(&stream.next().await, 4);
    let mut late = shop.follow(&updates(1), &staff(), &before.id).await;
    assert_eq!(late.next().await.name, "reset");
    is_view(&late.next().await, 4);
}

#[tokio::test]
async fn an_order_that_is_not_there_has_no_updates() {
    let shop = Shop::open().await;
    let missing = shop.get(&updates(1), &staff()).await;
    assert_eq!((missing.status, &missing.json()["type"]), (404, &"https://orderflow.dev/problems/not-found".into()));
    let empty = Shop::unbuilt(&crate::harness::test_redis(), |_| ()).await;
    for path in [updates(1), "/v1/updates".to_owned(), "/v1/updates?types=order.placed".to_owned()] {
        let unbuilt = empty.get(&path, &staff()).await;
        assert_eq!(
            (unbuilt.status, &unbuilt.json()["type"]),
            (503, &"https://orderflow.dev/problems/rebuilding".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_id_that_was_not_given_out_is_refused() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let of_order = shop.follow(&updates(1), &staff(), "").await.next().await.id;
    let of_changes = shop.follow("/v1/updates", &staff(), "").await.next_block().await.unwrap().id;
    assert!(!of_changes.is_empty());
    for (path, last) in [
        (updates(1), "nonsense"),
        (updates(1), &of_changes),
        ("/v1/updates".to_owned(), "nonsense"),
        ("/v1/updates".to_owned(), &of_order),
    ] {
        let refused = shop.get_with(&path, &staff(), &[("Last-Event-ID", last)]).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert_eq!(refused.json()["errors"][0]["parameter"], "Last-Event-ID");
    }
}

#[tokio::test]
async fn silence_is_broken_by_comments() {
    let shop = Shop::open_with(&["--update-heartbeat", "1"]).await;
    put_version(&shop, 1, 1).await;
    for path in [updates(1), "/v1/updates".to_owned()] {
        let mut stream = shop.follow(&path, &staff(), "").await;
        let mut beats = 0;
        while beats < 2 {
            beats += usize::from(stream.next_block().await.unwrap().name == ":");
        }
    }
}

#[tokio::test]
async fn so_many_streams_and_no_more() {
    let shop = Shop::open_with(&["--max-update-streams", "2"]).await;
    put_version(&shop, 1, 1).await;
    let first = shop.follow(&updates(1), &staff(), "").await;
    let _second = shop.follow("/v1/updates", &staff(), "").await;
    for path in [updates(1), "/v1/updates".to_owned()] {
        let refused = shop.get(&path, &staff()).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    }
    // Other reads are none of theirs, and a client that leaves makes room.
    assert_eq!(shop.get(&format!("/v1/orders/{}", id(1)), &staff()).await.status, 200);
    drop(first);
    eventually(async || shop.get(&updates(1), &staff()).await.status == 200).await;
}

#[tokio::test]
async fn streams_end_when_the_process_does() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let token = staff();
    let (order, changes) = (shop.follow(&updates(1), &token, "").await, shop.follow("/v1/updates", &token, "").await);
    shop.shutdown.begin();
    futures::join!(order.end(), changes.end());
}

/// Both kinds of stream with a token of which only the leeway is left: some seconds.
async fn with_a_short_token(shop: &Shop) -> (String, Stream, Stream) {
    loop {
        let token = mint(&Secret::new(SECRET), "staff@example.org", &[Role::Staff], Duration::ZERO).unwrap();
        let order = shop.try_follow(&updates(1), &token, "").await;
        let changes = shop.try_follow("/v1/updates", &token, "").await;
        // On a starved machine even that may be over before both are open.
        if let (Ok(order), Ok(changes)) = (order, changes) {
            return (token, order, changes);
        }
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_goes_on_with_another() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let mut others = shop.follow(&updates(1), &staff(), "").await;
    is_view(&others.next().await, 1);
    let (token, mut order, mut changes) = with_a_short_token(&shop).await;
    let view = order.next().await;
    is_view(&view, 1);
    let position = changes.next_block().await.unwrap().id;
    for stream in [&mut order, &mut changes] {
        let end = tokio::time::timeout(PATIENCE, stream.next()).await.expect("it ends with its token");
        assert_eq!((&*end.name, &*end.data, &*end.id), ("end", r#"{"cause":"token-expired"}"#, ""));
        assert_eq!(stream.next_block().await, None);
    }
    // Who comes again as browsers do is refused, unless with another token: then nothing has fallen between.
    put_version(&shop, 1, 2).await;
    shop.log(Context::Orders, &[change(id(1), 2, "order.cancelled.v1")]).await;
    for (path, last) in [(updates(1), &view.id), ("/v1/updates".to_owned(), &position)] {
        assert_eq!(shop.try_follow(&path, &token, last).await.err(), Some(401));
        assert_eq!(shop.follow(&path, &staff(), last).await.next().await.version(), 2, "{path}");
    }
    is_view(&others.next().await, 2);
}

/// The table says who may open which; this, that what is seen is the caller's own from the first to the last view.
#[tokio::test]
async fn an_order_that_changes_hands_is_not_followed_on() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let mut stream = shop.follow(&updates(1), &customer(id(7)), "").await;
    is_view(&stream.next().await, 1);
    let mut other = order(1, Some(8));
    (other.version, other.status) = (2, OrderStatus::Cancelled);
    shop.put_order(&other).await;
    stream.end().await;
    assert_eq!(shop.get(&updates(1), &customer(id(7))).await.status, 404);
}

#[tokio::test]
async fn changes_are_for_the_shop() {
    let shop = Shop::open().await;
    for role in Role::ALL {
        let answer = shop.get("/v1/updates", &token(&id(7).to_string(), role)).await;
        assert_eq!(answer.status, if role == Role::Customer { 403 } else { 200 });
    }
    assert!(http::routes().table().filter(|endpoint| endpoint.path.ends_with("/updates")).count() == 2);
    // A stream of changes has no personal data in it: ids, versions and types.
    let mut stream = shop.follow("/v1/updates", &staff(), "").await;
    shop.log(Context::Users, &[change(id(7), 1, "user.registered.v1")]).await;
    let data = stream.next().await.data;
    assert_eq!(data, format!(r#"{{"context":"users","id":"{}","version":1,"type":"user.registered.v1"}}"#, id(7)));
}
