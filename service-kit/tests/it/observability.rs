//! Request ids, traces, metrics and health.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use service_kit::auth::Role;
use service_kit::health::Health;
use service_kit::problem::Problem;
use service_kit::routes::Routes;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::Metrics;
use service_kit::trace::TraceContext;
use tokio::sync::Notify;

use crate::harness::Service;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn routes() -> Routes<()> {
    Routes::new().public(Method::GET, "/trace", async |trace: TraceContext| trace.to_string()).route(
        Method::GET,
        "/metered/{id}",
        &[Role::Staff],
        async || (),
    )
}

#[tokio::test]
async fn a_handler_continues_the_callers_trace() {
    let service = Service::start(routes()).await;
    let parent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    let answer = service.get("/trace").header("traceparent", &parent).send().await.unwrap().text().await.unwrap();
    assert!(answer.starts_with(&format!("00-{TRACE_ID}-")) && answer != parent, "{answer}");
}

#[tokio::test]
async fn every_answer_has_a_request_id_the_callers_own_if_it_is_a_plain_one() {
    let service = Service::start(routes()).await;
    let long = "x".repeat(129);
    for (given, kept) in
        [(Some("order-7/step-2"), true), (Some(""), false), (Some("a b"), false), (Some(&*long), false), (None, false)]
    {
        for path in ["/trace", "/metered/1", "/nowhere"] {
            let mut request = service.get(path);
            if let Some(given) = given {
                request = request.header("x-request-id", given);
            }
            let response = request.send().await.unwrap();
            let id = response.headers()["x-request-id"].to_str().unwrap();
            if kept {
                assert_eq!(Some(id), given);
            } else {
                assert_eq!(id.len(), 32, "{path}: {id}");
            }
        }
    }
}

