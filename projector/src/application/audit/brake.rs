//! Too many divergences are no accident of single views: a command service of another store, an older projector that writes
//! beside this one. Then putting views right would do the harm.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Repairs of a process within [`WINDOW`], at most.
pub const MOST: u32 = 200;
/// See [`MOST`].
const WINDOW: Duration = Duration::from_secs(3_600);

/// Counts repairs, and says when there were enough.
#[derive(Debug, Default)]
pub struct Brake(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    begun: Instant,
    repairs: u32,
}

impl Brake {
    /// Whether one more view may be repaired at this time.
    pub fn admits(&self, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match &mut *window {
            Some(window) if now.duration_since(window.begun) < WINDOW => window,
            expired => expired.insert(Window { begun: now, repairs: 0 }),
        };
        window.repairs = window.repairs.saturating_add(1);
        if window.repairs == MOST + 1 {
            tracing::error!(
                repaired = MOST,
                "too many views differ from the event store: none is repaired any more for an hour. See orderctl verify, and \
                 whether COMMAND_SERVICE_URL names the right command service"
            );
        }
        window.repairs <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_an_hour_and_not_one_more() {
        let (brake, start) = (Brake::default(), Instant::now());
        assert!((0..MOST).all(|_| brake.admits(start)));
        assert!(!brake.admits(start + WINDOW / 2));
        assert!(brake.admits(start + WINDOW));
    }
}
