//! What a service says of itself, and of routes that are on their way out.

use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use service_kit::{
    auth::Role,
    json::Json,
    openapi::{About, Answer, Operation, Schemas},
    routes::{Deprecation, Routes},
};

use crate::harness::{Service, token};

const ABOUT: About = About { title: "shop", description: "A shop.", version: "1.0.0", tags: &[("orders", "What was bought.")] };

#[derive(Deserialize, JsonSchema)]
struct Order {
    product: String,
}

fn buy(schemas: &mut Schemas) -> Operation {
    Operation::new("buy", "orders", "Buys.").body::<Order>(schemas).answer(200, Answer::text("text/plain", "The product."))
}

fn routes() -> Routes<()> {
    Routes::new()
        .route(Method::POST, "/v2/orders", &[Role::Customer], async |Json(order): Json<Order>| order.product)
        .described(buy)
        .route(Method::POST, "/v1/orders", &[Role::Customer], async |Json(order): Json<Order>| order.product)
        .deprecated(Deprecation::new((2026, 11, 1), (2027, 5, 31), "https://example.org/v2"))
        .documented(&ABOUT)
}

#[tokio::test]
async fn everyone_may_read_what_there_is() {
    let service = Service::start(routes()).await;
    let document = service.get("/openapi.json").send().await.unwrap();
    assert_eq!((document.status().as_u16(), &document.headers()["content-type"]), (200, &"application/json".parse().unwrap()));
    let document: Value = document.json().await.unwrap();
    assert_eq!(document, routes().document(&ABOUT));
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(paths, ["/docs", "/openapi.json", "/v2/orders"]);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let service = Service::start(routes()).await;
    let page = service.get("/docs").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; connect-src 'self';") && !policy.contains("http"), "{policy}");
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let page = page.text().await.unwrap();
    for elsewhere in ["http:", "https:", "//cdn", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_deprecated_route_says_so_in_each_answer() {
    let service = Service::start(routes()).await;
    let order = |path| service.post(path).header("content-type", "application/json").body("{\"product\": \"lamp\"}");
    let old = |path| order(path).bearer_auth(token(&[Role::Customer]));
    for (request, status) in [(old("/v1/orders"), 200), (old("/v1/orders").body("{}"), 400), (order("/v1/orders"), 401)] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        // 2026-11-01 and 2027-05-31, both at midnight.
        assert_eq!(answer.headers()["deprecation"], "@1793491200");
        assert_eq!(answer.headers()["sunset"], "Mon, 31 May 2027 00:00:00 GMT");
        assert_eq!(answer.headers()["link"], "<https://example.org/v2>; rel=\"deprecation\"; type=\"text/html\"");
    }
    let new = old("/v2/orders").send().await.unwrap();
    assert_eq!((new.status().as_u16(), new.headers().get("deprecation")), (200, None));
}
