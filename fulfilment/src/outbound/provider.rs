//! A payment provider over HTTP: `PAYMENT_PROVIDER_URL`, in the way of the API that `payment-sandbox` speaks.
//!
//! **Asked again only because that is harmless.** Every request has an `Idempotency-Key`, and the provider's contract is that
//! what is asked again under a key is not done again, but answered as before; the tests hold the sandbox to that, and the book
//! counts. There is no request here without a key. So whatever gave no definite answer is asked again: a few times at once,
//! with full jitter, and by the caller later, for as long as it takes.
//!
//! **What is definite is kept apart from what is not** ([`answer::read`]): a refusal is a status of 4xx in the provider's own
//! form, and everything else that is not a success (a time-out, a broken connection, 5xx, an answer that can't be read, a 404 of
//! some gateway) says nothing of what was done.

mod answer;
mod client;
mod config;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use events::{
    Money,
    text::{PaymentMethod, ProviderReference},
};
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use service_kit::{
    breaker::{self, Breaker, Rejected},
    config::Secret,
    trace::{self, Outgoing},
};
use tokio::time::Instant;

use crate::application::provider::{Answer, PaymentProvider, ProviderError};
use answer::Trouble;
use client::Client;
pub use client::ClientError;
pub use config::ProviderConfig;

/// Bounds of the pauses between attempts of one call; each pause is random between nothing and twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// What a provider asks us to wait is waited for within a call up to this; else the call ends, and the caller comes back.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The longest that a `Retry-After` is believed: a mistake there must not stop payments for a day.
const LONGEST_REST: Duration = Duration::from_secs(300);

/// How a provider is called.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Where its API begins.
    pub url: Url,
    /// What it knows us by.
    pub key: Secret,
    /// Authorities that may vouch for it, beside those that everybody trusts.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Bound on one attempt, until its answer is read.
    pub timeout: Duration,
    /// Attempts of one call, at least 1.
    pub attempts: usize,
    /// When nothing is asked of it for a while.
    pub breaker: breaker::Settings,
}

/// A payment provider over HTTP, behind a circuit breaker (`payment-provider` in metrics and logs).
pub struct HttpProvider {
    client: Client,
    settings: ProviderSettings,
    breaker: Breaker,
    /// It has asked not to be asked before.
    rests_until: Mutex<Option<Instant>>,
}

#[derive(Serialize)]
struct Authorise<'a> {
    amount: Money,
    method: &'a PaymentMethod,
}

#[derive(Serialize)]
struct Amount {
    amount: Money,
}

#[derive(Serialize)]
struct Nothing {}

impl HttpProvider {
    /// A client of this provider. Nothing is asked yet.
    pub fn new(settings: ProviderSettings) -> Result<Self, ClientError> {
        let (client, breaker) = (Client::new(&settings)?, Breaker::new("payment-provider", settings.breaker));
        Ok(Self { client, settings, breaker, rests_until: Mutex::default() })
    }

