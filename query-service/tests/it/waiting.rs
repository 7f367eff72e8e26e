//! Reading one's own writes.

use std::time::{Duration, Instant};

use events::Context;
use read_model::{Flags, Header};

use crate::harness::{
    Answer, Shop, at_version, customer, eventually,
    samples::{id, order, payment, user},
    staff, test_redis,
};

const WAIT: &[(&str, &str)] = &[("Prefer", "wait=20")];

async fn put_version(shop: &Shop, number: u128, version: u64) {
    let mut order = order(number, Some(7));
    order.version = version;
    shop.put_order(&order).await;
}

/// Asks for version 3 of order 1 in the background, and returns when it waits.
async fn wait_for_version_3(shop: &Shop) -> impl Future<Output = Answer> + use<'_> {
    let path = format!("/v1/orders/{}?min_version=3", id(1));
    let mut asking = Box::pin(async move { shop.get_with(&path, &staff(), WAIT).await });
    eventually(async || {
        assert!(futures::poll!(&mut asking).is_pending());
        shop.link.waiting() > 0
    })
    .await;
    asking
}

#[tokio::test]
async fn a_version_that_is_there_is_served_at_once() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 3).await;
    for version in [0, 1, 3] {
        let answer = shop.get_with(&format!("/v1/orders/{}?min_version={version}", id(1)), &staff(), WAIT).await;
        assert_eq!(answer.version(), 3);
        assert_eq!(answer.header("preference-applied"), Some("wait=20"));
    }
}

#[tokio::test]
async fn a_version_that_comes_in_time_is_served() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 1).await;
    let asking = wait_for_version_3(&shop).await;
    put_version(&shop, 1, 2).await;
    put_version(&shop, 1, 3).await;
    let answer = asking.await;
    assert_eq!(answer.version(), 3);
    assert_eq!(shop.link.waiting(), 0);
}

#[tokio::test]
async fn a_view_that_does_not_exist_yet_is_waited_for() {
    let shop = Shop::open().await;
    let asking = wait_for_version_3(&shop).await;
    put_version(&shop, 1, 3).await;
    assert_eq!(asking.await.version(), 3);
}

/// The slow poll would take nearly 200 ms each time; being woken takes about one, when the machine has time for it.
#[tokio::test]
async fn the_write_itself_wakes_the_waiting() {
    let shop = Shop::open().await;
    let mut waits = Vec::new();
    for number in 1..=20 {
        let path = format!("/v1/orders/{}?min_version=3", id(number));
        let token = staff();
        let mut asking = std::pin::pin!(shop.get_with(&path, &token, WAIT));
        eventually(async || {
            assert!(futures::poll!(&mut asking).is_pending());
            shop.link.waiting() > 0
        })
        .await;
        // Behind its first look, and long before its next.
        tokio::time::sleep(Duration::from_millis(10)).await;
        put_version(&shop, number, 3).await;
        let written = Instant::now();
        assert_eq!(asking.await.version(), 3);
        waits.push(written.elapsed());
    }
    assert!(waits.iter().min() < Some(&Duration::from_millis(40)), "{waits:?}");
}

#[tokio::test]
async fn a_version_that_does_not_come_in_time_is_a_504_that_says_how_far_behind() {
    let shop = Shop::open().await;
    put_version(&shop, 1, 2).await;
    let path = format!("/v1/orders/{}?min_version=5", id(1));
    let started = Instant::now();
    let answer = shop.get_with(&path, &staff(), &[("Prefer", "wait=1")]).await;
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!((answer.status, answer.header("preference-applied")), (504, Some("wait=1")));
    let problem = answer.json();
    assert_eq!(problem["type"], "https://orderflow.dev/problems/view-behind");
    assert_eq!((&problem["version"], &problem["min_version"], &problem["behind"]), (&2.into(), &5.into(), &3.into()));
    // Without the preference, or with a malformed one, nothing is waited for.
    for headers in [&[][..], &[("Prefer", "wait=x")]] {
        let answer = shop.get_with(&path, &staff(), headers).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (504, None));
    }
}

