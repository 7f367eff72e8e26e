use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;

use super::*;

const POLICY: Policy = Policy {
    backoff: Backoff { first: Duration::from_millis(1), most: Duration::from_millis(4) },
    limit: 3,
    window: Duration::from_secs(300),
};

/// A child that panics so many times, then waits for its end.
fn dies(times: usize) -> (Start, Arc<AtomicUsize>) {
    let starts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&starts);
    let start: Start = Arc::new(move |stop: CancellationToken| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(number >= times, "as planned");
            stop.cancelled().await;
        }
        .boxed()
    });
    (start, starts)
}

async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("in time");
}

#[tokio::test]
async fn a_child_that_panics_is_started_again_and_its_neighbour_is_not() {
    let (dying, stop) = (Dying::default(), CancellationToken::new());
    let (bad, bad_starts) = dies(2);
    let (good, good_starts) = dies(0);
    let children = [
        tokio::spawn(keep(Mailbox::Email, bad, POLICY, dying.clone(), stop.clone())),
        tokio::spawn(keep(Mailbox::Sms, good, POLICY, dying.clone(), stop.clone())),
    ];
    until(|| bad_starts.load(Ordering::SeqCst) == 3 && good_starts.load(Ordering::SeqCst) == 1).await;
    assert_eq!(dying.check(), Ok(()));
    stop.cancel();
    for child in children {
        child.await.unwrap();
    }
    assert_eq!((bad_starts.load(Ordering::SeqCst), good_starts.load(Ordering::SeqCst)), (3, 1));
}

#[tokio::test]
async fn one_that_keeps_dying_is_reported() {
    let (dying, stop) = (Dying::default(), CancellationToken::new());
    let (bad, _) = dies(usize::MAX);
    let child = tokio::spawn(keep(Mailbox::Email, bad, POLICY, dying.clone(), stop.clone()));
    until(|| dying.check().is_err()).await;
    assert!(dying.check().unwrap_err().contains("email (4 times"), "{:?}", dying.check());
    stop.cancel();
    child.await.unwrap();
}

#[tokio::test]
async fn the_report_is_taken_back_when_it_lives() {
    let (dying, stop) = (Dying::default(), CancellationToken::new());
    let (recovering, starts) = dies(4);
    // A window that four deaths fit into, and that passes while the test waits.
    let policy = Policy { window: Duration::from_secs(1), ..POLICY };
    let child = tokio::spawn(keep(Mailbox::Email, recovering, policy, dying.clone(), stop.clone()));
    until(|| starts.load(Ordering::SeqCst) == 5).await;
    until(|| dying.check().is_ok()).await;
    stop.cancel();
    child.await.unwrap();
}

#[tokio::test]
async fn one_that_has_finished_is_not_started_again() {
    let (dying, stop) = (Dying::default(), CancellationToken::new());
    let start: Start = Arc::new(|_| async {}.boxed());
    keep(Mailbox::Email, start, POLICY, dying.clone(), stop).await;
    assert_eq!(dying.check(), Ok(()));
}
