//! Keeps one child running: a panic ends that child alone, and it is started again.
//!
//! The first restart comes soon, the next ones ever later. One that died more than [`Policy::limit`] times within
//! [`Policy::window`] is reported to [`Dying`], which makes the service not ready; it is still started again, and when it has
//! lived through a whole window the report is taken back.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{backoff::Backoff, effect::Mailbox};

/// How children are started again.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The pause before a restart, by how many there were in the window.
    pub backoff: Backoff,
    /// Restarts in the window that are nobody's concern.
    pub limit: usize,
    /// The window.
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let backoff = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(30) };
        Self { backoff, limit: 5, window: Duration::from_secs(60) }
    }
}

/// Starts a child, which ends by itself when the token is cancelled.
pub type Start = Arc<dyn Fn(CancellationToken) -> BoxFuture<'static, ()> + Send + Sync>;

/// The children that keep dying. Cloning shares it.
#[derive(Clone, Default)]
pub struct Dying(Arc<Mutex<BTreeMap<Mailbox, String>>>);

impl Dying {
    /// For readiness: an error names them.
    pub fn check(&self) -> Result<(), String> {
        /// Children named in a report.
        const NAMED: usize = 3;
        let dying = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if dying.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = dying.iter().take(NAMED).map(|(mailbox, why)| format!("{mailbox} {why}")).collect();
        Err(format!("{} mailboxes keep dying: {}", dying.len(), named.join("; ")))
    }

    fn set(&self, mailbox: Mailbox, why: Option<String>) {
        let mut dying = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match why {
            Some(why) => dying.insert(mailbox, why).is_none(),
            None => dying.remove(&mailbox).is_some(),
        };
        if is_news {
            let count = u32::try_from(dying.len()).unwrap_or(u32::MAX);
            metrics::gauge!("orderflow_notifier_dying_mailboxes").set(f64::from(count));
        }
    }
}

/// Runs a child until it ends by itself, or `stop` is cancelled and it has finished.
pub async fn keep(mailbox: Mailbox, start: Start, policy: Policy, dying: Dying, stop: CancellationToken) {
    let mut deaths: VecDeque<Instant> = VecDeque::new();
    loop {
        let mut child = tokio::spawn(start(stop.clone()));
        let ended = tokio::select! {
            ended = &mut child => ended,
            () = tokio::time::sleep(policy.window) => {
                dying.set(mailbox, None);
                child.await
            }
        };
        if ended.is_ok() || stop.is_cancelled() {
            dying.set(mailbox, None);
            return;
        }
        // The panic itself is in the log, with its place.
        metrics::counter!("orderflow_notifier_mailbox_restarts_total", "channel" => mailbox.channel()).increment(1);
        let now = Instant::now();
        deaths.push_back(now);
        while deaths.front().is_some_and(|death| now.duration_since(*death) > policy.window) {
            deaths.pop_front();
        }
        if deaths.len() > policy.limit {
            let why = format!("({} times in {} s)", deaths.len(), policy.window.as_secs());
            tracing::error!(%mailbox, deaths = deaths.len(), "a mailbox keeps dying");
            dying.set(mailbox, Some(why));
        }
        let failures = u32::try_from(deaths.len()).unwrap_or(u32::MAX);
        let pause = policy.backoff.after(failures, fastrand::f64());
        tracing::warn!(%mailbox, restart_in_ms = pause.as_secs_f64() * 1e3, "a mailbox died and is started again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests;
