use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use tower::ServiceExt;

use super::*;
use crate::config::Secret;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn routes() -> Routes<&'static str> {
    use axum::extract::State;
    async fn state(State(state): State<&'static str>) -> &'static str {
        state
    }
    Routes::new()
        .public(Method::GET, "/open", state)
        .route(Method::GET, "/things/{id}", &[Role::Customer, Role::Staff], state)
        .route(Method::POST, "/things/{id}", &[Role::Staff], state)
        .merge(Routes::new().route(Method::POST, "/internal", &[Role::Service], state))
        .route(Method::DELETE, "/closed", &[], state)
}

fn router() -> Router {
    routes().into_router("state", Arc::new(Verifier::new(&Secret::new(SECRET))))
}

async fn ask(router: &Router, method: &Method, path: &str, roles: Option<&[Role]>) -> Response {
    let mut request = Request::builder().method(method).uri(path.replace("{id}", "1"));
    if let Some(roles) = roles {
        let ttl = std::time::Duration::from_secs(60);
        let token = crate::auth::mint(&Secret::new(SECRET), "me", roles, ttl).unwrap();
        request = request.header("authorization", format!("Bearer {token}"));
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn every_endpoint_admits_its_roles_and_nobody_else() {
    let router = router();
    for Endpoint { method, path, roles } in routes().table() {
        for role in Role::ALL {
            let status = ask(&router, method, path, Some(&[role])).await.status();
            let admitted =
                roles.is_none_or(|roles| roles.contains(&role) || (role == Role::Admin && roles.contains(&Role::Staff)));
            let expected = if admitted { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(status, expected, "{method} {path} as {role:?}");
        }
        let anonymous = ask(&router, method, path, None).await.status();
        let expected = if roles.is_none() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(anonymous, expected, "{method} {path} without a token");
        let powerless = ask(&router, method, path, Some(&[])).await.status();
        let expected = if roles.is_none() { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(powerless, expected, "{method} {path} without a role");
    }
}

#[test]
fn the_table_has_every_row() {
    let routes = routes();
    let rows: Vec<_> = routes.table().map(|row| (row.method.as_str(), row.path, row.roles)).collect();
    assert_eq!(
        rows,
        [
            ("GET", "/open", None),
            ("GET", "/things/{id}", Some(&[Role::Customer, Role::Staff][..])),
            ("POST", "/things/{id}", Some(&[Role::Staff])),
            ("POST", "/internal", Some(&[Role::Service])),
            ("DELETE", "/closed", Some(&[])),
        ]
    );
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_a_wrong_method_a_405_that_says_which() {
    let missing = ask(&router(), &Method::GET, "/nothing", None).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.headers()["content-type"], "application/problem+json");
    let wrong = ask(&router(), &Method::DELETE, "/things/1", None).await;
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.headers()["content-type"], "application/problem+json");
    assert_eq!(wrong.headers()["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn head_is_guarded_as_get_is() {
    let router = router();
    assert_eq!(ask(&router, &Method::HEAD, "/things/1", None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&router, &Method::HEAD, "/things/1", Some(&[Role::Customer])).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_one_bearer_token_is_taken_in_any_case_of_the_scheme() {
    let token = crate::auth::mint(&Secret::new(SECRET), "me", &[Role::Staff], std::time::Duration::from_secs(60)).unwrap();
    let router = router();
    for (values, status) in [
        (vec![format!("bearer {token}")], 200),
        (vec![format!("BEARER {token}")], 200),
        (vec![format!("Basic {token}")], 401),
        (vec![token.clone()], 401),
        (vec![String::new()], 401),
        (vec!["Bearer ".to_owned()], 401),
        (vec![format!("Bearer {token}"), format!("Bearer {token}")], 401),
    ] {
        let mut request = Request::builder().uri("/things/1");
        for value in &values {
            request = request.header("authorization", value);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{values:?}");
    }
}

#[test]
#[should_panic(expected = "Overlapping method route")]
fn two_handlers_for_one_endpoint_are_found_at_start_up() {
    let verifier = Arc::new(Verifier::new(&Secret::new(SECRET)));
    drop(routes().public(Method::GET, "/open", async || ()).into_router("state", verifier));
}
