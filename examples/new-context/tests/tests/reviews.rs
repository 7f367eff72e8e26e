//! Reviews on real servers: written and withdrawn by the command service, read from the query service.

#![expect(clippy::unwrap_used, reason = "a failed test is what it is for")]

use serde_json::{Value, json};
use system_tests::{Plan, Stack, client};
use uuid::Uuid;

#[tokio::test]
async fn a_review_is_written_seen_and_withdrawn() {
    let stack = Stack::start(Plan::default()).await;
    let (product, user) = (Uuid::now_v7(), Uuid::now_v7());
    let review = |id: Uuid| json!({"id": id, "product_id": product, "user_id": user, "stars": 4, "text": "Burns well."});
    let list = format!("/v1/products/{product}/reviews");
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());

    let (status, answer) = post(&stack, "/v1/reviews", &review(first)).await;
    assert_eq!((status, &answer["version"]), (201, &json!(1)), "{answer}");
    let view = get(&stack, &format!("/v1/reviews/{first}?min_version=1")).await;
    assert_eq!((&view["stars"], &view["text"]), (&json!(4), &json!("Burns well.")), "{view}");
    assert_eq!(get(&stack, &list).await["items"][0]["id"], json!(first));

    // Once under an id; and what was withdrawn is not listed any more.
    let (status, problem) = post(&stack, "/v1/reviews", &review(first)).await;
    assert_eq!((status, &problem["rule"]), (409, &json!("AlreadyWritten")), "{problem}");
    let (status, answer) = post(&stack, &format!("/v1/reviews/{first}/withdraw"), &json!({"reason": "rude"})).await;
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "{answer}");
    assert!(get(&stack, &format!("/v1/reviews/{first}?min_version=2")).await["withdrawn_at"].is_string());
    assert_eq!(get(&stack, &list).await["items"], json!([]));
    let (status, answer) = post(&stack, "/v1/reviews", &review(second)).await;
    assert_eq!(status, 201, "{answer}");

    // What the chassis gives to every context: streams of commands, history, time travel.
    let lines = json!({"command": "withdraw-review", "id": second, "data": {"reason": "rude"}});
    let (status, answer) = post(&stack, "/v1/commands", &lines).await;
    assert_eq!((status, &answer["version"]), (200, &json!(2)), "{answer}");
    let asked = |path: String| stack.client().asking(&path).send();
    let history: Value = asked(format!("/v1/reviews/{second}/events")).await.unwrap().json().await.unwrap();
    assert_eq!(history["events"][1]["type"], "review.withdrawn.v1");
    let past: Value = asked(format!("/v1/reviews/{second}/state?version=1")).await.unwrap().json().await.unwrap();
    assert_eq!(past["state"]["status"], "published");
}

async fn post(stack: &Stack, path: &str, body: &Value) -> (u16, Value) {
    let media_type = if path == "/v1/commands" { "application/x-ndjson" } else { "application/json" };
    let request = reqwest::Client::new().post(format!("{}{path}", stack.commands[0].url())).bearer_auth(client::token());
    let answer = request.header("content-type", media_type).body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn get(stack: &Stack, path: &str) -> Value {
    let answer = stack.client().reading(path).header("prefer", "wait=20").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}