#[tokio::test]
async fn requests_are_counted_by_their_route_and_never_by_their_path() {
    let metrics = Metrics::install().unwrap();
    let health = Health::new(Shutdown::manual(std::time::Duration::ZERO).token());
    // The recorder is the process's, so no other test may use this path.
    let counted = Routes::new().route(Method::GET, "/counted/{id}", &[Role::Staff], async || ());
    let service = Service::start(counted.operations(&health, &metrics)).await;
    for path in ["/counted/987656", "/counted/987657", "/no/such/987658"] {
        service.get(path).send().await.unwrap();
    }
    let response = service.get("/metrics").send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = response.text().await.unwrap();
    for line in [
        r#"orderflow_http_requests_total{method="GET",route="/counted/{id}",status="401"} 2"#,
        r#"orderflow_http_request_duration_seconds_bucket{method="GET",route="/counted/{id}",le="0.0005"}"#,
        r#"orderflow_http_request_duration_seconds_count{method="GET",route="/counted/{id}"} 2"#,
        r#"route="unmatched",status="404"}"#,
        "orderflow_http_connections ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!text.contains("98765"));
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_counted_and_logged() {
    let metrics = Metrics::install().unwrap();
    let (text, _guard) = captured();
    let entered = Arc::new(Notify::new());
    let noted = Arc::clone(&entered);
    let waiting = async move || {
        noted.notify_one();
        std::future::pending::<()>().await;
    };
    // The recorder is the process's, so no other test may use this path.
    let service = Service::start(Routes::new().public(Method::GET, "/never/{id}", waiting)).await;
    let client = service.raw("GET /never/1 HTTP/1.1\r\nhost: x\r\nx-request-id: id-9\r\n\r\n").await;
    entered.notified().await;
    drop(client);

    let deadline = Instant::now() + Duration::from_secs(60);
    while lines_with(&text, "request.id=\"id-9\"", "http.status=499") == 0 {
        assert!(Instant::now() < deadline, "nobody tells of it: {}", String::from_utf8_lossy(&text.lock().unwrap()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lines_with(&text, "request.id=\"id-9\"", ""), 1);
    let told = metrics.render();
    for line in [
        r#"orderflow_http_requests_total{method="GET",route="/never/{id}",status="499"} 1"#,
        r#"orderflow_http_request_duration_seconds_count{method="GET",route="/never/{id}"} 1"#,
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
}

/// Collects the log lines of the current thread.
fn captured() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let text = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&text);
    let logs = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::DEBUG);
    let logs = logs.with_writer(move || Lines(Arc::clone(&sink)));
    (text, tracing::subscriber::set_default(logs.finish()))
}

/// How many lines have both texts.
fn lines_with(text: &Mutex<Vec<u8>>, one: &str, other: &str) -> usize {
    let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
    text.lines().filter(|line| line.contains(one) && line.contains(other)).count()
}

#[tokio::test]
async fn what_went_wrong_inside_is_logged_once_under_the_request_id() {
    let (text, _guard) = captured();
    let routes = Routes::new().public(Method::GET, "/panic", async || -> String { panic!("the panic's reason") }).public(
        Method::GET,
        "/broken",
        async || Problem::internal("the bug's reason"),
    );
    let service = Service::start(routes).await;
    for (path, cause) in [("/panic", "the panic's reason"), ("/broken", "the bug's reason")] {
        service.get(path).header("x-request-id", "id-7").send().await.unwrap();
        assert_eq!(lines_with(&text, "request.id=\"id-7\"", cause), 1, "{path}");
    }
}

#[tokio::test]
async fn an_outage_is_logged_once_a_second_with_the_number_of_its_victims() {
    let (text, _guard) = captured();
    let failing = async || Problem::unavailable("The store does not answer.", "connection refused");
    let service = Service::start(Routes::new().public(Method::GET, "/down", failing)).await;
    for _ in 0..5 {
        service.get("/down").send().await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    service.get("/down").send().await.unwrap();
    assert_eq!(lines_with(&text, "connection refused", "WARN"), 2);
    assert_eq!(lines_with(&text, "connection refused", "unlogged=4"), 1);
}

#[tokio::test]
async fn ready_says_no_while_a_check_fails_and_health_stays_alive() {
    let works = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&works);
    let shutdown = Shutdown::manual(std::time::Duration::ZERO);
    let health = Health::new(shutdown.token()).check("redis", move || {
        let answer = if asked.load(Ordering::Relaxed) { Ok(()) } else { Err("connection refused".to_owned()) };
        std::future::ready(answer)
    });
    let service = Service::start(Routes::new().operations(&health, &Metrics::install().unwrap())).await;

    let ready = service.get("/ready").send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.headers()["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(ready.json::<Value>().await.unwrap()["status"], "ready");

    works.store(false, Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let ready = service.get("/ready").send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let body = ready.json::<Value>().await.unwrap();
    assert_eq!(body["status"], "not-ready");
    assert_eq!(
        (&body["checks"]["redis"]["status"], &body["checks"]["redis"]["detail"]),
        (&"failed".into(), &"connection refused".into())
    );

    let alive = service.get("/health").send().await.unwrap();
    assert_eq!(alive.status(), 200);
    assert_eq!(alive.text().await.unwrap(), r#"{"status":"ok"}"#);
}

#[test]
fn histograms_of_seconds_and_of_sizes_have_buckets_that_fit() {
    let metrics = Metrics::install().unwrap();
    metrics::histogram!("orderflow_test_size").record(30.0);
    metrics::histogram!("orderflow_test_seconds").record(0.03);
    let text = metrics.render();
    for line in [
        r#"orderflow_test_size_bucket{le="16"} 0"#,
        r#"orderflow_test_size_bucket{le="32"} 1"#,
        r#"orderflow_test_size_bucket{le="4096"} 1"#,
        r#"orderflow_test_seconds_bucket{le="0.02"} 0"#,
        r#"orderflow_test_seconds_bucket{le="0.03"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
