//! Who may ask what.

use query_service::inbound::http;
use service_kit::auth::Role;

use crate::harness::{
    Shop, customer,
    samples::{id, order, payment, user},
    staff, token,
};

/// The customer of these tests; the id in every path is theirs.
const ME: u128 = 7;

/// The expected status of an endpoint by role: customer, staff, service, admin.
fn expected(path: &str) -> [u16; 4] {
    match path {
        // The sample data has the customer's own order under the customer's own id.
        "/v1/orders/{id}" | "/v1/orders" | "/v1/users/{id}/orders" | "/v1/users/{id}" | "/v1/products" => [200; 4],
        "/v1/orders/{id}/updates" | "/v1/orders/{id}/payments" | "/v1/payments/{id}" => [200; 4],
        "/v1/updates" => [403, 200, 200, 200],
        "/v1/products/{id}" => [404; 4],
        "/v1/users" => [403, 400, 400, 400],
        "/v1/stats" | "/v1/services" => [403, 200, 200, 200],
        other => panic!("{other}: say here who may use it"),
    }
}

#[tokio::test]
async fn every_endpoint_admits_its_roles_and_nobody_else() {
    let shop = Shop::open().await;
    shop.put_order(&order(ME, Some(ME))).await;
    shop.put_user(&user(ME, "me@example.org")).await;
    shop.put_payment(&payment(ME, ME, Some(ME))).await;
    for endpoint in http::routes().table() {
        let path = endpoint.path.replace("{id}", &id(ME).to_string());
        assert_eq!(endpoint.method, "GET");
        assert!(endpoint.roles.is_some(), "{path} is public");
        for (role, status) in Role::ALL.into_iter().zip(expected(endpoint.path)) {
            let answer = shop.get(&path, &token(&id(ME).to_string(), role)).await;
            assert_eq!(answer.status, status, "{path} as {role:?}: {answer:?}");
        }
        assert_eq!(shop.get(&path, "").await.status, 401, "{path} without a token");
        assert_eq!(shop.get(&path, "nonsense").await.status, 401, "{path} with a bad token");
    }
}

#[tokio::test]
async fn what_is_not_a_customers_own_is_as_good_as_missing() {
    let shop = Shop::open().await;
    shop.put_order(&order(1, Some(ME))).await;
    shop.put_order(&order(2, Some(8))).await;
    shop.put_order(&order(3, None)).await;
    shop.put_user(&user(8, "other@example.org")).await;
    for (number, owner) in [(1, Some(ME)), (2, Some(8)), (3, None)] {
        shop.put_payment(&payment(number, number, owner)).await;
    }
    let me = customer(id(ME));
    let missing = shop.get(&format!("/v1/orders/{}", id(99)), &me).await;
    assert_eq!(missing.status, 404);
    for own in ["orders", "payments"] {
        assert_eq!(shop.get(&format!("/v1/{own}/{}", id(1)), &me).await.status, 200);
    }
    assert_eq!(shop.get(&format!("/v1/orders/{}/payments", id(1)), &me).await.status, 200);
    for path in [
        format!("/v1/orders/{}", id(2)),
        format!("/v1/orders/{}", id(3)),
        format!("/v1/orders/{}/updates", id(2)),
        format!("/v1/orders/{}/updates", id(3)),
        format!("/v1/orders/{}/payments", id(2)),
        format!("/v1/orders/{}/payments", id(3)),
        format!("/v1/payments/{}", id(2)),
        format!("/v1/payments/{}", id(3)),
        format!("/v1/users/{}", id(8)),
        format!("/v1/users/{}/orders", id(8)),
        format!("/v1/orders?user={}", id(8)),
    ] {
        let answer = shop.get(&path, &me).await;
        assert_eq!((answer.status, &answer.body), (404, &missing.body), "{path}");
        assert_eq!(shop.get(&path, &staff()).await.status, 200, "{path} as staff");
    }
    // Asking for a version tells no more: another's order is waited for like one that does not exist.
    let versions = |number| format!("/v1/orders/{}?min_version=1", id(number));
    let (other, missing) = (shop.get(&versions(2), &me).await, shop.get(&versions(99), &me).await);
    assert_eq!((other.status, &other.body), (504, &missing.body));
}

#[tokio::test]
async fn a_customers_list_is_their_own() {
    let shop = Shop::open().await;
    shop.put_order(&order(1, Some(ME))).await;
    shop.put_order(&order(2, Some(8))).await;
    let own = shop.get("/v1/orders", &customer(id(ME))).await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(own["items"][0]["id"], id(1).to_string());
    assert_eq!(shop.get("/v1/orders", &token("no user's id", Role::Customer)).await.status, 404);
}
