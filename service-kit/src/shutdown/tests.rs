use std::future::pending;
use std::sync::Mutex;

use super::*;

/// `ExitCode` has no equality, but its `Debug` tells the codes apart.
fn is_success(code: ExitCode) -> bool {
    format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS)
}

#[tokio::test]
async fn parts_stop_in_the_order_of_their_steps() {
    let order = Mutex::new(Vec::new());
    let stop = async |part: &'static str, millis| {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        order.lock().unwrap().push(part);
    };
    let shutdown = Shutdown::manual(Duration::from_secs(10));
    shutdown.begin();
    let mut drain = shutdown.begun().await;
    drain.step("http", stop("http", 50)).await;
    drain.step("writers", stop("writers", 10)).await;
    assert_eq!(*order.lock().unwrap(), ["http", "writers"]);
    assert!(drain.remaining() < Duration::from_millis(9_950));
    assert!(is_success(drain.finish()));
}

#[tokio::test]
async fn a_part_that_hangs_is_abandoned_at_the_bound_and_told() {
    const BOUND: Duration = Duration::from_millis(200);
    let shutdown = Shutdown::manual(BOUND);
    shutdown.begin();
    let started = Instant::now();
    let mut drain = shutdown.begun().await;
    assert!(drain.step("http", pending::<()>()).await.is_none());
    assert!((BOUND..BOUND * 4).contains(&started.elapsed()));
    // What needs no time still gets its turn; what does, gets none.
    assert_eq!(drain.step("flush", async { 7 }).await, Some(7));
    assert!(drain.step("relay", pending::<()>()).await.is_none());
    assert!((BOUND..BOUND * 4).contains(&started.elapsed()));
    assert!(!is_success(drain.finish()));
}

#[tokio::test]
async fn a_failed_part_begins_the_shutdown_and_fails_the_process() {
    let shutdown = Shutdown::manual(Duration::from_secs(10));
    shutdown.fail("relay", "fenced");
    assert!(shutdown.token().is_cancelled());
    assert!(!is_success(shutdown.begun().await.finish()));
}

#[tokio::test]
async fn waits_until_it_is_told() {
    let shutdown = Shutdown::manual(Duration::from_secs(10));
    let early = tokio::time::timeout(Duration::from_millis(20), shutdown.begun()).await;
    assert!(early.is_err());
}

#[tokio::test]
async fn a_start_goes_on_until_it_is_up_or_no_longer_wanted() {
    let shutdown = Shutdown::manual(Duration::from_secs(10));
    assert_eq!(shutdown.unless_begun(async { 7 }).await, Some(7));
    let (starting, told) = tokio::join!(shutdown.unless_begun(pending::<()>()), async { shutdown.begin() });
    assert_eq!((starting, told), (None, ()));
    assert_eq!(shutdown.unless_begun(pending::<()>()).await, None);
}
