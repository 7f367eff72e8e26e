//! Who gets in, and what nobody gets to do before that is settled.

use http::Method;
use service_kit::auth::{Principal, Role};
use service_kit::json::Json;
use service_kit::problem::Problem;
use service_kit::routes::Routes;

use crate::harness::{Service, next_text, token};

fn routes() -> Routes<()> {
    Routes::new()
        .route(Method::GET, "/me", &[Role::Customer], async |caller: Principal| caller.subject().to_owned())
        .route(Method::POST, "/staff", &[Role::Staff], async |Json(body): Json<serde_json::Value>| body.to_string())
        .route(Method::GET, "/panic", &[Role::Staff], async || -> String { panic!("the secret reason") })
        .route(Method::GET, "/broken", &[Role::Staff], async || Problem::internal("the secret reason"))
        .public(Method::GET, "/confused", async |caller: Principal| caller.subject().to_owned())
}

#[tokio::test]
async fn the_handler_gets_the_caller() {
    let service = Service::start(routes()).await;
    let response = service.get("/me").bearer_auth(token(&[Role::Customer])).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "me");
}

#[tokio::test]
async fn turns_away_before_the_body_is_read() {
    let service = Service::start(routes()).await;
    let customer = format!("authorization: Bearer {}\r\n", token(&[Role::Customer]));
    for (header, status) in [("", "401"), (&*customer, "403")] {
        // The body that is announced never comes.
        let head = format!("POST /staff HTTP/1.1\r\nhost: x\r\n{header}content-length: 1000\r\n\r\n");
        let answer = next_text(&mut service.raw(&head).await).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[tokio::test]
async fn a_401_is_a_problem_that_challenges() {
    let service = Service::start(routes()).await;
    let response = service.get("/me").bearer_auth("rubbish").send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["type"], "https://orderflow.dev/problems/unauthenticated");
    assert_eq!(body["detail"], "The token is malformed.");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_service_goes_on() {
    let service = Service::start(routes()).await;
    for path in ["/panic", "/broken", "/panic"] {
        let response = service.get(path).bearer_auth(token(&[Role::Staff])).send().await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(!response.text().await.unwrap().contains("secret reason"));
    }
    let response = service.get("/me").bearer_auth(token(&[Role::Customer])).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_public_route_that_wants_a_caller_has_none() {
    let service = Service::start(routes()).await;
    let response = service.get("/confused").bearer_auth(token(&Role::ALL)).send().await.unwrap();
    assert_eq!(response.status(), 401);
}
