//! Every endpoint's answers and errors, word for word.

use std::fmt::Write;

use events::Context;
use read_model::{Flags, Header, OrderStatus};

use crate::harness::{
    Shop, customer,
    samples::{day, id, order, payment, product, user},
    staff,
};

/// The headers that are part of the contract.
const HEADERS: [&str; 6] = ["content-type", "etag", "cache-control", "orderflow-view", "preference-applied", "retry-after"];

async fn sample_shop() -> Shop {
    let shop = Shop::open().await;
    shop.put_order(&order(1, Some(7))).await;
    let mut delivered = order(2, None);
    delivered.version = 4;
    delivered.status = OrderStatus::Delivered;
    (delivered.confirmed_at, delivered.shipped_at, delivered.delivered_at) = (Some(day(3)), Some(day(4)), Some(day(5)));
    delivered.carrier = Some("Snail".to_owned());
    shop.put_order(&delivered).await;
    let parked = order(3, Some(7));
    shop.put_order(&parked).await;
    let header = Header { flags: Flags::PARKED, version: 1, owner: Some(id(7)) };
    shop.put(Context::Orders, id(3), header, &parked).await;
    shop.park(Context::Orders, id(3), 2, "unknown event type order.teleported.v1").await;
    shop.put_user(&user(7, "ann@example.org")).await;
    shop.put_payment(&payment(60, 1, Some(7))).await;
    shop.put_payment(&payment(61, 1, Some(7))).await;
    shop.put_product(&product(900, "White \"Hanging\" Heart", 3)).await;
    shop.put_product(&product(901, "Lantern", 9)).await;
    shop
}

/// Appends a request and its answer. The name of the caller stands for the token, which differs each time.
async fn record(shop: &Shop, record: &mut String, path: &str, caller: Caller, headers: &[(&str, &str)]) {
    let token = match caller {
        Caller::Staff => staff(),
        Caller::Customer => customer(id(7)),
        Caller::Nobody => String::new(),
    };
    let answer = shop.get_with(path, &token, headers).await;
    writeln!(record, "GET {path} as {caller:?}").unwrap();
    for (name, value) in headers {
        writeln!(record, "{name}: {value}").unwrap();
    }
    writeln!(record, "→ {}", answer.status).unwrap();
    for name in HEADERS {
        if let Some(value) = answer.header(name) {
            writeln!(record, "{name}: {value}").unwrap();
        }
    }
    writeln!(record, "{}\n", answer.body).unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Caller {
    Staff,
    Customer,
    Nobody,
}

#[tokio::test]
async fn answers_are_as_published() {
    let shop = sample_shop().await;
    let mut text = String::new();
    let (first, second, parked) =
        (format!("/v1/orders/{}", id(1)), format!("/v1/orders/{}", id(2)), format!("/v1/orders/{}", id(3)));
    for path in [
        &*first,
        &second,
        &parked,
        &format!("{parked}?min_version=2"),
        &format!("{first}?min_version=2"),
        &format!("{first}?min_version=x"),
        &format!("{first}?version=2"),
        &format!("/v1/orders/{}", id(99)),
        "/v1/orders/99",
        "/v1/orders",
        "/v1/orders?limit=1",
        "/v1/orders?limit=0",
        "/v1/orders?limit=201",
        "/v1/orders?status=delivered",
        "/v1/orders?status=lost",
        "/v1/orders?cursor=!",
        "/v1/orders?user=7",
        &format!("/v1/orders?user={}&status=placed&limit=1", id(7)),
        &format!("/v1/users/{}", id(7)),
        &format!("/v1/users/{}", id(99)),
        &format!("/v1/users/{}/orders?limit=1", id(7)),
        "/v1/users",
        "/v1/users?email=ann",
        "/v1/users?email=ANN%40example.org",
        &format!("/v1/products/{}", id(900)),
        &format!("/v1/products/{}", id(99)),
        &format!("/v1/payments/{}", id(60)),
        &format!("/v1/payments/{}", id(99)),
        &format!("{first}/payments"),
        &format!("{first}/payments?limit=1"),
        &format!("{second}/payments"),
        &format!("{first}/payments?status=captured"),
        "/v1/products?prefix=white",
        "/v1/products?low_stock=3",
        "/v1/products?low_stock=x",
        "/v1/products?low_stock=3&prefix=w",
        "/v1/stats",
        "/v1/stats?from=2010-12-32",
        "/v1/stats?from=2010-12-02&to=2010-12-01",
        "/v1/stats?top=101",
        "/v1/nothing",
    ] {
        record(&shop, &mut text, path, Caller::Staff, &[]).await;
    }
    record(&shop, &mut text, &first, Caller::Nobody, &[]).await;
    record(&shop, &mut text, "/v1/stats", Caller::Customer, &[]).await;
    record(&shop, &mut text, &second, Caller::Customer, &[]).await;
    record(&shop, &mut text, &first, Caller::Staff, &[("if-none-match", "\"1\"")]).await;
    record(&shop, &mut text, &first, Caller::Staff, &[("if-none-match", "\"2\"")]).await;
    record(&shop, &mut text, &format!("{first}?min_version=1"), Caller::Staff, &[("prefer", "wait=3")]).await;
    record(&shop, &mut text, &format!("{first}?min_version=2"), Caller::Staff, &[("prefer", "wait=0")]).await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn what_is_not_built_yet_is_a_503() {
    let shop = Shop::unbuilt(&crate::harness::test_redis(), |_| ()).await;
    let mut text = String::new();
    for path in [
        &*format!("/v1/orders/{}", id(1)),
        &format!("/v1/users/{}?min_version=1", id(1)),
        "/v1/orders",
        "/v1/products?low_stock=1",
        "/v1/users?email=a%40example.org",
        "/v1/stats",
    ] {
        record(&shop, &mut text, path, Caller::Staff, &[]).await;
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn stored_bytes_go_out_as_they_are() {
    let shop = Shop::open().await;
    let odd = b"{ \"version\" : 1,\n \"anything\": [1.0e5, \"\\u00e4\"] }";
    let stored = Header { flags: Flags::NONE, version: 1, owner: None }.encode(odd);
    shop.command(redis::cmd("SET").arg(shop.slot(Context::Products, id(5)).view(id(5))).arg(stored)).await;
    for _ in 0..2 {
        let answer = shop.get(&format!("/v1/products/{}", id(5)), &staff()).await;
        assert_eq!(answer.body.as_bytes(), odd);
    }
}

#[tokio::test]
async fn a_value_that_is_no_view_is_a_500_that_says_nothing() {
    let shop = Shop::open().await;
    shop.command(redis::cmd("SET").arg(shop.slot(Context::Products, id(5)).view(id(5))).arg("secret")).await;
    let answer = shop.get(&format!("/v1/products/{}", id(5)), &staff()).await;
    assert_eq!(answer.status, 500);
    assert!(!answer.body.contains("secret"), "{answer:?}");
}
