//! A mailbox: the actor that sends all that goes to one destination, and waits for no other.
//!
//! What waits is in the ledger; in memory is only what is being sent, so a mailbox is bounded however much waits, and several
//! processes may work on the same one. A destination in trouble is tried with one message at a time, ever more rarely.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use service_kit::trace::{self, Span, SpanKind};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::sender::{Outcome, Sender, Taken};
use crate::{
    domain::{backoff::Backoff, cloudevent::Disabled, effect::Mailbox},
    failpoints,
    outbound::postgres::{PostgresError, PostgresStore, ledger::Fate},
};

/// Messages in hand at a time, sent at once.
const IN_HAND: u16 = 8;
/// How often the ledger is looked at for what another process has written or left.
const LOOK: Duration = Duration::from_secs(5);
/// The pause while Postgres can't be asked.
const OUTAGE: Duration = Duration::from_millis(500);
/// The longest that a provider may ask to be left alone.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How mailboxes go about it.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between attempts, of a message and at a destination.
    pub backoff: Backoff,
    /// How long a message that was taken up is nobody else's: longer than any attempt takes.
    pub lease: Duration,
    /// When a message that was not sent is given up.
    pub give_up: Duration,
    /// For how long an endpoint must have failed to be disabled.
    pub disable_after: Duration,
}

impl Patience {
    /// What becomes of a message after an attempt; `chance` is from 0 to 1.
    #[must_use]
    pub fn fate(&self, taken: &Taken, outcome: &Outcome, chance: f64) -> Fate {
        let again = |least: Duration| {
            if taken.age >= self.give_up {
                return Fate::Failed;
            }
            Fate::Again(self.backoff.after(taken.tries, chance).max(least.min(MOST_RETRY_AFTER)))
        };
        match outcome {
            Outcome::Sent { .. } => Fate::Sent,
            Outcome::Failed { retry_after, .. } => again(retry_after.unwrap_or_default()),
            Outcome::NotYet { .. } => again(Duration::ZERO),
            Outcome::Rejected { .. } | Outcome::Gone { .. } => Fate::Failed,
            Outcome::Nobody { .. } => Fate::Skipped,
        }
    }
}

/// The actor.
pub struct Actor {
    /// Its destination.
    pub mailbox: Mailbox,
    /// The ledger.
    pub store: PostgresStore,
    /// Who carries its messages.
    pub sender: Arc<dyn Sender>,
    /// Tells it that something is due.
    pub wake: Arc<Notify>,
    /// How it goes about it.
    pub patience: Patience,
}

/// What came of a handful of messages.
enum Health {
    /// Something arrived.
    Good,
    /// Nothing did, and the destination is to blame.
    Bad(String),
    /// The destination wants nothing any more.
    Gone,
    /// Nothing can be said.
    Unknown,
}

