use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn health() -> Health {
    Health::new(CancellationToken::new())
}

#[tokio::test]
async fn is_ready_when_every_check_passes() {
    let health = health().check("postgres", || async { Ok(()) });
    let report = health.report().await;
    assert_eq!((report.status, report.checks["postgres"].status), ("ready", "ok"));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["checks"]["postgres"]["latency_ms"].is_number());
    assert!(json["checks"]["postgres"].get("detail").is_none());
}

#[tokio::test]
async fn one_failed_check_makes_it_not_ready_and_says_why() {
    let health = health().check("postgres", || async { Ok(()) }).check("kafka", || async { Err("no broker".to_owned()) });
    let report = health.report().await;
    assert_eq!(report.status, "not-ready");
    assert_eq!(report.checks["kafka"].detail.as_deref(), Some("no broker"));
    assert_eq!(report.checks["postgres"].status, "ok");
}

#[tokio::test]
async fn a_check_that_hangs_has_failed() {
    let health = health().check("redis", std::future::pending);
    let report = health.report().await;
    assert_eq!(report.checks["redis"].detail.as_deref(), Some("no answer within 2 s"));
}

#[tokio::test]
async fn checks_run_at_the_same_time() {
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    };
    let health = health().check("a", slow).check("b", slow).check("c", slow);
    let started = Instant::now();
    assert_eq!(health.report().await.status, "ready");
    assert!(started.elapsed() < Duration::from_millis(600));
}

#[tokio::test]
async fn a_flood_of_questions_asks_the_dependency_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let health = health().check("postgres", move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    });
    join_all((0..100).map(|_| health.report())).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::sleep(REPORT_AGE).await;
    health.report().await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_state_is_failed_until_told() {
    let health = health();
    let census = health.state("census");
    assert_eq!(health.run().await.checks["census"].detail.as_deref(), Some("starting"));
    census.set_ok();
    assert_eq!(health.run().await.status, "ready");
    census.set_failed("order.placed.v9 cannot be read");
    assert_eq!(health.run().await.checks["census"].detail.as_deref(), Some("order.placed.v9 cannot be read"));
}

#[tokio::test]
async fn is_not_ready_at_once_when_shutdown_begins() {
    let stopping = CancellationToken::new();
    let health = Health::new(stopping.clone()).check("postgres", || async { Ok(()) });
    assert_eq!(health.report().await.status, "ready");
    stopping.cancel();
    let report = health.report().await;
    assert_eq!((report.status, report.checks["shutdown"].status), ("not-ready", "failed"));
}

#[tokio::test]
async fn what_is_late_is_shown_and_no_reason_to_send_requests_elsewhere() {
    let health = Health::new(CancellationToken::new());
    let relay = health.state("relay");
    relay.set_degraded("Kafka is away");
    let report = health.run().await;
    assert!(report.is_ready());
    let check = &report.checks["relay"];
    assert_eq!((report.status, check.status, check.detail.as_deref()), ("ready", "degraded", Some("Kafka is away")));
}
