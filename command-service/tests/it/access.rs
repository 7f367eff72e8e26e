//! Who may do what: every endpoint by every role, and customers with what is theirs and what is not.

use std::collections::BTreeMap;

use command_service::inbound::http;
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::{
    auth::Role::{self, Admin, Customer, Service, Staff},
    health::Health,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use uuid::Uuid;

use crate::harness::{Answer, Database, Instance, Launch, customer, id, product_body, service, staff, token, user_body};

const EVERYONE: &[Role] = &[];
const ALL: &[Role] = &[Customer, Staff, Service, Admin];
const SHOP: &[Role] = &[Staff, Service, Admin];
/// Those who talk to payment providers, and those who put right what they left open.
const RECORDERS: &[Role] = &[Service, Admin];

/// Who gets past the door of each endpoint. A route that is not here fails the test below.
const TABLE: [(&str, &str, &[Role]); 51] = [
    ("POST", "/v1/users", ALL),
    ("PATCH", "/v1/users/{id}", ALL),
    ("PUT", "/v1/users/{id}/payment-method", ALL),
    ("POST", "/v1/users/{id}/deactivate", ALL),
    ("POST", "/v1/products", SHOP),
    ("PATCH", "/v1/products/{id}", SHOP),
    ("POST", "/v1/products/{id}/stock-adjustments", SHOP),
    ("POST", "/v1/products/{id}/discontinue", SHOP),
    ("POST", "/v1/products/{id}/reservations", &[Service]),
    ("POST", "/v1/products/{id}/reservations/{reservation}/release", &[Service]),
    ("POST", "/v1/products/{id}/reservations/{reservation}/commit", &[Service]),
    ("POST", "/v1/orders", ALL),
    ("POST", "/v1/orders/{id}/confirm", SHOP),
    ("POST", "/v1/orders/{id}/cancel", ALL),
    ("POST", "/v1/orders/{id}/ship", SHOP),
    ("POST", "/v1/orders/{id}/deliver", SHOP),
    ("POST", "/v1/orders/{id}/returns", SHOP),
    ("POST", "/v1/payments", RECORDERS),
    ("POST", "/v1/payments/{id}/authorise", RECORDERS),
    ("POST", "/v1/payments/{id}/decline", RECORDERS),
    ("POST", "/v1/payments/{id}/expire", RECORDERS),
    ("POST", "/v1/payments/{id}/captures", RECORDERS),
    ("POST", "/v1/payments/{id}/captures/{capture}/confirm", RECORDERS),
    ("POST", "/v1/payments/{id}/captures/{capture}/fail", RECORDERS),
    ("POST", "/v1/payments/{id}/voids", RECORDERS),
    ("POST", "/v1/payments/{id}/voids/{void}/confirm", RECORDERS),
    ("POST", "/v1/payments/{id}/voids/{void}/fail", RECORDERS),
    ("POST", "/v1/payments/{id}/refunds", RECORDERS),
    ("POST", "/v1/payments/{id}/refunds/{refund}/confirm", RECORDERS),
    ("POST", "/v1/payments/{id}/refunds/{refund}/fail", RECORDERS),
    ("POST", "/v1/commands", SHOP),
    ("GET", "/v1/users/{id}/events", ALL),
    ("GET", "/v1/users/{id}/state", ALL),
    ("GET", "/v1/products/{id}/events", SHOP),
    ("GET", "/v1/products/{id}/state", SHOP),
    ("GET", "/v1/orders/{id}/events", ALL),
    ("GET", "/v1/orders/{id}/state", ALL),
    ("GET", "/v1/payments/{id}/events", ALL),
    ("GET", "/v1/payments/{id}/state", ALL),
    ("GET", "/v1/feed", &[Service]),
    ("GET", "/v1/lanes", &[Service]),
    ("POST", "/v1/personal-keys", &[Service]),
    ("POST", "/v1/quotes", &[Service]),
    ("POST", "/v1/payers", &[Service]),
    ("GET", "/health", EVERYONE),
    ("GET", "/ready", EVERYONE),
    ("GET", "/metrics", EVERYONE),
    ("GET", "/admin/log-level", &[Service, Admin]),
    ("PUT", "/admin/log-level", &[Service, Admin]),
    ("GET", "/openapi.json", EVERYONE),
    ("GET", "/docs", EVERYONE),
];

async fn shop() -> (Database, Instance) {
    let database = Database::create().await;
    let instance = Launch::new(&database.url).start().await;
    (database, instance)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_lets_in_its_roles_and_nobody_else() {
    let (_database, shop) = shop().await;
    let mut expected: BTreeMap<_, _> = TABLE.into_iter().map(|(method, path, roles)| ((method, path), roles)).collect();
    let health = Health::new(Shutdown::manual(std::time::Duration::from_secs(1)).token());
    let routes = http::routes().operations(&health, &Metrics::install().unwrap()).documented(&http::ABOUT);
    for endpoint in routes.table() {
        let (method, path) = (endpoint.method.as_str(), endpoint.path);
        let roles = expected.remove(&(method, path)).unwrap_or_else(|| panic!("{method} {path} is not in the table"));
        let parts = ["{reservation}", "{capture}", "{void}", "{refund}"];
        let url = path.replace("{id}", &id(1).to_string());
        let url = parts.into_iter().fold(url, |url, part| url.replace(part, &id(2).to_string()));
        let call = async |token: &str| {
            let request = shop.request(Method::from_bytes(method.as_bytes()).unwrap(), &url, token);
            // What it says is refused, if anybody comes so far.
            Answer::to(request.header("content-type", "application/json").body("{\"nonsense\": 1}")).await.status
        };
        if roles == EVERYONE {
            assert_eq!((call("").await, endpoint.roles), (200, None), "{method} {path}");
            continue;
        }
        assert_eq!(call("").await, 401, "{method} {path} without a token");
        assert_eq!(call(&token("x", &[])).await, 403, "{method} {path} without a role");
        for role in Role::ALL {
            let status = call(&token(&id(1).to_string(), &[role])).await;
            let let_in = matches!(status, 200 | 400 | 404 | 415 | 422);
            assert_eq!(let_in, roles.contains(&role), "{method} {path} as {role:?}: {status}");
            assert!(let_in || status == 403, "{method} {path} as {role:?}: {status}");
        }
    }
    assert!(expected.is_empty(), "not there: {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_reach_what_is_theirs_and_do_not_learn_of_the_rest() {
    let (_database, shop) = shop().await;
    let (ann, bob) = (id(1), id(2));
    shop.post("/v1/products", &staff(), &product_body(id(3), "A")).await;
    let order = |number, user: Option<Uuid>| json!({ "id": id(number), "user_id": user, "lines": [{ "product_id": id(3), "quantity": 1 }] });
    for (user, number) in [(ann, 11), (bob, 12)] {
        let own = json!({ "name": "A", "email": format!("{user}@example.org") });
        assert_eq!(shop.post("/v1/users", &customer(user), &own).await.status, 201);
        assert_eq!(shop.post("/v1/orders", &customer(user), &order(number, None)).await.status, 201);
    }
    assert_eq!(shop.post("/v1/orders", &staff(), &order(13, None)).await.status, 201);
    let ann = customer(ann);
    let owns = async |own: bool, user: Uuid, order: Uuid| {
        let get = async |path: String| shop.get(&path, &ann).await.status;
        let post = async |path: String, body: Value| shop.post(&path, &ann, &body).await.status;
        let patch = shop.request(Method::PATCH, &format!("/v1/users/{user}"), &ann).json(&json!({ "name": "B" }));
        let found = if own { 200 } else { 404 };
        assert_eq!(Answer::to(patch).await.status, found);
        for part in ["events", "state"] {
            assert_eq!(get(format!("/v1/users/{user}/{part}")).await, found);
            assert_eq!(get(format!("/v1/orders/{order}/{part}")).await, found);
        }
        assert_eq!(post(format!("/v1/orders/{order}/cancel"), json!({ "reason": "no" })).await, found);
    };
    owns(true, id(1), id(11)).await;
    owns(false, id(2), id(12)).await;
    // A guest's, and one that does not exist.
    owns(false, id(9), id(13)).await;
    owns(false, id(9), id(99)).await;
    let deactivate = |user| format!("/v1/users/{user}/deactivate");
    assert_eq!(shop.post(&deactivate(id(2)), &ann, &json!({})).await.status, 404);
    assert_eq!(shop.post("/v1/orders", &ann, &order(14, Some(id(2)))).await.status, 404);
    assert_eq!(shop.post(&deactivate(id(1)), &ann, &json!({})).await.status, 200);
    // Others' were not touched by any of this.
    let bob = shop.get(&format!("/v1/users/{}/state", id(2)), &customer(id(2))).await.json();
    assert_eq!((bob["version"].as_u64(), bob["state"]["status"].as_str()), (Some(1), Some("active")));
    let state = shop.get(&format!("/v1/orders/{}/state", id(12)), &staff()).await.json();
    assert_eq!(state["version"], 1, "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_stream_is_authorised_as_its_endpoint() {
    let (_database, shop) = shop().await;
    let reserve = json!({ "command": "reserve-stock", "id": id(3),
        "data": { "reservation_id": id(4), "order_id": id(5), "quantity": 1 } });
    let lines = [json!({ "command": "create-product", "data": product_body(id(3), "A") }), reserve.clone()];
    let answers = shop.commands(&staff(), &lines).await;
    assert_eq!((&answers[0]["status"], &answers[1]["status"]), (&json!(201), &json!(403)), "{answers:?}");
    // Let in, and refused by a rule.
    let answers = shop.commands(&service(), &[reserve]).await;
    assert_eq!(answers[0]["problem"]["rule"], "InsufficientStock", "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_staff_and_services_say_when_something_happened() {
    let (_database, shop) = shop().await;
    let past = "2011-01-04T10:00:00Z";
    let mut body = user_body(id(1), "ann@example.org");
    body["occurred_at"] = past.into();
    assert_eq!(shop.post("/v1/users", &customer(id(1)), &body).await.status, 403);
    body["occurred_at"] = "2126-01-01T00:00:00Z".into();
    let refused = shop.post("/v1/users", &staff(), &body).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (400, &json!("/occurred_at")));
    body["occurred_at"] = past.into();
    assert_eq!(shop.post("/v1/users", &service(), &body).await.status, 201);
    let page = shop.get(&format!("/v1/users/{}/events", id(1)), &staff()).await.json();
    let event = &page["events"][0];
    assert_eq!(event["occurred_at"], past, "{page}");
    assert_ne!(event["recorded_at"], past, "{page}");
}