impl Actor {
    /// Sends what is due until `stop`, or until the endpoint is disabled. What is in hand is finished first.
    pub async fn run(self, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            let most = if failures > 0 { 1 } else { IN_HAND };
            let taken = match self.store.take(self.mailbox, most, self.patience.lease).await {
                Ok(taken) => taken,
                Err(error) => {
                    tracing::warn!(%error, mailbox = %self.mailbox, "the ledger can't be read");
                    pause(OUTAGE, &stop).await;
                    continue;
                }
            };
            if taken.is_empty() {
                self.wait(&stop).await;
                continue;
            }
            failpoints::taken(self.mailbox);
            match self.deliver(taken, &stop).await {
                Health::Good => {
                    if failures > 0 {
                        tracing::info!(mailbox = %self.mailbox, failures, "delivers again");
                    }
                    failures = 0;
                }
                Health::Bad(cause) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(mailbox = %self.mailbox, failures, cause, "the destination is in trouble");
                    }
                    if self.is_given_up(cause).await {
                        return;
                    }
                    pause(self.patience.backoff.after(failures, fastrand::f64()), &stop).await;
                }
                Health::Gone => {
                    self.disable(Utc::now(), "it answered 410 Gone".to_owned()).await;
                    return;
                }
                Health::Unknown => {}
            }
        }
    }

    /// Until something is due, or may be.
    async fn wait(&self, stop: &CancellationToken) {
        let due = self.store.next_due(self.mailbox).await.ok().flatten().unwrap_or(LOOK).min(LOOK);
        tokio::select! {
            () = self.wake.notified() => {}
            // Never at once: what is due and held by another process is due all the same.
            () = tokio::time::sleep(due.max(Duration::from_millis(20))) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn deliver(&self, taken: Vec<Taken>, stop: &CancellationToken) -> Health {
        let attempts = join_all(taken.iter().map(|taken| self.attempt(taken))).await;
        failpoints::sent();
        let mut health = Health::Unknown;
        for (taken, (outcome, took)) in taken.iter().zip(attempts) {
            self.settle(taken, &outcome, took, stop).await;
            health = match (health, outcome) {
                (_, Outcome::Gone { .. }) | (Health::Gone, _) => Health::Gone,
                (Health::Good, _) | (_, Outcome::Sent { .. }) => Health::Good,
                (_, Outcome::Failed { cause, .. }) => Health::Bad(cause),
                (health, _) => health,
            };
        }
        if let (Health::Good, Mailbox::Webhook(endpoint)) = (&health, self.mailbox)
            && let Err(error) = self.store.endpoint_recovered(endpoint).await
        {
            tracing::warn!(%error, mailbox = %self.mailbox, "the endpoint's recovery was not noted");
        }
        health
    }

    async fn attempt(&self, taken: &Taken) -> (Outcome, Duration) {
        let begun = Instant::now();
        // Not the first attempt, and over time: it was cut short again and again, by panics or crashes.
        let outcome = if taken.tries > 1 && taken.age >= self.patience.give_up {
            Outcome::Rejected { status: None, cause: "given up".to_owned() }
        } else {
            self.send(taken).await
        };
        let channel = self.mailbox.channel();
        metrics::counter!("orderflow_notifier_attempts_total", "channel" => channel, "outcome" => outcome.name()).increment(1);
        metrics::histogram!("orderflow_notifier_attempt_duration_seconds", "channel" => channel).record(begun.elapsed());
        (outcome, begun.elapsed())
    }

    /// In the trace that caused the message, if there is one: the destination hears of it, too.
    async fn send(&self, taken: &Taken) -> Outcome {
        let Some(trace) = taken.trace() else { return self.sender.send(taken).await };
        let channel = self.mailbox.channel();
        let mut span = Span::child(&trace, SpanKind::Internal, || format!("deliver {channel}"));
        span.set("messaging.message.id", taken.id.to_string());
        span.set("orderflow.attempt", i64::from(taken.attempt));
        let outcome = trace::scope(span.context().unwrap_or(trace), self.sender.send(taken)).await;
        span.set("orderflow.outcome", outcome.name());
        if let Outcome::Failed { cause, .. } | Outcome::Rejected { cause, .. } = &outcome {
            span.fail(outcome.name(), cause);
        }
        outcome
    }

    /// Writes down what came of it; a message whose receipt is not written would be sent again.
    async fn settle(&self, taken: &Taken, outcome: &Outcome, took: Duration, stop: &CancellationToken) {
        let fate = self.patience.fate(taken, outcome, fastrand::f64());
        if fate == Fate::Failed {
            let cause = outcome.cause();
            let trace_id = taken.trace().map(|trace| trace.trace_id());
            tracing::warn!(mailbox = %self.mailbox, message.id = %taken.id, cause, trace.id = trace_id, "a message is given up");
        }
        while let Err(error) = self.store.settle(taken, outcome, fate, took).await {
            tracing::warn!(%error, mailbox = %self.mailbox, message.id = %taken.id, "the ledger can't be written");
            if stop.is_cancelled() {
                return;
            }
            pause(OUTAGE, stop).await;
        }
    }

    /// Notes an endpoint's failure, and disables it when it has failed for too long.
    async fn is_given_up(&self, cause: String) -> bool {
        let Mailbox::Webhook(endpoint) = self.mailbox else { return false };
        match self.store.endpoint_failed(endpoint).await {
            Ok(Some(failing)) => {
                let failed_for = (failing.now - failing.since).to_std().unwrap_or_default();
                failed_for >= self.patience.disable_after && self.disable(failing.since, cause).await
            }
            // It was deleted.
            Ok(None) => true,
            Err(error) => {
                tracing::warn!(%error, mailbox = %self.mailbox, "the endpoint's failure was not noted");
                false
            }
        }
    }

    async fn disable(&self, failing_since: DateTime<Utc>, cause: String) -> bool {
        let Mailbox::Webhook(endpoint_id) = self.mailbox else { return false };
        match self.disable_endpoint(endpoint_id, failing_since, cause).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, mailbox = %self.mailbox, "the endpoint was not disabled");
                false
            }
        }
    }

    async fn disable_endpoint(&self, endpoint_id: Uuid, since: DateTime<Utc>, cause: String) -> Result<(), PostgresError> {
        let disabled = Disabled { endpoint_id, failing_since: since, cause };
        if self.store.disable_endpoint(&disabled, Utc::now()).await? {
            metrics::counter!("orderflow_notifier_webhooks_disabled_total").increment(1);
            tracing::warn!(webhook.id = %endpoint_id, cause = disabled.cause, "a webhook is disabled");
        }
        Ok(())
    }
}

