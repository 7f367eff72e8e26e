//! The end of a process: one signal, one order of stopping, one bound on the time it takes.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// What exporting the last traces and logs may take: at least, when nothing is left of the time for the drain, and at most.
const FLUSH: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// The request to stop, shared by all parts of a service.
#[derive(Clone)]
pub struct Shutdown {
    token: CancellationToken,
    timeout: Duration,
    failure: Arc<OnceLock<&'static str>>,
}

impl Shutdown {
    /// Begins on SIGTERM or SIGINT; a second signal ends the process at once.
    pub fn on_signals(timeout: Duration) -> std::io::Result<Self> {
        let shutdown = Self::manual(timeout);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = shutdown.token.clone();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(signal = name, "shutting down");
            token.cancel();
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = name, "asked again: ending now, unfinished work is lost");
            std::process::exit(1);
        });
        Ok(shutdown)
    }

    /// Begins only when told to; for tests.
    pub fn manual(timeout: Duration) -> Self {
        Self { token: CancellationToken::new(), timeout, failure: Arc::default() }
    }

    /// Cancelled when shutdown begins: what takes in work stops taking.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Begins the shutdown.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Begins the shutdown because `part` cannot go on; the process will exit with 1.
    pub fn fail(&self, part: &'static str, cause: impl std::fmt::Display) {
        tracing::error!(part, error = %cause, "cannot go on: shutting down");
        // The first failure is the one that counts; those that follow are logged above.
        self.failure.get_or_init(|| part);
        self.token.cancel();
    }

    /// Runs what a service does before it is up; none when it is told to stop meanwhile. What it was doing is dropped where
    /// it stands, as a crash would drop it.
    pub async fn unless_begun<T>(&self, starting: impl Future<Output = T>) -> Option<T> {
        self.token.run_until_cancelled(starting).await
    }

    /// Waits for the beginning, and starts the clock for the drain.
    pub async fn begun(&self) -> Drain {
        self.token.cancelled().await;
        Drain { deadline: Instant::now() + self.timeout, failure: Arc::clone(&self.failure), abandoned: Vec::new() }
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Stops parts one after another, all within one bound.
#[must_use = "finish() gives the exit code"]
pub struct Drain {
    deadline: Instant,
    failure: Arc<OnceLock<&'static str>>,
    abandoned: Vec<&'static str>,
}

impl Drain {
    /// Lets `part` finish in what is left of the time, or abandons it.
    pub async fn step<F: Future>(&mut self, part: &'static str, stopping: F) -> Option<F::Output> {
        let started = Instant::now();
        if let Ok(output) = tokio::time::timeout_at(self.deadline, stopping).await {
            tracing::debug!(part, duration_ms = started.elapsed().as_secs_f64() * 1e3, "stopped");
            return Some(output);
        }
        tracing::warn!(part, "did not stop in time: abandoned");
        self.abandoned.push(part);
        None
    }

    /// The time left for the steps to come.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// 0 when all parts stopped in time and none had failed, otherwise 1. The last that a service does: what waits to be
    /// exported is sent, for which this blocks for a moment.
    pub fn finish(self) -> ExitCode {
        let is_clean = self.abandoned.is_empty() && self.failure.get().is_none();
        if is_clean {
            tracing::info!("stopped");
        } else {
            tracing::warn!(abandoned = ?self.abandoned, failed = self.failure.get(), "stopped, but not cleanly");
        }
        telemetry::flush(self.remaining().clamp(FLUSH.0, FLUSH.1));
        if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests;
