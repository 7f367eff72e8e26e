//! The command services that run other contexts, over HTTP.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use events::{Context, StreamId};
use futures::future::{BoxFuture, FutureExt};
use lru::LruCache;
use metrics::{Counter, Histogram, counter, histogram};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use service_kit::{
    auth::{MintError, ServiceToken},
    config::Secret,
    health::StateCheck,
    trace::{self, Outgoing, TRACEPARENT},
};
use tracing::warn;

use crate::application::facts::{Facts, FactsError};

/// A whole request. Whoever places an order waits meanwhile.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Ids of one request: what the other side accepts.
const IDS: usize = 1_000;
/// How long an answer is repeated: as old as a fact about another process's change may be in any case.
const AGE: Duration = Duration::from_secs(1);
/// Answers that are kept, for each kind of fact.
const KEPT: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Calls other command services, which trust tokens signed with the secret that all services share.
pub struct Caller {
    http: Client,
    token: ServiceToken,
}

impl Caller {
    /// With a pool of connections of its own.
    pub fn new(secret: Secret) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).build()?;
        Ok(Self { http, token: ServiceToken::new(secret, "command-service") })
    }
}

/// A kind of fact that is asked for over HTTP.
pub struct Question<F> {
    /// Whose facts.
    pub context: Context,
    /// The endpoint.
    pub path: &'static str,
    /// Whether an answer may be repeated. That something does not exist may have changed because of who asks next.
    pub keep: fn(&F) -> bool,
}

/// Facts `F` about the aggregates of a context that runs elsewhere.
pub struct RemoteFacts<F> {
    caller: Arc<Caller>,
    url: String,
    question: Question<F>,
    recent: Mutex<LruCache<StreamId, (Instant, F)>>,
    health: StateCheck,
    seconds: Histogram,
    failures: Counter,
}

#[derive(Deserialize)]
struct Answer<F> {
    facts: Vec<F>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("{0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("it answered {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("no token: {0}")]
    Token(#[from] MintError),
    #[error("it gave {given} facts about {wanted} aggregates")]
    Count { given: usize, wanted: usize },
}

impl<F: DeserializeOwned + Clone + Send + 'static> RemoteFacts<F> {
    /// Asked of the command service at `base`. It is told to `health` when that gives no answer: other commands are taken
    /// all the same.
    pub fn new(caller: Arc<Caller>, base: &str, question: Question<F>, health: StateCheck) -> Self {
        health.set_ok();
        // Grows as needed.
        let mut recent = LruCache::unbounded();
        recent.resize(KEPT);
        let label = question.context.name();
        Self {
            caller,
            url: format!("{base}{}", question.path),
            question,
            recent: Mutex::new(recent),
            health,
            seconds: histogram!("orderflow_context_request_duration_seconds", "context" => label),
            failures: counter!("orderflow_context_request_failures_total", "context" => label),
        }
    }

    async fn look_up(&self, streams: &[StreamId]) -> Result<Vec<F>, FactsError> {
        let mut found = self.known(streams);
        let missing: Vec<_> = streams.iter().zip(&found).filter(|(_, fact)| fact.is_none()).map(|(stream, _)| *stream).collect();
        let mut asked = Vec::with_capacity(missing.len());
        for ids in missing.chunks(IDS) {
            asked.extend(self.ask_and_tell(ids).await?);
        }
        self.learn(&missing, &asked);
        for (slot, fact) in found.iter_mut().filter(|slot| slot.is_none()).zip(asked) {
            *slot = Some(fact);
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn ask_and_tell(&self, ids: &[StreamId]) -> Result<Vec<F>, FactsError> {
        let context = self.question.context;
        let started = Instant::now();
        let answer = self.ask(ids).await;
        self.seconds.record(started.elapsed());
        match answer {
            Ok(facts) => {
                self.health.set_ok();
                Ok(facts)
            }
            Err(error) => {
                warn!(%error, %context, "a context that runs elsewhere gave no answer");
                self.failures.increment(1);
                self.health.set_degraded(error.to_string());
                Err(FactsError::Away { context, cause: error.to_string() })
            }
        }
    }

    async fn ask(&self, ids: &[StreamId]) -> Result<Vec<F>, CallError> {
        /// Enough of an answer for a log line.
        const DETAIL: usize = 300;
        let request = self.caller.http.post(&self.url).bearer_auth(self.caller.token.get()?);
        let mut asking = Outgoing::begin("POST", &self.url, trace::current());
        let request = request.header(TRACEPARENT, asking.traceparent());
        let response = request.json(&serde_json::json!({ "ids": ids })).send().await.inspect_err(|error| asking.failed(error))?;
        let status = response.status();
        asking.answered(status.as_u16());
        if !status.is_success() {
            let detail = response.text().await.unwrap_or_default().chars().take(DETAIL).collect();
            return Err(CallError::Refused { status, detail });
        }
        let Answer { facts } = response.json().await?;
        if facts.len() == ids.len() { Ok(facts) } else { Err(CallError::Count { given: facts.len(), wanted: ids.len() }) }
    }

    fn known(&self, streams: &[StreamId]) -> Vec<Option<F>> {
        let mut recent = self.recent();
        let fresh = |(at, fact): &(Instant, F)| (at.elapsed() < AGE).then(|| fact.clone());
        streams.iter().map(|stream| recent.get(stream).and_then(fresh)).collect()
    }

    fn learn(&self, streams: &[StreamId], facts: &[F]) {
        let mut recent = self.recent();
        let now = Instant::now();
        for (stream, fact) in streams.iter().zip(facts).filter(|(_, fact)| (self.question.keep)(fact)) {
            recent.put(*stream, (now, fact.clone()));
        }
    }

    fn recent(&self) -> MutexGuard<'_, LruCache<StreamId, (Instant, F)>> {
        // A panic while it was held leaves at most an answer unkept.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: DeserializeOwned + Clone + Send + 'static> Facts<F> for RemoteFacts<F> {
    fn get<'a>(&'a self, streams: &'a [StreamId]) -> BoxFuture<'a, Result<Vec<F>, FactsError>> {
        self.look_up(streams).boxed()
    }
}
