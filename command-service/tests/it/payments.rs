//! Payments over HTTP: what is recorded, by whom, and what comes again late.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::auth::Role;
use uuid::Uuid;

use crate::{
    harness::{Answer, Database, Instance, Launch, customer, id, money, product_body, service, staff, store, token, user_body},
    instances::pair,
};

/// Nothing that a process says may have it.
const TOKEN: &str = "pm_secret-of-the-provider";

async fn shop() -> (Database, Instance) {
    let database = Database::create().await;
    let instance = Launch::new(&database.url).env("LOG_LEVEL", "debug").start().await;
    (database, instance)
}

fn request(payment: u128, user: Option<Uuid>) -> Value {
    json!({ "id": id(payment), "attempt_id": id(1), "order_id": id(5), "user_id": user, "amount": money(1000), "method": TOKEN })
}

async fn post(shop: &Instance, path: &str, body: Value) -> Answer {
    shop.post(path, &service(), &body).await
}

/// Status and version of an accepted command.
fn accepted(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.json()["version"].as_u64().unwrap_or_else(|| panic!("{answer:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_asked_for_and_answered_once_however_often_it_comes() {
    let (database, shop) = shop().await;
    let path = format!("/v1/payments/{}", id(60));
    let paid = json!({ "attempt_id": id(1), "reference": "P-1" });
    let done = |number: u32| json!({ "reference": format!("P-{number}") });
    let capture = json!({ "capture_id": id(2), "amount": money(600) });
    let refund = json!({ "refund_id": id(3), "amount": money(500) });
    let steps = [
        ("/v1/payments".to_owned(), request(60, Some(id(7))), "payment.requested.v1"),
        (format!("{path}/authorise"), paid, "payment.authorised.v1"),
        (format!("{path}/captures"), capture, "payment.capture-requested.v1"),
        (format!("{path}/captures/{}/confirm", id(2)), done(2), "payment.captured.v1"),
        (format!("{path}/refunds"), refund, "payment.refund-requested.v1"),
        (format!("{path}/refunds/{}/confirm", id(3)), done(3), "payment.refunded.v1"),
        (format!("{path}/voids"), json!({ "void_id": id(4) }), "payment.void-requested.v1"),
        (format!("{path}/voids/{}/confirm", id(4)), done(4), "payment.voided.v1"),
    ];
    for (version, (path, body, _)) in (1..).zip(&steps) {
        let answer = post(&shop, path, body.clone()).await;
        let made = path == "/v1/payments" || ["captures", "refunds", "voids"].iter().any(|part| path.ends_with(part));
        assert_eq!(accepted(&answer), (if made { 201 } else { 200 }, version), "{path}: {answer:?}");
    }
    // Without idempotency keys, as after the 24 hours that those are kept.
    for (path, body, _) in &steps {
        let again = post(&shop, path, body.clone()).await;
        assert_eq!((accepted(&again), &again.json()["seq"]), ((200, 8), &Value::Null), "{path}: {again:?}");
    }
    let events = store::checked_events(&database, "payments").await;
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, steps.each_ref().map(|(_, _, event_type)| *event_type));
    let state = shop.get(&format!("{path}/state"), &staff()).await.json();
    assert_eq!((&state["state"]["status"], &state["state"]["order_id"]), (&json!("voided"), &json!(id(5))), "{state}");
    assert!(!shop.log().contains(TOKEN), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_answered_by_name() {
    let (_database, shop) = shop().await;
    let path = format!("/v1/payments/{}", id(60));
    let refused = async |at: &str, body: Value, status: u16, rule: &str| {
        let answer = post(&shop, &format!("{path}{at}"), body).await;
        assert_eq!((answer.status, answer.rule().as_str()), (status, rule), "{at}: {answer:?}");
    };
    let capture = |number, minor| json!({ "capture_id": id(number), "amount": money(minor) });
    refused("/captures", capture(2, 1), 404, "PaymentNotFound").await;
    assert_eq!(post(&shop, "/v1/payments", request(60, None)).await.status, 201);
    refused("/captures", capture(2, 1), 409, "NotAuthorised").await;
    refused("/authorise", json!({ "attempt_id": id(9), "reference": "P-1" }), 404, "StepNotFound").await;
    assert_eq!(post(&shop, &format!("{path}/authorise"), json!({ "attempt_id": id(1), "reference": "P-1" })).await.status, 200);
    refused("/authorise", json!({ "attempt_id": id(1), "reference": "P-2" }), 409, "AnsweredOtherwise").await;
    refused("/decline", json!({ "attempt_id": id(1), "reason": "no" }), 409, "AnsweredOtherwise").await;
    refused("/captures", capture(2, 1001), 422, "CaptureExceedsAuthorised").await;
    assert_eq!(post(&shop, &format!("{path}/captures"), capture(2, 600)).await.status, 201);
    // Nobody knows yet whether it was captured.
    refused("/captures", capture(3, 401), 422, "CaptureExceedsAuthorised").await;
    refused("/captures", capture(2, 601), 409, "StepIdReused").await;
    refused("/voids", json!({ "void_id": id(4) }), 409, "CapturePending").await;
    refused("/expire", json!({}), 409, "CapturePending").await;
    refused("/refunds", json!({ "refund_id": id(3), "amount": money(1) }), 422, "RefundExceedsCaptured").await;
    let other = json!({ "capture_id": id(5), "amount": { "minor": 1, "currency": "EUR" } });
    refused("/captures", other, 422, "CurrencyMismatch").await;
    let other = post(&shop, "/v1/payments", request(60, Some(id(7)))).await;
    assert_eq!((other.status, other.rule().as_str()), (409, "TermsDiffer"), "{other:?}");
    // The path names the step; a body that names another one is wrong.
    let another = json!({ "capture_id": id(3), "reference": "P-2" });
    let answer = post(&shop, &format!("{path}/captures/{}/confirm", id(2)), another).await;
    assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (400, &json!("/capture_id")), "{answer:?}");
    // What is wrong with a token is said without the token.
    let mut long = request(61, None);
    long["method"] = json!(TOKEN.repeat(20));
    let answer = post(&shop, "/v1/payments", long).await;
    assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (400, &json!("/method")), "{answer:?}");
    assert!(!answer.body.contains(TOKEN), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_never_let_more_be_captured_or_refunded_than_there_is() {
    let database = Database::create().await;
    let instances = pair(&database).await;
    let path = format!("/v1/payments/{}", id(60));
    assert_eq!(post(&instances[0], "/v1/payments", request(60, None)).await.status, 201);
    let paid = json!({ "attempt_id": id(1), "reference": "P-1" });
    assert_eq!(post(&instances[1], &format!("{path}/authorise"), paid).await.status, 200);
    // Of 24 parts of 100 each there is room for ten.
    let ask = async |parts: &str, step: &str| {
        let asked = (0..24_usize).map(|number| {
            let (instance, path) = (&instances[number % 2], format!("{path}/{parts}"));
            let body = json!({ step: id(100 + number as u128), "amount": money(100) });
            async move {
                // A machine that is busy with other tests may be told to come back, and nothing was stored then.
                loop {
                    let answer = post(instance, &path, body.clone()).await;
                    if answer.status != 503 {
                        return (number, answer.status);
                    }
                }
            }
        });
        let answers = join_all(asked).await;
        assert!(answers.iter().all(|(_, status)| [201, 422].contains(status)), "{answers:?}");
        let accepted: Vec<_> = answers.iter().filter(|(_, status)| *status == 201).map(|(number, _)| *number).collect();
        assert_eq!(accepted.len(), 10, "{parts}: {answers:?}");
        accepted
    };
    for number in ask("captures", "capture_id").await {
        let path = format!("{path}/captures/{}/confirm", id(100 + number as u128));
        assert_eq!(post(&instances[number % 2], &path, json!({ "reference": "P-2" })).await.status, 200);
    }
    ask("refunds", "refund_id").await;
    assert_eq!(store::checked_events(&database, "payments").await.len(), 2 + 20 + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_with_what_it_names_or_with_what_its_user_pays_with() {
    let (database, shop) = shop().await;
    shop.post("/v1/products", &staff(), &product_body(id(3), "A")).await;
    shop.post("/v1/users", &staff(), &user_body(id(7), "ann@example.org")).await;
    let path = format!("/v1/users/{}/payment-method", id(7));
    let put = async |token: &str, body: Value| Answer::to(shop.request(Method::PUT, &path, token).json(&body)).await;
    let place = async |number: u128, more: Value| {
        let mut body = json!({ "id": id(number), "user_id": id(7), "lines": [{ "product_id": id(3), "quantity": 1 }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(shop.post("/v1/orders", &staff(), &body).await.status, 201);
    };
    place(10, json!({})).await;
    assert_eq!(accepted(&put(&customer(id(7)), json!({ "method": "pm_1" })).await), (200, 2));
    let again = put(&staff(), json!({ "method": "pm_1" })).await;
    assert_eq!((accepted(&again), &again.json()["seq"]), ((200, 2), &Value::Null), "the same again is nothing new");
    place(11, json!({})).await;
    place(12, json!({ "payment_method": "pm_2" })).await;
    place(13, json!({ "fulfilment": "external" })).await;
    place(14, json!({ "user_id": null, "payment_method": "pm_3" })).await;
    assert_eq!(accepted(&put(&customer(id(7)), json!({ "method": null })).await), (200, 3));
    place(15, json!({})).await;
    let events = store::checked_events(&database, "orders").await;
    let method = |number| store::of_stream(&events, id(number))[0].data["payment_method"].clone();
    let methods = [10, 11, 12, 13, 14, 15].map(method);
    assert_eq!(methods, [Value::Null, json!("pm_1"), json!("pm_2"), Value::Null, json!("pm_3"), Value::Null]);

    assert_eq!(put(&customer(id(8)), json!({ "method": "pm_9" })).await.status, 404, "another's account");
    let neither = put(&staff(), json!({})).await;
    assert_eq!(neither.status, 400, "to remove it is said in so many words: {neither:?}");
    let spaced = put(&staff(), json!({ "method": "not a token" })).await;
    assert_eq!(spaced.status, 400, "{spaced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_admins_record_and_customers_see_what_is_theirs() {
    let (_database, shop) = shop().await;
    for (caller, status) in [(staff(), 403), (customer(id(7)), 403), (token("root", &[Role::Admin]), 201), (service(), 200)] {
        assert_eq!(shop.post("/v1/payments", &caller, &request(60, Some(id(7)))).await.status, status);
    }
    // A guest's.
    assert_eq!(post(&shop, "/v1/payments", request(61, None)).await.status, 201);
    for (payment, caller, status) in [(60, id(7), 200), (60, id(8), 404), (61, id(7), 404), (62, id(7), 404), (61, id(61), 404)] {
        for part in ["events", "state"] {
            let answer = shop.get(&format!("/v1/payments/{}/{part}", id(payment)), &customer(caller)).await;
            assert_eq!(answer.status, status, "{part} of {payment} as {caller}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_in_one_stream_of_lines() {
    let (database, shop) = shop().await;
    let line = |command: &str, data: Value| json!({ "command": command, "id": id(60), "data": data });
    let lines = [
        line("request-payment", request(60, None)),
        line("decline-payment", json!({ "attempt_id": id(1), "reason": "insufficient funds" })),
        line("request-payment", {
            let mut again = request(60, None);
            again["attempt_id"] = json!(id(2));
            again
        }),
        line("authorise-payment", json!({ "attempt_id": id(2), "reference": "P-1" })),
        line("request-capture", json!({ "capture_id": id(3), "amount": money(100) })),
        line("fail-capture", json!({ "capture_id": id(3), "reason": "try later" })),
        line("request-capture", json!({ "capture_id": id(4), "amount": money(100) })),
        line("confirm-capture", json!({ "capture_id": id(4), "reference": "P-2" })),
        line("request-refund", json!({ "refund_id": id(5), "amount": money(100) })),
        line("fail-refund", json!({ "refund_id": id(5), "reason": "account closed" })),
        line("request-void", json!({ "void_id": id(6) })),
        line("fail-void", json!({ "void_id": id(6), "reason": "too late" })),
        line("expire-payment", json!({})),
        line("confirm-capture", json!({ "reference": "P-2" })),
    ];
    let answers = shop.commands(&service(), &lines).await;
    let (last, life) = answers.split_last().unwrap();
    assert!(life.iter().all(|answer| answer["status"].as_u64() < Some(300)), "{life:?}");
    assert_eq!(last["problem"]["errors"][0]["pointer"], "/data/capture_id", "{last}");
    assert_eq!(store::checked_events(&database, "payments").await.len(), lines.len() - 1);
    // Each line is authorised as its endpoint.
    let answers = shop.commands(&staff(), &lines[..1]).await;
    assert_eq!(answers[0]["status"], 403, "{answers:?}");
}
