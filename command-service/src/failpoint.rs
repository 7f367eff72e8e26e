//! Places where a test may kill the process. Without the feature `failpoints` they are nothing.

/// Kills the process, as `kill -9` would, when `FAILPOINTS` says `name=return` (or, for the n-th time it comes by,
/// `name=(n-1)*off->return`).
pub fn crash_point(name: &str) {
    let _ = name;
    fail::fail_point!(name, |_| {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    });
}
