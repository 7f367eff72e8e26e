//! A topic that lacks events, as one does that was emptied or restored: the event store has them.

use serde_json::{Value, json};
use system_tests::{Context::Orders, planter::Plant};

use super::shop::{PRICE, Shop, line, plan};

#[tokio::test]
async fn what_the_topic_lacks_is_asked_of_the_event_store() {
    let mut shop = Shop::open(plan()).await;
    let (ann, product) = (shop.user("pm_card").await, shop.product(10).await);
    let order = shop.place(Some(ann), &[line(product, 3)]).await;
    shop.until_stage(order, &["confirmed"]).await;
    // Committed, and published by nobody.
    shop.stack.commands[0].kill();
    shop.stack.commands[0].set("RELAY_DELIVERY", "off");
    shop.stack.commands[0].start().await;
    shop.send("ship-order", order, json!({"carrier": "Post"})).await.accepted();
    shop.send("deliver-order", order, json!({})).await.accepted();
    let history = shop.client.asking(&format!("/v1/orders/{order}/events")).send().await.unwrap();
    let history: Value = history.json().await.unwrap();
    let last = history["events"].as_array().unwrap().last().unwrap();
    assert_eq!(last["type"], "order.delivered.v1");
    Plant::recorded(Orders, last).plant(&shop.stack, Orders).await;
    // It is the shipping that is paid for.
    shop.until_stage(order, &["fulfilled"]).await;
    assert_eq!((shop.stock(product).await, shop.money().await), ((7, 0), (3 * PRICE, 0)));
}
