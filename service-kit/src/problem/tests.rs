use super::*;

#[test]
fn every_constructor_has_its_status_and_slug() {
    let table = [
        (Problem::invalid_request(""), 400, "invalid-request"),
        (Problem::invalid_field("/a", "b"), 400, "invalid-request"),
        (Problem::invalid_parameter("a", "b"), 400, "invalid-request"),
        (Problem::unauthenticated(""), 401, "unauthenticated"),
        (Problem::forbidden(""), 403, "forbidden"),
        (Problem::not_found(""), 404, "not-found"),
        (Problem::method_not_allowed(""), 405, "method-not-allowed"),
        (Problem::request_timeout(""), 408, "request-timeout"),
        (Problem::already_exists(""), 409, "already-exists"),
        (Problem::email_taken(""), 409, "email-taken"),
        (Problem::sku_taken(""), 409, "sku-taken"),
        (Problem::rule_conflict("R", ""), 409, "rule-violated"),
        (Problem::precondition_failed(""), 412, "precondition-failed"),
        (Problem::body_too_large(1), 413, "body-too-large"),
        (Problem::unsupported_media_type("a/b"), 415, "unsupported-media-type"),
        (Problem::rule_violated("R", ""), 422, "rule-violated"),
        (Problem::idempotency_key_reused(""), 422, "idempotency-key-reused"),
        (Problem::internal(""), 500, "internal"),
        (Problem::overloaded("", 2), 503, "overloaded"),
        (Problem::unavailable("", ""), 503, "unavailable"),
    ];
    for (problem, status, slug) in table {
        assert_eq!((problem.status().as_u16(), problem.slug()), (status, slug));
        let body = problem.to_value();
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("https://orderflow.dev/problems/{slug}"));
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{slug}");
    }
}

#[test]
fn a_rule_is_named_in_a_member() {
    assert_eq!(Problem::rule_conflict("AlreadyShipped", "It left.").to_value()["rule"], "AlreadyShipped");
    assert_eq!(Problem::rule_violated("InsufficientStock", "3 left.").to_value()["rule"], "InsufficientStock");
}

#[test]
fn members_cannot_replace_the_standard_ones() {
    let body = Problem::not_found("gone").with_member("status", 200).with_member("version", 3).to_value();
    assert_eq!(body["status"], 404);
    assert_eq!(body["version"], 3);
}

#[test]
fn errors_are_a_list_of_pointers() {
    let body = Problem::invalid_field("/lines/0", "too many").with_error("/name", "too long").to_value();
    assert_eq!(
        body["errors"],
        json!([{"pointer": "/lines/0", "detail": "too many"}, {"pointer": "/name", "detail": "too long"}])
    );
}

#[test]
fn the_cause_is_kept_for_the_log_and_never_sent() {
    let problem = Problem::unavailable("The store does not answer.", "connection to 10.1.2.3 refused");
    assert_eq!(problem.cause(), Some("connection to 10.1.2.3 refused"));
    assert!(!problem.to_value().to_string().contains("10.1.2.3"));
    let response = problem.into_response();
    assert_eq!(response.extensions().get::<Cause>().unwrap().0, "connection to 10.1.2.3 refused");
}

#[test]
fn the_response_has_the_media_type_and_says_when_to_come_back() {
    let response = Problem::overloaded("The mailbox is full.", 2).into_response();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(Problem::overloaded("", 2).to_value()["retry_after"], 2);
}

#[test]
fn a_401_challenges() {
    assert_eq!(Problem::unauthenticated("").into_response().headers()["www-authenticate"], "Bearer");
}

#[test]
fn stays_small_in_a_result() {
    assert_eq!(size_of::<Problem>(), size_of::<usize>());
}

#[test]
fn what_the_caller_wrote_comes_back_shortened() {
    let problem = Problem::invalid_field(format!("/{}", "ä".repeat(1 << 20)), format!("unknown field `{}`", "x".repeat(1 << 20)));
    let text = problem.to_value().to_string();
    assert!(text.len() < 3 * MAX_QUOTED, "{} bytes", text.len());
    assert!(text.contains("/ää") && text.contains('…'));
}
