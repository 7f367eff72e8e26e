//! Trying again until it works: a transient fault is never a reason to skip an event.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{starts::InHand, status::PartitionStatus};

/// The first pause.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause: what a repaired dependency waits for at most.
const LONGEST: Duration = Duration::from_secs(2);

/// The partition was taken away, or the process ends: nothing of the chunk was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Retries with growing pauses, and says that the partition stands still meanwhile.
pub struct Patience {
    status: Arc<PartitionStatus>,
    stop: CancellationToken,
    span: tracing::Span,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
    in_hand: Mutex<Option<InHand>>,
}

impl Patience {
    /// Retries until `stop` is cancelled.
    pub fn new(status: Arc<PartitionStatus>, stop: CancellationToken, span: tracing::Span) -> Self {
        Self { status, stop, span, turn: Mutex::default(), in_hand: Mutex::default() }
    }

    /// Cancelled when the worker has to end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits for one of the turns that all workers share, and keeps it until [`Self::end_turn`], or until something fails:
    /// a worker that has to wait for a dependency lets others go on.
    pub async fn begin_turn(&self, turns: &Arc<Semaphore>) {
        // The semaphore is never closed.
        let turn = Arc::clone(turns).acquire_owned().await.ok();
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }

    /// Gives the turn back.
    pub fn end_turn(&self) {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Keeps a record that is handled alone until [`Self::drop_from_hand`], or until something fails: a process that is
    /// killed while it waits for a dependency was not killed by the record.
    pub fn take_in_hand(&self, record: InHand) {
        *self.in_hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    /// The record that was handled alone is done with, if it is still in hand.
    pub fn drop_from_hand(&self) -> Option<InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs `attempt` until it succeeds. `what` names what is needed, for the log and for readiness.
    pub async fn until_done<T, E, F>(&self, what: &'static str, mut attempt: impl FnMut() -> F) -> Result<T, Stopped>
    where
        E: fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = FIRST;
        let mut failures = 0_u32;
        loop {
            match attempt().await {
                Ok(value) => {
                    if failures > 0 {
                        self.status.set_trouble(None);
                        tracing::info!(parent: &self.span, what, failures, "works again: the partition goes on");
                    }
                    return Ok(value);
                }
                Err(error) => {
                    self.end_turn();
                    if let Some(record) = self.drop_from_hand() {
                        record.lay_down().await;
                    }
                    failures += 1;
                    // The first and then ever more rarely: an outage of an hour is no reason for a thousand lines.
                    if failures.is_power_of_two() {
                        tracing::warn!(parent: &self.span, what, failures, %error, "failed: the partition pauses");
                    }
                    self.status.set_trouble(Some(format!("{what}: {error}")));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return Err(Stopped),
            }
            pause = LONGEST.min(pause * 2);
        }
    }
}