#[tokio::test]
async fn a_parked_view_is_served_with_a_warning_or_refused_by_version() {
    let shop = Shop::open().await;
    let mut order = order(1, Some(7));
    order.version = 4;
    shop.put_order(&order).await;
    let header = Header { flags: Flags::PARKED, version: 4, owner: Some(id(7)) };
    shop.put(Context::Orders, id(1), header, &order).await;
    shop.park(Context::Orders, id(1), 5, "no upcaster for order.placed.v9").await;
    let path = format!("/v1/orders/{}", id(1));
    for token in [staff(), customer(id(7))] {
        let plain = shop.get(&path, &token).await;
        assert_eq!((plain.version(), plain.header("orderflow-view")), (4, Some("stale; parked")));
        assert_eq!(shop.get(&format!("{path}?min_version=4"), &token).await.version(), 4);
        let refused = shop.get_with(&format!("{path}?min_version=5"), &token, WAIT).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        let problem = refused.json();
        assert_eq!(problem["type"], "https://orderflow.dev/problems/view-parked");
        assert_eq!(problem["cause"], "no upcaster for order.placed.v9");
        assert_eq!((&problem["version"], &problem["parked_version"]), (&4.into(), &5.into()));
    }
}

#[tokio::test]
async fn a_stream_whose_first_event_is_parked_has_no_view_but_a_cause() {
    let shop = Shop::open().await;
    shop.park(Context::Orders, id(1), 1, "bad line").await;
    shop.park(Context::Users, id(7), 1, "bad name").await;
    let order = format!("/v1/orders/{}?min_version=1", id(1));
    let refused = shop.get_with(&order, &staff(), WAIT).await;
    assert_eq!((refused.status, &refused.json()["cause"]), (409, &"bad line".into()));
    // Whose order it is cannot be known: a customer learns nothing. One's own account is one's own.
    assert_eq!(shop.get(&order, &customer(id(7))).await.status, 504);
    let account = shop.get(&format!("/v1/users/{}?min_version=1", id(7)), &customer(id(7))).await;
    assert_eq!((account.status, &account.json()["cause"]), (409, &"bad name".into()));
}

#[tokio::test]
async fn parking_wakes_the_waiting() {
    let shop = Shop::open().await;
    let asking = wait_for_version_3(&shop).await;
    shop.park(Context::Orders, id(1), 1, "bad line").await;
    assert_eq!(asking.await.status, 409);
}

#[tokio::test]
async fn only_so_many_may_wait() {
    let mut shop = Shop::unbuilt(&test_redis(), |settings| settings.max_waiting = 1).await;
    shop.build(Context::Orders, 1).await;
    let asking = wait_for_version_3(&shop).await;
    let refused = shop.get_with(&format!("/v1/orders/{}?min_version=1", id(2)), &staff(), WAIT).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    // One that needs no waiting is served all the same.
    put_version(&shop, 2, 1).await;
    assert_eq!(shop.get(&format!("/v1/orders/{}?min_version=1", id(2)), &staff()).await.version(), 1);
    // Whoever gives up leaves the place to others.
    drop(asking);
    eventually(async || shop.link.waiting() == 0).await;
}

#[tokio::test]
async fn a_process_that_ends_keeps_nobody_waiting() {
    let shop = Shop::open().await;
    let asking = wait_for_version_3(&shop).await;
    shop.shutdown.begin();
    assert_eq!(asking.await.status, 504);
}

#[tokio::test]
async fn a_cached_view_of_that_version_or_later_is_good_enough() {
    let shop = Shop::open().await;
    shop.put_user(&user(7, "me@example.org")).await;
    let path = format!("/v1/users/{}", id(7));
    assert_eq!(shop.get(&path, &staff()).await.version(), 1);
    assert!(shop.link.cached(Context::Users, id(7)).is_some());
    assert_eq!(shop.get(&format!("{path}?min_version=1"), &staff()).await.version(), 1);
    shop.put(Context::Users, id(7), Header { owner: Some(id(7)), ..at_version(2) }, &serde_json::json!({"version": 2})).await;
    assert_eq!(shop.get_with(&format!("{path}?min_version=2"), &staff(), WAIT).await.version(), 2);
}

#[tokio::test]
async fn a_payment_is_read_as_fresh_as_it_is_wanted() {
    let shop = Shop::open().await;
    let mut payment = payment(60, 1, Some(7));
    payment.version = 2;
    shop.put_payment(&payment).await;
    let path = format!("/v1/payments/{}", id(60));
    let answer = shop.get_with(&format!("{path}?min_version=2"), &customer(id(7)), WAIT).await;
    assert_eq!((answer.version(), answer.header("etag")), (2, Some("\"2\"")));
    assert_eq!(shop.get_with(&path, &staff(), &[("if-none-match", "\"2\"")]).await.status, 304);
    assert_eq!(shop.get(&format!("{path}?min_version=3"), &staff()).await.status, 504);
}
