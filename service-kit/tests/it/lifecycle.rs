//! From binding to the last answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use service_kit::health::Health;
use service_kit::routes::Routes;
use service_kit::server::Server;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::Metrics;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::harness::{Service, config, next_text};

/// A route that says when it was entered and answers when it is released.
fn held(entered: &Arc<Notify>, release: &Arc<Notify>) -> Routes<()> {
    let (entered, release) = (Arc::clone(entered), Arc::clone(release));
    Routes::new().public(Method::GET, "/held", async move || {
        entered.notify_one();
        release.notified().await;
        "done"
    })
}

#[tokio::test]
async fn what_was_begun_is_finished_and_nothing_new_is_taken() {
    let (entered, release) = (Arc::default(), Arc::default());
    let mut service = Service::start(held(&entered, &release)).await;
    let request = tokio::spawn(service.get("/held").send());
    entered.notified().await;

    service.shutdown.begin();
    let mut drain = service.shutdown.begun().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(service.addr).await.is_err(), "a connection was taken after the beginning of the shutdown");

    release.notify_one();
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.text().await.unwrap(), "done");
    assert!(drain.step("http", service.serving.take().unwrap().finished()).await.is_some());
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_shutdown_up() {
    let routes = Routes::new().public(Method::GET, "/", async || "hello");
    let mut service = Service::start_with(routes, &[], Shutdown::manual(Duration::from_secs(60))).await;
    let mut idle = service.raw("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(next_text(&mut idle).await.ends_with("hello"));
    let silent = service.raw("").await;
    // So that the server has accepted the one that says nothing.
    service.get("/").send().await.unwrap();

    service.shutdown.begin();
    let mut drain = service.shutdown.begun().await;
    assert!(drain.step("http", service.serving.take().unwrap().finished()).await.is_some());
    assert_eq!(next_text(&mut idle).await, "");
    drop(silent);
}

#[tokio::test]
async fn a_handler_that_hangs_is_abandoned_at_the_bound() {
    const BOUND: Duration = Duration::from_millis(300);
    let (entered, release) = (Arc::default(), Arc::default());
    let mut service = Service::start_with(held(&entered, &release), &[], Shutdown::manual(BOUND)).await;
    let request = tokio::spawn(service.get("/held").send());
    entered.notified().await;

    service.shutdown.begin();
    let started = Instant::now();
    let mut drain = service.shutdown.begun().await;
    assert!(drain.step("http", service.serving.take().unwrap().finished()).await.is_none());
    assert!(started.elapsed() >= BOUND);
    request.abort();
}

#[tokio::test]
async fn with_a_delay_requests_are_answered_while_ready_says_no() {
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let health = Health::new(shutdown.token());
    let routes = Routes::new().operations(&health, &Metrics::install().unwrap());
    let mut service = Service::start_with(routes, &["--shutdown-delay", "1"], shutdown).await;
    assert_eq!(service.get("/ready").send().await.unwrap().status(), 200);
    service.shutdown.begin();
    let started = Instant::now();
    assert_eq!(service.get("/ready").send().await.unwrap().status(), 503);
    assert_eq!(service.get("/health").send().await.unwrap().status(), 200);
    service.serving.take().unwrap().finished().await;
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn keeps_connections_open_between_requests() {
    let service = Service::start(Routes::new().public(Method::GET, "/", async || "hello")).await;
    let mut stream = service.raw("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    for _ in 0..3 {
        assert!(next_text(&mut stream).await.ends_with("hello"));
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_sends_no_whole_head_is_closed() {
    let shutdown = Shutdown::manual(Duration::from_secs(5));
    let routes = Routes::new().public(Method::GET, "/", async || "hello");
    let service = Service::start_with(routes, &["--http-idle-timeout", "1"], shutdown).await;
    for text in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = service.raw(text).await;
        let answer = next_text(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{text:?}: {answer}");
    }
}

#[tokio::test]
async fn the_address_file_has_the_port_that_was_picked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("addr");
    let server = Server::bind(&config(&["--addr-file", path.to_str().unwrap()])).await.unwrap();
    assert_ne!(server.local_addr().port(), 0);
    assert_eq!(std::fs::read_to_string(path).unwrap(), server.local_addr().to_string());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside it");
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_the_setting() {
    let first = Server::bind(&config(&[])).await.unwrap();
    let addr = first.local_addr().to_string();
    let error = Server::bind(&config(&["--http-addr", &addr])).await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("HTTP_ADDR: cannot listen on {addr}")), "{error}");
}
