//! Waiting for what has to come true.

use std::time::Duration;

use tokio::time::Instant;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until `look` gives something.
///
/// # Panics
///
/// When it has not within `bound`; `what` says what was waited for.
pub async fn until<T>(what: &str, bound: Duration, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_every(LOOK, what, bound, look).await
}

/// The same, with another pause between two looks: for costly ones.
///
/// # Panics
///
/// As [`until`].
pub async fn until_every<T>(pause: Duration, what: &str, bound: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {bound:?} in vain for this: {what}");
        tokio::time::sleep(pause).await;
    }
}
