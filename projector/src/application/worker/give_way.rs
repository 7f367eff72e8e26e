//! What is done beside the first workers gives way to them: a build never makes what is read late.

use std::time::Duration;

use super::{Interrupted, Worker};
use crate::projections::Projection;

/// Events that a partition may be behind before work beside it stands still: what it does in a tenth of a second.
const LAG: i64 = 1_000;

/// How long work beside a partition that is behind stands still before it looks again.
const PAUSE: Duration = Duration::from_millis(50);

impl<P: Projection> Worker<P> {
    /// Beside the first workers: waits while one of them is behind, and says so.
    pub(super) async fn give_way(&mut self) -> Result<(), Interrupted> {
        let Some(first) = self.aside_of.clone().filter(|first| first.lag() > LAG) else { return Ok(()) };
        self.stood_still += 1;
        // Each time would be thousands of lines under a load that just about fills the first workers.
        if self.stood_still.is_power_of_two() {
            tracing::info!(
                parent: &self.span, generation = self.generation.number, lag = first.lag(), times = self.stood_still,
                "stands still: what is read is behind, and goes first"
            );
        }
        while first.lag() > LAG {
            self.meters.throttled.increment(1);
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.patience.stop().cancelled() => return Err(Interrupted::Stopped),
            }
        }
        Ok(())
    }
}
