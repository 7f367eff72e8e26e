//! The sandbox as its callers meet it: the program itself, over HTTP.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod sandbox;

use std::time::Duration;

use payment_sandbox::inbound::http::routes;
use reqwest::{Method, StatusCode};
use sandbox::Sandbox;
use serde_json::{Value, json};

/// Nothing that is waited for takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn pounds(minor: u64) -> Value {
    json!({"minor": minor, "currency": "GBP"})
}

#[tokio::test]
async fn a_payment_from_authorisation_to_refund() {
    let sandbox = Sandbox::start(&[]).await;
    let body = json!({"amount": pounds(1_999), "method": "pm_card"});
    let authorised = sandbox.post("a", "/v1/authorisations", &body).await;
    assert_eq!((authorised.status, &authorised.body["status"]), (201, &json!("authorised")));
    let id = authorised.id();
    let captured = sandbox.post("c", &format!("/v1/authorisations/{id}/captures"), &json!({"amount": pounds(1_500)})).await;
    assert_eq!((captured.status, &captured.body["status"]), (201, &json!("captured")));
    let refunds = format!("/v1/captures/{}/refunds", captured.id());
    assert_eq!(sandbox.post("r", &refunds, &json!({"amount": pounds(300)})).await.status, 201);
    assert_eq!(sandbox.post("v", &format!("/v1/authorisations/{id}/voids"), &json!({})).await.body["status"], "voided");

    let too_much = sandbox.post("r2", &refunds, &json!({"amount": pounds(1_201)})).await;
    assert_eq!((too_much.status, &too_much.body["code"]), (422, &json!("amount-too-large")));
    let book = sandbox.book().await;
    let totals = json!({"authorised": 1999, "captured": 1500, "refunded": 300, "voided": 499, "charged": 1200, "held": 0});
    assert_eq!(book["totals"], json!({"GBP": totals}));
    assert_eq!(book["calls"], 5);
    let seen = sandbox.get(&format!("/v1/authorisations/{id}")).await;
    assert_eq!((&seen.body["captured"], &seen.body["voided"]), (&json!(1500), &json!(499)));
    assert_eq!(seen.body["captures"][0]["refunded"], 300);
}

#[tokio::test]
async fn one_key_is_one_charge_whatever_happens_to_the_answers() {
    let sandbox = Sandbox::start(&[("SLOW_MS", "1")]).await;
    for behaviour in ["approved", "slow", "fails_twice", "unknown", "garbled", "busy", "away", "declined"] {
        let body = json!({"amount": pounds(100), "method": format!("pm_{behaviour}")});
        let mut ids = Vec::new();
        for _ in 0..5 {
            match sandbox.try_post(behaviour, "/v1/authorisations", &body).await {
                Ok(answer) if answer.status == 201 => ids.push(answer.id()),
                Ok(answer) => assert!([402, 429, 500, 503].contains(&answer.status), "{answer:?}"),
                Err(error) => assert_eq!(behaviour, "garbled", "{error}"),
            }
        }
        ids.dedup();
        let keyed = &sandbox.book().await["keys"][behaviour];
        let done = usize::from(behaviour != "declined");
        assert_eq!((ids.len(), &keyed["asked"], &keyed["done"]), (done, &json!(5), &json!(done)), "{behaviour}");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_has_done_it_or_not() {
    let sandbox = Sandbox::start(&[]).await;
    for (behaviour, done) in [("hangs_once", 1), ("hangs_before", 0)] {
        let body = json!({"amount": pounds(100), "method": format!("pm_{behaviour}")});
        let hanging = sandbox.try_post(behaviour, "/v1/authorisations", &body);
        let until_taken = async {
            while sandbox.book().await["keys"][behaviour]["asked"] != 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            answer = hanging => panic!("{answer:?}"),
            taken = tokio::time::timeout(PATIENCE, until_taken) => taken.unwrap(),
        }
        assert_eq!(sandbox.book().await["keys"][behaviour]["done"], done, "{behaviour}");
        assert_eq!(sandbox.post(behaviour, "/v1/authorisations", &body).await.status, 201);
        assert_eq!(sandbox.book().await["keys"][behaviour]["done"], 1, "{behaviour}");
    }
}

#[tokio::test]
async fn the_header_decides_before_the_method() {
    let sandbox = Sandbox::start(&[]).await;
    let body = json!({"amount": pounds(100), "method": "pm_declined"});
    let ask = async |key: &str, behaviour: &str| {
        let request = sandbox.request(Method::POST, "/v1/authorisations").header("idempotency-key", key).json(&body);
        request.header("sandbox-behaviour", behaviour).send().await.unwrap().status()
    };
    assert_eq!(ask("a", "approved").await, StatusCode::CREATED);
    assert_eq!(ask("b", "away").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask("c", "sideways").await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_book_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("book").to_str().unwrap().to_owned();
    let mut sandbox = Sandbox::start(&[("BOOK_FILE", &file)]).await;
    let body = json!({"amount": pounds(100), "method": "pm_card"});
    let id = sandbox.post("a", "/v1/authorisations", &body).await.id();
    let capture = sandbox.post("c", &format!("/v1/authorisations/{id}/captures"), &json!({"amount": pounds(60)})).await.id();
    let before = sandbox.book().await;
    sandbox.kill();

    let sandbox = Sandbox::start(&[("BOOK_FILE", &file)]).await;
    assert_eq!(sandbox.book().await, before);
    assert_eq!(sandbox.post("a", "/v1/authorisations", &body).await.id(), id);
    let again = sandbox.post("c2", &format!("/v1/authorisations/{id}/captures"), &json!({"amount": pounds(60)})).await;
    assert_eq!(again.status, 422);
    assert_eq!(sandbox.post("r", &format!("/v1/captures/{capture}/refunds"), &json!({"amount": pounds(60)})).await.status, 201);
    let calls = sandbox.calls("a").await;
    assert_eq!(calls.as_array().map(Vec::len), Some(2), "{calls}");
}

#[tokio::test]
async fn nobody_gets_in_without_a_key_or_a_token() {
    let sandbox = Sandbox::start(&[]).await;
    let http = reqwest::Client::new();
    let rows = routes();
    for endpoint in rows.table() {
        let url = sandbox.url(&endpoint.path.replace("{id}", "x"));
        for token in ["", "wrong"] {
            let answer = http.request(endpoint.method.clone(), &url).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{} {}", endpoint.method, endpoint.path);
        }
    }
    let without = sandbox.request(Method::POST, "/v1/authorisations").json(&json!({})).send().await.unwrap();
    assert_eq!(without.status(), 400, "there is no Idempotency-Key");
}

#[tokio::test]
async fn ends_although_answers_are_outstanding() {
    let mut sandbox = Sandbox::start(&[]).await;
    let body = json!({"amount": pounds(100), "method": "pm_hangs"});
    let request = sandbox.request(Method::POST, "/v1/authorisations").header("idempotency-key", "a").json(&body);
    let hanging = tokio::spawn(request.send());
    while sandbox.book().await["keys"]["a"].is_null() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sandbox.terminate(PATIENCE).await, Some(0));
    hanging.await.unwrap().unwrap();
}