    /// Asks until there is a definite answer, or no attempt is left. `path` is what follows the API's beginning.
    async fn ask(
        &self,
        operation: &'static str,
        key: &str,
        path: &[&str],
        body: impl Serialize + Send + Sync,
    ) -> Result<Answer, ProviderError> {
        let started = Instant::now();
        // Once nobody knows what one attempt has done, later ones that were not even sent don't settle it.
        let may_be_done = AtomicBool::new(false);
        let attempt = || async {
            metrics::counter!("orderflow_provider_attempts_total", "operation" => operation).increment(1);
            let outcome = self.attempt(key, path, &body).await;
            if let Err(trouble) = &outcome {
                may_be_done.fetch_or(trouble.may_be_done, Ordering::Relaxed);
            }
            outcome
        };
        let pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LAST_PAUSE)
            .with_max_times(self.settings.attempts.saturating_sub(1))
            .build()
            // Its own jitter adds to the pause; full jitter spreads best what failed together.
            .map(|pause| pause.mul_f64(fastrand::f64()));
        let outcome = attempt
            .retry(pauses)
            .when(|trouble: &Trouble| trouble.is_worth_another)
            .adjust(|trouble, pause| match trouble.retry_after {
                Some(wait) if wait > LONGEST_WAIT => None,
                wait => Some(pause? + wait.unwrap_or_default()),
            })
            .notify(|trouble, pause| {
                let pause_ms = pause.as_millis();
                tracing::debug!(operation, key, why = trouble.why, pause_ms, "the payment provider is asked again");
            })
            .await;
        let outcome = outcome.map_err(|trouble| match may_be_done.load(Ordering::Relaxed) {
            true => ProviderError::Unknown(trouble.why),
            false => ProviderError::Unavailable(trouble.why),
        });
        note(operation, key, started, &outcome);
        outcome
    }

    async fn attempt(&self, key: &str, path: &[&str], body: &(impl Serialize + Sync)) -> Result<Answer, Trouble> {
        if let Some(left) = self.rest_left() {
            return Err(Trouble::not_asked(format!("it has asked to be left alone for another {} s", left.as_secs() + 1)));
        }
        let outcome = self.breaker.call(|_: &Trouble| true, self.exchange(key, path, body)).await;
        outcome.map_err(|rejected| match rejected {
            Rejected::Open => Trouble::not_asked("its circuit breaker is open".to_owned()),
            Rejected::Failed(trouble) => {
                if let Some(wait) = trouble.retry_after {
                    *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
                }
                trouble
            }
        })
    }

    async fn exchange(&self, key: &str, path: &[&str], body: &(impl Serialize + Sync)) -> Result<Answer, Trouble> {
        let mut url = self.settings.url.clone();
        // Encodes what the provider calls things; the URL can be a base, as its setting is checked.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let body = serde_json::to_vec(body).map_err(|_| client::cannot_be_made())?;
        let mut asking = Outgoing::begin("POST", url.as_str(), trace::current());
        let sent = self.client.post(&url, key, &asking.traceparent(), body).await;
        let reply = sent.inspect_err(|trouble| asking.failed(&trouble.why))?;
        asking.answered(reply.status.as_u16());
        answer::read(reply.status, &reply.headers, &reply.body)
    }

    fn rest_left(&self) -> Option<Duration> {
        let until = (*self.rests_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

fn note(operation: &'static str, key: &str, started: Instant, outcome: &Result<Answer, ProviderError>) {
    let name = match outcome {
        Ok(Answer::Done(_)) => "done",
        Ok(Answer::Refused(_)) => "refused",
        Err(ProviderError::Unknown(_)) => "unknown",
        Err(ProviderError::Unavailable(_)) => "unavailable",
    };
    metrics::counter!("orderflow_provider_calls_total", "operation" => operation, "outcome" => name).increment(1);
    metrics::histogram!("orderflow_provider_call_duration_seconds", "operation" => operation)
        .record(started.elapsed().as_secs_f64());
    if let Err(error) = outcome {
        let trace_id = trace::current().map(|trace| trace.trace_id());
        tracing::warn!(operation, key, %error, trace.id = trace_id, "the payment provider gave no definite answer");
    }
}

impl PaymentProvider for HttpProvider {
    async fn authorise(&self, key: &str, amount: Money, method: &PaymentMethod) -> Result<Answer, ProviderError> {
        self.ask("authorise", key, &["v1", "authorisations"], Authorise { amount, method }).await
    }

    async fn capture(&self, key: &str, authorisation: &ProviderReference, amount: Money) -> Result<Answer, ProviderError> {
        let path = ["v1", "authorisations", authorisation.as_str(), "captures"];
        self.ask("capture", key, &path, Amount { amount }).await
    }

    async fn void(&self, key: &str, authorisation: &ProviderReference) -> Result<Answer, ProviderError> {
        self.ask("void", key, &["v1", "authorisations", authorisation.as_str(), "voids"], Nothing {}).await
    }

    async fn refund(&self, key: &str, capture: &ProviderReference, amount: Money) -> Result<Answer, ProviderError> {
        self.ask("refund", key, &["v1", "captures", capture.as_str(), "refunds"], Amount { amount }).await
    }
}
