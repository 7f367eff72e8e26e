//! Nothing goes wrong.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::shop::{PRICE, Shop, customer, line, plan};

#[tokio::test]
async fn an_order_is_reserved_paid_for_confirmed_shipped_and_paid_back() {
    let shop = Shop::open(plan()).await;
    let ann = shop.user("pm_card").await;
    let (lantern, teapot) = (shop.product(10).await, shop.product(5).await);
    let order = shop.place(Some(ann), &[line(lantern, 2), line(teapot, 1), line(lantern, 1)]).await;

    shop.until_stage(order, &["confirmed"]).await;
    assert_eq!(shop.order(order).await, ("confirmed".to_owned(), None));
    assert_eq!((shop.stock(lantern).await, shop.stock(teapot).await), ((10, 3), (5, 1)));
    assert_eq!(shop.money().await, (0, 4 * PRICE));

    shop.send("ship-order", order, json!({"carrier": "Post"})).await.accepted();
    shop.until_stage(order, &["fulfilled"]).await;
    assert_eq!((shop.stock(lantern).await, shop.stock(teapot).await), ((7, 0), (4, 0)));
    assert_eq!(shop.money().await, (4 * PRICE, 0));

    shop.send("deliver-order", order, json!({})).await.accepted();
    for _ in 0..2 {
        shop.send("return-order", order, json!({"lines": [{"line": 1, "quantity": 1}]})).await.accepted();
    }
    shop.until_saga(order, "paid back twice", |saga| saga["refunded"] == 2).await;
    assert_eq!(shop.money().await, (2 * PRICE, 0));

    // All of one trace: what an order sets in motion can be found by it.
    let events = |path: String| {
        let asking = shop.client.asking(&path);
        async move { asking.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let history = events(format!("/v1/orders/{order}/events")).await;
    let (placed, confirmed) = (&history["events"][0], &history["events"][1]);
    assert_eq!(confirmed["type"], "order.confirmed.v1");
    assert_eq!(placed["correlation_id"], confirmed["correlation_id"]);

    who_may_see_it(&shop, ann, order).await;
    let (shown, is_well) = shop.orderctl(&["show", &order.to_string()]).await;
    assert!(is_well, "{shown}");
    for step in ["reserve", "authorise", "confirm", "capture", "commit", "refund"] {
        assert!(shown.contains(step), "{step} in {shown}");
    }
    let (listed, is_well) = shop.orderctl(&["list"]).await;
    assert!(is_well && listed.contains("fulfilled"), "{listed}");
}

async fn who_may_see_it(shop: &Shop, ann: Uuid, order: Uuid) {
    let path = format!("/v1/orders/{order}/fulfilment");
    let (status, seen) = shop.ask(Method::GET, &path, &customer(ann), None).await.unwrap();
    assert_eq!((status, &seen["stage"], &seen["attempts"]), (StatusCode::OK, &json!("fulfilled"), &Value::Null));
    let (status, _) = shop.ask(Method::GET, &path, &customer(Uuid::now_v7()), None).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND, "another's order looks as if there were none");
    for path in ["/v1/sagas".to_owned(), format!("/v1/sagas/{order}")] {
        let (status, _) = shop.ask(Method::GET, &path, &customer(ann), None).await.unwrap();
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn an_order_that_another_system_carries_out_is_left_alone() {
    let shop = Shop::open(plan()).await;
    let product = shop.product(5).await;
    let external = Uuid::now_v7();
    let body = json!({"lines": [line(product, 2)], "fulfilment": "external"});
    shop.send("place-order", external, body).await.accepted();
    // Of the same partition or not: what was placed after it is carried out.
    let ann = shop.user("pm_card").await;
    for _ in 0..4 {
        let order = shop.place(Some(ann), &[line(product, 1)]).await;
        shop.until_stage(order, &["confirmed"]).await;
    }
    let path = format!("/v1/sagas/{external}");
    let (status, _) = shop.ask(Method::GET, &path, &system_tests::client::token(), None).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(shop.order(external).await, ("placed".to_owned(), None));
    assert_eq!(shop.stock(product).await, (5, 4));
}