async fn pause(pause: Duration, stop: &CancellationToken) {
    let _ = tokio::time::timeout(pause, stop.cancelled()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::effect::Kind;

    const PATIENCE: Patience = Patience {
        backoff: Backoff { first: Duration::from_secs(5), most: Duration::from_secs(3600) },
        lease: Duration::from_secs(30),
        give_up: Duration::from_secs(7200),
        disable_after: Duration::from_secs(86_400),
    };

    fn taken(tries: u32, age: u64) -> Taken {
        Taken {
            id: Uuid::nil(),
            event_id: Uuid::nil(),
            kind: Kind::Webhook,
            recipient: Uuid::nil(),
            event_type: String::new(),
            payload: String::new(),
            attempt: 1,
            tries,
            age: Duration::from_secs(age),
        }
    }

    fn failed(retry_after: Option<u64>) -> Outcome {
        Outcome::Failed { status: None, cause: String::new(), retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn failures_are_tried_again_until_given_up() {
        let fate = |tries, age, outcome: &Outcome| PATIENCE.fate(&taken(tries, age), outcome, 0.5);
        assert_eq!(fate(1, 0, &failed(None)), Fate::Again(Duration::from_secs(5)));
        assert_eq!(fate(3, 60, &failed(None)), Fate::Again(Duration::from_secs(20)));
        assert_eq!(fate(1, 0, &failed(Some(90))), Fate::Again(Duration::from_secs(90)));
        assert_eq!(fate(1, 0, &failed(Some(100_000))), Fate::Again(MOST_RETRY_AFTER));
        assert_eq!(fate(20, 7200, &failed(Some(90))), Fate::Failed);
        assert_eq!(fate(20, 7200, &Outcome::NotYet { cause: String::new() }), Fate::Failed);
    }

    #[test]
    fn some_outcomes_are_final() {
        let fate = |outcome: &Outcome| PATIENCE.fate(&taken(1, 0), outcome, 0.5);
        assert_eq!(fate(&Outcome::Sent { status: None, receipt: None }), Fate::Sent);
        assert_eq!(fate(&Outcome::Rejected { status: Some(550), cause: String::new() }), Fate::Failed);
        assert_eq!(fate(&Outcome::Gone { status: 410 }), Fate::Failed);
        assert_eq!(fate(&Outcome::Nobody { cause: "" }), Fate::Skipped);
    }
}
