//! Where tests kill the process, by `FAILPOINTS=projector::before-apply=3*off->return`; without the feature `failpoints` nothing.

use std::time::Duration;

use events::StreamId;

/// A chunk is folded, its dead letters are sent, and nothing is written yet.
pub(crate) fn before_apply() {
    fail::fail_point!("projector::before-apply", |_| die());
}

/// A chunk is written, and the process does not know it yet.
pub(crate) fn after_apply() {
    fail::fail_point!("projector::after-apply", |_| die());
}

/// An event is about to be folded: `projector::fold=return(STREAM/VERSION)` kills the process at that one.
pub(crate) fn fold(stream: StreamId, version: u64) {
    let _ = (stream, version);
    fail::fail_point!("projector::fold", |event| {
        if event.is_some_and(|event| event == format!("{stream}/{version}")) {
            die();
        }
    });
}

/// How long a worker that is not beside another takes for a chunk at least: `projector::slow-first=return(MILLISECONDS)`.
pub(crate) fn slow_first() -> Option<Duration> {
    fail::fail_point!("projector::slow-first", |millis| Some(Duration::from_millis(millis?.parse().ok()?)));
    None
}

/// How long a worker whose slot is empty waits once the pointers are there: `projector::slow-begin=return(MILLISECONDS)`.
pub(crate) fn slow_begin() -> Option<Duration> {
    fail::fail_point!("projector::slow-begin", |millis| {
        tracing::info!("held up before the slot is begun");
        Some(Duration::from_millis(millis?.parse().ok()?))
    });
    None
}

/// The process has given partitions up, and the group waits for it to join again so that others get them.
pub(crate) fn after_revoke() {
    fail::fail_point!("projector::after-revoke", |_| die());
}

/// Ends as `kill -9` does.
#[cfg(feature = "failpoints")]
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
