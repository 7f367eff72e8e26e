//! What an import has got answered so far; shared by its connections, the progress bar and the summary.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::watch;
use uuid::Uuid;

/// How long nothing may be answered before the import gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counters of one phase.
#[derive(Debug)]
pub struct Tally {
    answered: AtomicU64,
    replayed: AtomicU64,
    resent: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    last_progress: Mutex<Instant>,
    latest: watch::Sender<Option<(Uuid, u64)>>,
}

/// A job that the command service refused.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which job of the phase.
    pub job: usize,
    /// The rule or the slug, and the detail.
    pub problem: String,
}

impl Tally {
    /// Nothing answered yet. `latest` is told the last stream answered and its version.
    pub fn new(latest: watch::Sender<Option<(Uuid, u64)>>) -> Self {
        Self {
            answered: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            failures: Mutex::default(),
            last_progress: Mutex::new(Instant::now()),
            latest,
        }
    }

    /// Commands were settled, `replayed` of them by an earlier import.
    pub fn settled(&self, commands: u64, replayed: u64) {
        self.answered.fetch_add(commands, Relaxed);
        self.replayed.fetch_add(replayed, Relaxed);
    }

    /// A job is done by this import; its stream is at this version.
    pub fn reached(&self, stream: Uuid, version: u64) {
        self.latest.send_replace(Some((stream, version)));
    }

    /// A job was refused for good.
    pub fn failed(&self, failure: Failure) {
        lock(&self.failures).push(failure);
    }

    /// Something was answered, so the service lives.
    pub fn progressed(&self) {
        *lock(&self.last_progress) = Instant::now();
    }

    /// Jobs have to be sent again; fails when nothing has been answered for too long.
    pub fn resending(&self, jobs: usize, cause: &str) -> Result<()> {
        self.resent.fetch_add(u64::try_from(jobs).unwrap_or(u64::MAX), Relaxed);
        let silence = lock(&self.last_progress).elapsed();
        if silence > PATIENCE {
            bail!(
                "the command service has taken nothing for {} s ({cause}); see `make logs`, then run the import again: it goes on where it stopped",
                silence.as_secs()
            );
        }
        Ok(())
    }

    /// Commands settled.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Commands that an earlier import had done.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Relaxed)
    }

    /// Jobs that were sent more than once.
    pub fn resent(&self) -> u64 {
        self.resent.load(Relaxed)
    }

    /// What was refused.
    pub fn failures(&self) -> Vec<Failure> {
        lock(&self.failures).clone()
    }
}

/// A panic elsewhere leaves counters that are still fine to read.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
