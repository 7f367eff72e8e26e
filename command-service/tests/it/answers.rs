//! Every endpoint's answers and every kind of error, word for word.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Database, Instance, Launch, customer, id, money, product_body, service, staff, user_body};

/// The headers that are part of the contract.
const HEADERS: [&str; 8] =
    ["content-type", "location", "etag", "allow", "idempotency-replayed", "retry-after", "www-authenticate", "x-request-id"];

struct Recording {
    _database: Database,
    instance: Instance,
    text: String,
}

impl Recording {
    async fn start() -> Self {
        let database = Database::create().await;
        let instance = Launch::new(&database.url).start().await;
        Self { _database: database, instance, text: String::new() }
    }

    fn title(&mut self, title: &str) {
        writeln!(self.text, "## {title}\n").unwrap();
    }

    async fn get(&mut self, token: &str, path: &str) -> Answer {
        self.send(Method::GET, token, path, &[], "").await
    }

    async fn post(&mut self, token: &str, path: &str, body: Value) -> Answer {
        self.send(Method::POST, token, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    async fn post_with(&mut self, token: &str, path: &str, header: (&str, &str), body: Value) -> Answer {
        let headers = [("content-type", "application/json"), header];
        self.send(Method::POST, token, path, &headers, &body.to_string()).await
    }

    async fn patch(&mut self, token: &str, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, token, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    async fn send(&mut self, method: Method, token: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.instance.request(method.clone(), path, token).body(body.to_owned());
        // What is not given is the same each time, so that the record shows none of chance.
        request = request.header("x-request-id", "r");
        write!(self.text, "{method} {path}").unwrap();
        for (name, value) in headers {
            request = request.header(*name, *value);
            if *value != "application/json" {
                write!(self.text, " {name}: {value}").unwrap();
            }
        }
        let shown = if body.len() > 2_000 { format!("({} bytes)", body.len()) } else { body.to_owned() };
        writeln!(self.text, " {shown}").unwrap();
        let answer = Answer::to(request).await;
        self.record(&answer);
        answer
    }

    fn record(&mut self, answer: &Answer) {
        writeln!(self.text, "{}", answer.status).unwrap();
        for name in HEADERS {
            if let Some(value) = answer.header(name).filter(|value| *value != "r") {
                let value = value.split('/').map(|part| part.parse().map_or(part.to_owned(), shown)).collect::<Vec<_>>();
                writeln!(self.text, "{name}: {}", value.join("/")).unwrap();
            }
        }
        for line in answer.body.lines() {
            match serde_json::from_str(line) {
                Ok(value) => writeln!(self.text, "{}", redacted(value)).unwrap(),
                Err(_) => writeln!(self.text, "{line}").unwrap(),
            }
        }
        self.text.push('\n');
    }
}

/// The ids of these tests are shown; those that chance gave are not.
fn shown(id: Uuid) -> String {
    if id.to_string().starts_with("01900000-") { id.to_string() } else { "(uuid)".to_owned() }
}

fn redacted(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| match name.as_str() {
                "traceparent" if value.is_string() => (name, "(trace)".into()),
                "ct" => (name, "(sealed)".into()),
                "latency_ms" => (name, "(latency)".into()),
                _ => (name, redacted(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::String(text) => {
            let is_now = text.parse::<DateTime<Utc>>().is_ok_and(|at| at.year() > 2020);
            if is_now { "(now)".into() } else { text.parse().map_or(text.into(), |id| shown(id).into()) }
        }
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_answer_as_published() {
    let (staff, service, ann) = (staff(), service(), customer(id(1)));
    let mut r = Recording::start().await;
    r.title("Users");
    r.post(&ann, "/v1/users", json!({ "name": "Ann", "email": "Ann@example.org" })).await;
    r.post(&staff, "/v1/users", user_body(id(2), "bob@example.org")).await;
    // The key makes the id, and with it the lane, the same in every run.
    r.post_with(&service, "/v1/users", ("idempotency-key", "eve"), json!({ "name": "Eve", "email": "eve@example.org" })).await;
    let path = format!("/v1/users/{}", id(2));
    r.patch(&staff, &path, json!({ "name": "Robert", "email": "robert@example.org" })).await;
    r.post(&staff, &format!("{path}/deactivate"), json!({ "reason": "asked for it" })).await;
    r.title("Products");
    r.post(&staff, "/v1/products", product_body(id(3), "85123a")).await;
    r.post(&staff, "/v1/products", product_body(id(4), "22423")).await;
    let path = format!("/v1/products/{}", id(3));
    r.patch(&staff, &path, json!({ "name": "White Lantern", "price": money(295) })).await;
    r.title("The same name again: nothing to do");
    r.patch(&staff, &path, json!({ "name": "White Lantern" })).await;
    let past = json!({ "delta": 10, "reason": "received", "occurred_at": "2011-01-04T10:00:00Z" });
    r.post(&staff, &format!("{path}/stock-adjustments"), past).await;
    for (reservation, end) in [(id(20), "release"), (id(21), "commit")] {
        let reserve = json!({ "reservation_id": reservation, "order_id": id(5), "quantity": 4 });
        r.post(&service, &format!("{path}/reservations"), reserve.clone()).await;
        r.title("The same reservation again: nothing to do");
        r.post(&service, &format!("{path}/reservations"), reserve).await;
        r.post(&service, &format!("{path}/reservations/{reservation}/{end}"), json!({})).await;
    }
    r.post(&staff, &format!("/v1/products/{}/discontinue", id(4)), json!({})).await;
    r.title("Orders");
    let lines = json!([{ "product_id": id(3), "quantity": 2 }, { "product_id": id(3), "quantity": 1 }]);
    r.post(&ann, "/v1/orders", json!({ "id": id(5), "lines": lines })).await;
    r.post(
        &staff,
        "/v1/orders",
        json!({ "id": id(6), "user_id": null, "fulfilment": "external", "currency": "GBP",
        "lines": [{ "product_id": id(3), "quantity": 2, "unit_price": money(199) }], "occurred_at": "2011-01-04T10:00:00Z" }),
    )
    .await;
    let path = format!("/v1/orders/{}", id(5));
    r.post(&staff, &format!("{path}/confirm"), json!({})).await;
    r.post(&staff, &format!("{path}/ship"), json!({ "carrier": "Snail", "tracking": "S-1" })).await;
    r.post(&staff, &format!("{path}/deliver"), json!({})).await;
    let back = json!({ "return_id": id(30), "lines": [{ "line": 1, "quantity": 1 }], "reason": "too bright" });
    r.post(&staff, &format!("{path}/returns"), back.clone()).await;
    r.title("The same return again: nothing to do");
    r.post(&staff, &format!("{path}/returns"), back).await;
    r.post(&staff, &format!("/v1/orders/{}/cancel", id(6)), json!({ "reason": "a mistake" })).await;
    record_payments(&mut r, &ann, &service).await;
    r.title("Without a body where none is needed");
    let place = json!({ "id": id(7), "lines": [{ "product_id": id(3), "quantity": 1 }] });
    r.post(&staff, "/v1/orders", place).await;
    r.send(Method::POST, &staff, &format!("/v1/orders/{}/confirm", id(7)), &[], "").await;
    insta::assert_snapshot!(r.text);
}

/// A payment that goes well, and one that does not.
async fn record_payments(r: &mut Recording, ann: &str, service: &str) {
    r.title("Payments");
    let method = json!({ "method": "pm_1" });
    let users_method = format!("/v1/users/{}/payment-method", id(1));
    r.send(Method::PUT, ann, &users_method, &[("content-type", "application/json")], &method.to_string()).await;
    let request = json!({ "id": id(60), "attempt_id": id(61), "order_id": id(5), "user_id": id(1), "amount": money(1000), "method": "pm_1" });
    r.post(service, "/v1/payments", request.clone()).await;
    r.title("The same attempt again: nothing to do");
    r.post(service, "/v1/payments", request).await;
    let path = format!("/v1/payments/{}", id(60));
    r.post(service, &format!("{path}/authorise"), json!({ "attempt_id": id(61), "reference": "P-1" })).await;
    r.post(service, &format!("{path}/captures"), json!({ "capture_id": id(62), "amount": money(600) })).await;
    r.post(service, &format!("{path}/captures/{}/confirm", id(62)), json!({ "reference": "P-2" })).await;
    r.post(service, &format!("{path}/refunds"), json!({ "refund_id": id(63), "amount": money(100) })).await;
    r.post(service, &format!("{path}/refunds/{}/fail", id(63)), json!({ "reason": "try later" })).await;
    r.post(service, &format!("{path}/voids"), json!({ "void_id": id(64) })).await;
    r.post(service, &format!("{path}/voids/{}/confirm", id(64)), json!({ "reference": "P-3" })).await;
    let request = json!({ "id": id(65), "attempt_id": id(66), "order_id": id(6), "amount": money(398), "method": "pm_2" });
    r.post(service, "/v1/payments", request).await;
    r.post(service, &format!("/v1/payments/{}/decline", id(65)), json!({ "attempt_id": id(66), "reason": "insufficient funds" }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_answer_as_published() {
    let (staff, service) = (staff(), service());
    let mut r = Recording::start().await;
    r.instance.post("/v1/users", &staff, &user_body(id(2), "bob@example.org")).await;
    r.instance.post("/v1/products", &staff, &product_body(id(3), "85123a")).await;
    let place = json!({ "id": id(5), "user_id": id(2), "lines": [{ "product_id": id(3), "quantity": 2 }] });
    r.instance.post("/v1/orders", &staff, &place).await;
    r.instance.post(&format!("/v1/orders/{}/confirm", id(5)), &staff, &json!({})).await;
    let request = json!({ "id": id(60), "attempt_id": id(61), "order_id": id(5), "user_id": id(2), "amount": money(510), "method": "pm_1" });
    r.instance.post("/v1/payments", &service, &request).await;
    let paid = json!({ "attempt_id": id(61), "reference": "P-1" });
    r.instance.post(&format!("/v1/payments/{}/authorise", id(60)), &service, &paid).await;
    for (context, number) in [("users", 2), ("products", 3), ("orders", 5), ("payments", 60)] {
        r.get(&staff, &format!("/v1/{context}/{}/events?limit=1", id(number))).await;
        r.get(&staff, &format!("/v1/{context}/{}/events?after=1", id(number))).await;
        r.get(&staff, &format!("/v1/{context}/{}/state", id(number))).await;
        r.get(&staff, &format!("/v1/{context}/{}/state?version=1", id(number))).await;
    }
    r.title("What is not there, or asked for wrongly");
    let path = format!("/v1/orders/{}", id(5));
    for path in [
        format!("/v1/orders/{}/events", id(99)),
        format!("/v1/users/{}/state", id(99)),
        format!("{path}/state?version=3"),
        format!("{path}/state?version=0"),
        format!("{path}/state?at=2011-01-04T10:00:00Z"),
        format!("{path}/state?version=1&at=2011-01-04T10:00:00Z"),
        format!("{path}/state?at=yesterday"),
        format!("{path}/events?limit=0"),
        format!("{path}/events?limit=1001"),
        format!("{path}/events?size=3"),
        "/v1/orders/5/events".to_owned(),
    ] {
        r.get(&staff, &path).await;
    }
    r.title("Lanes and the feed");
    let heads = r.get(&service, "/v1/lanes?context=orders").await.json();
    let lane = heads["heads"].as_array().unwrap().iter().position(|head| *head == 2).unwrap();
    r.get(&service, &format!("/v1/feed?context=orders&lane={lane}")).await;
    r.get(&service, &format!("/v1/feed?context=orders&lane={lane}&after=1&limit=1")).await;
    r.get(&service, &format!("/v1/feed?context=orders&lane={lane}&after=2")).await;
    for query in ["context=orders&lane=16", "context=tea&lane=1", "lane=1", "context=orders&lane=1&limit=10001"] {
        r.get(&service, &format!("/v1/feed?{query}")).await;
    }
    r.title("Keys of personal data");
    r.post(&service, "/v1/personal-keys", json!({ "ids": [id(99)] })).await;
    let keys = r.instance.post("/v1/personal-keys", &service, &json!({ "ids": [id(2), id(99)] })).await.json();
    let key = keys["keys"][id(2).to_string()].as_str().unwrap();
    assert_eq!((key.len(), keys["keys"].as_object().unwrap().len()), (44, 1), "{keys}");
    let many: Vec<_> = (0..1001).map(id).collect();
    r.post(&service, "/v1/personal-keys", json!({ "ids": many })).await;
    r.title("For everyone");
    r.get("", "/health").await;
    r.get("", "/ready").await;
    assert!(r.instance.get("/metrics", "").await.body.contains("orderflow_writer_events_total"));
    insta::assert_snapshot!(r.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_answer_as_published() {
    let (staff, ann) = (staff(), customer(id(1)));
    let mut r = Recording::start().await;
    r.instance.post("/v1/products", &staff, &product_body(id(3), "85123a")).await;
    r.instance.post("/v1/users", &staff, &user_body(id(2), "bob@example.org")).await;
    let line = json!({ "product_id": id(3), "quantity": 2 });
    r.title("400");
    for lines in [
        json!({ "product_id": id(3) }),
        json!({ "product_id": "x", "quantity": 1 }),
        json!({ "product_id": id(3), "quantity": 0 }),
        json!({ "product_id": id(3), "quantity": 1, "colour": "red" }),
        json!({ "product_id": id(3), "quantity": 1, "unit_price": { "minor": -1, "currency": "GBP" } }),
        json!({ "product_id": id(3), "quantity": 1, "unit_price": { "minor": 1, "currency": "GBX" } }),
    ] {
        r.post(&staff, "/v1/orders", json!({ "lines": [line, lines] })).await;
    }
    r.post(&staff, "/v1/orders", json!({})).await;
    r.post(&staff, "/v1/orders", json!({ "id": Uuid::nil(), "lines": [line] })).await;
    r.post(&staff, "/v1/orders", json!({ "lines": [line], "occurred_at": "2126-01-01T00:00:00Z" })).await;
    r.post(&staff, "/v1/orders", json!({ "lines": vec![line.clone(); 2_001] })).await;
    r.post(&staff, "/v1/users", json!({ "name": "Ann", "email": "nowhere" })).await;
    r.post(&staff, "/v1/users", json!({ "name": "", "email": "a@example.org" })).await;
    r.patch(&staff, &format!("/v1/users/{}", id(2)), json!({})).await;
    r.patch(&staff, &format!("/v1/products/{}", id(3)), json!({})).await;
    r.post(&staff, &format!("/v1/products/{}/stock-adjustments", id(3)), json!({ "delta": 0, "reason": "received" })).await;
    r.post(&staff, &format!("/v1/products/{}/stock-adjustments", id(3)), json!({ "delta": 1, "reason": "magic" })).await;
    r.post(&staff, "/v1/orders/five/confirm", json!({})).await;
    r.post(&staff, "/v1/orders", json!([1])).await;
    r.send(Method::POST, &staff, "/v1/orders", &[("content-type", "application/json")], "{\"lines\": [").await;
    r.post_with(&staff, "/v1/orders", ("if-match", "3"), json!({ "lines": [line] })).await;
    r.post_with(&staff, "/v1/orders", ("idempotency-key", "a b"), json!({ "lines": [line] })).await;
    r.title("401");
    r.post("", "/v1/orders", json!({ "lines": [line] })).await;
    r.post("nonsense", "/v1/orders", json!({ "lines": [line] })).await;
    r.title("403");
    r.post(&ann, "/v1/products", product_body(id(4), "x")).await;
    r.post(&ann, "/v1/users", user_body(id(9), "nine@example.org")).await;
    r.post(&ann, "/v1/orders", json!({ "lines": [line], "occurred_at": "2011-01-04T10:00:00Z" })).await;
    r.post(&ann, "/v1/orders", json!({ "lines": [line], "fulfilment": "external" })).await;
    r.post(&ann, "/v1/orders", json!({ "lines": [{ "product_id": id(3), "quantity": 1, "unit_price": money(1) }] })).await;
    r.title("404 and 405");
    r.post(&staff, "/v2/orders", json!({})).await;
    r.get(&staff, "/v1/orders").await;
    r.post(&staff, &format!("/v1/orders/{}/confirm", id(99)), json!({})).await;
    r.patch(&staff, &format!("/v1/users/{}", id(99)), json!({ "name": "Nobody" })).await;
    r.post(&ann, "/v1/orders", json!({ "user_id": id(2), "lines": [line] })).await;
    r.title("413 and 415");
    let long = json!({ "name": "x".repeat(1 << 20), "email": "a@example.org" }).to_string();
    r.send(Method::POST, &staff, "/v1/users", &[("content-type", "application/json")], &long).await;
    r.send(Method::POST, &staff, "/v1/users", &[("content-type", "text/plain")], "{}").await;
    r.send(Method::POST, &staff, "/v1/commands", &[("content-type", "application/json")], "{}").await;
    insta::assert_snapshot!(r.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_answer_as_published() {
    let (staff, service) = (staff(), service());
    let mut r = Recording::start().await;
    r.instance.post("/v1/users", &staff, &user_body(id(1), "ann@example.org")).await;
    r.instance.post("/v1/users", &staff, &user_body(id(2), "bob@example.org")).await;
    r.instance.post("/v1/products", &staff, &product_body(id(3), "85123a")).await;
    let line = json!({ "product_id": id(3), "quantity": 2 });
    let order = |number| json!({ "id": id(number), "lines": [line.clone()] });
    r.instance.post("/v1/orders", &staff, &order(5)).await;
    r.title("409");
    r.post(&staff, "/v1/users", user_body(id(9), " BOB@example.org ")).await;
    r.patch(&staff, &format!("/v1/users/{}", id(1)), json!({ "email": "Bob@Example.org" })).await;
    r.post(&staff, "/v1/users", user_body(id(1), "other@example.org")).await;
    r.post(&staff, "/v1/products", product_body(id(9), "85123A")).await;
    r.post(&staff, "/v1/products", product_body(id(3), "other")).await;
    r.post(&staff, "/v1/orders", order(5)).await;
    r.post(&staff, &format!("/v1/orders/{}/ship", id(5)), json!({})).await;
    r.title("412");
    let confirm = format!("/v1/orders/{}/confirm", id(5));
    r.post_with(&staff, &confirm, ("if-match", "\"2\""), json!({})).await;
    r.post_with(&staff, &confirm, ("if-match", "\"1\""), json!({})).await;
    r.title("422");
    let path = format!("/v1/products/{}", id(3));
    r.post(&staff, &format!("{path}/stock-adjustments"), json!({ "delta": -1, "reason": "lost" })).await;
    r.patch(&staff, &path, json!({ "price": { "minor": 1, "currency": "EUR" } })).await;
    r.post(&staff, "/v1/orders", json!({ "lines": [] })).await;
    r.post(&staff, "/v1/orders", json!({ "lines": [{ "product_id": id(99), "quantity": 1 }] })).await;
    r.post(&staff, "/v1/orders", json!({ "user_id": id(99), "lines": [line] })).await;
    r.post(&staff, "/v1/orders", json!({ "currency": "EUR", "lines": [line] })).await;
    r.instance.post(&format!("/v1/orders/{}/ship", id(5)), &staff, &json!({})).await;
    r.instance.post(&format!("/v1/orders/{}/deliver", id(5)), &staff, &json!({})).await;
    let path = format!("/v1/orders/{}/returns", id(5));
    r.post(&staff, &path, json!({ "lines": [{ "line": 1, "quantity": 3 }] })).await;
    let request = json!({ "id": id(60), "attempt_id": id(61), "order_id": id(5), "amount": money(1000), "method": "pm_1" });
    r.instance.post("/v1/payments", &service, &request).await;
    let capture = json!({ "capture_id": id(62), "amount": money(1001) });
    r.post(&service, &format!("/v1/payments/{}/captures", id(60)), capture.clone()).await;
    let paid = json!({ "attempt_id": id(61), "reference": "P-1" });
    r.instance.post(&format!("/v1/payments/{}/authorise", id(60)), &service, &paid).await;
    r.post(&service, &format!("/v1/payments/{}/captures", id(60)), capture).await;
    r.title("Idempotency");
    let once = ("idempotency-key", "once");
    r.post_with(&staff, "/v1/orders", once, order(6)).await;
    r.post_with(&staff, "/v1/orders", once, order(6)).await;
    r.post_with(&staff, "/v1/orders", once, order(7)).await;
    r.title("Another caller's key is another key");
    r.post_with(&service, "/v1/orders", once, order(6)).await;
    insta::assert_snapshot!(r.text);
}
