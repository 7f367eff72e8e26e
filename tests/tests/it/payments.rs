//! An order is paid, and everyone can see it.

use serde_json::{Value, json};
use system_tests::{
    Command,
    Context::{Orders, Payments, Products, Users},
    Oracle, Plan, Stack,
};
use uuid::Uuid;

use crate::happy::read_at;

#[tokio::test]
async fn what_is_asked_of_a_provider_and_what_it_answers_can_be_read_at_once() {
    let stack = Stack::start(Plan::default()).await;
    an_order_is_paid(&stack).await;
    Oracle::of(&stack).verify().await;
}

/// An order is placed and paid; each step is read as soon as it is taken.
pub(crate) async fn an_order_is_paid(stack: &Stack) {
    let client = stack.client();
    let (user, product, order, payment) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let register = Command::new(Users, "register-user", user, json!({"name": "Ann", "email": "bob@example.org"}))
        .fact("user.registered.v1", json!({}))
        .personal("name", "Ann")
        .personal("email", "bob@example.org");
    let method = json!({"method": "pm_1"});
    let pays_with = Command::new(Users, "change-payment-method", user, method.clone());
    let price = json!({"minor": 255, "currency": "GBP"});
    let create = Command::new(Products, "create-product", product, json!({"sku": "85123B", "name": "Lantern", "price": price}))
        .fact("product.created.v1", json!({}));
    // What it is paid with, the order says: whoever follows its events need not ask.
    let lines = json!([{"product_id": product, "quantity": 6}]);
    let place = Command::new(Orders, "place-order", order, json!({"user_id": user, "lines": lines}))
        .fact("order.placed.v1", json!({"total": 1530, "payment_method": "pm_1"}));
    for command in [register, pays_with.fact("user.payment-method-changed.v1", method), create, place] {
        client.send(&command).await.accepted();
    }
    let user_view = read_at(&client, &format!("/v1/users/{user}"), 2).await;
    assert!(user_view["payment_method_set_at"].is_string(), "{user_view}");

    let money = |minor: u64| json!({"minor": minor, "currency": "GBP"});
    let step = |name, event, body: Value| Command::new(Payments, name, payment, body.clone()).fact(event, body);
    let request = json!({"attempt_id": order, "order_id": order, "user_id": user, "amount": money(1530), "method": "pm_1"});
    let (path, list) = (format!("/v1/payments/{payment}"), format!("/v1/orders/{order}/payments"));
    for (command, status, captured, refunded) in [
        (step("request-payment", "payment.requested.v1", request), "requested", 0, 0),
        (
            step("authorise-payment", "payment.authorised.v1", json!({"attempt_id": order, "reference": "P-1"})),
            "authorised",
            0,
            0,
        ),
        (
            step("request-capture", "payment.capture-requested.v1", json!({"capture_id": order, "amount": money(1530)})),
            "authorised",
            0,
            0,
        ),
        (step("confirm-capture", "payment.captured.v1", json!({"capture_id": order, "reference": "P-2"})), "captured", 1530, 0),
        (
            step("request-refund", "payment.refund-requested.v1", json!({"refund_id": order, "amount": money(510)})),
            "captured",
            1530,
            0,
        ),
        (step("confirm-refund", "payment.refunded.v1", json!({"refund_id": order, "reference": "P-3"})), "captured", 1530, 510),
    ] {
        let (_, version) = client.send(&command).await.accepted();
        let view = read_at(&client, &path, version).await;
        assert_eq!((&view["status"], &view["captured"], &view["refunded"]), (&json!(status), &json!(captured), &json!(refunded)));
        assert!(!view.to_string().contains("pm_1"), "a token is nobody's business: {view}");
    }
    let (status, _, body) = client.read(&list).await.unwrap();
    let page: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &page["items"][0]["id"], &page["items"][1]), (200, &json!(payment), &Value::Null), "{page}");
    // An answer that is recorded again under another key, as a saga may a day later: nothing comes of it.
    let late = step("confirm-refund", "", json!({"refund_id": order, "reference": "P-3"}));
    assert_eq!(client.send(&late).await.accepted(), (payment, 6));
}
