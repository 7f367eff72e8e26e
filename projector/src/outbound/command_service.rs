//! The command service's HTTP API, as far as the projector needs it: histories of streams, and keys of personal data.

mod feed;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use events::{Context, DataKey, RecordedEvent, StreamId};
use futures::future::try_join_all;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use service_kit::{
    auth::{MintError, ServiceToken},
    config::Secret,
};
use uuid::Uuid;

/// Whole requests; the caller tries again.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before a busy service is asked again, each time twice as long and up to that much more at random; and how often.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
const BUSY_TIMES: usize = 5;
/// What the endpoints accept.
const PAGE: u64 = 100;
const KEYS_A_REQUEST: usize = 1_000;

/// Why the command service did not answer. All of it is worth another attempt.
#[derive(Debug, thiserror::Error)]
pub enum CommandServiceError {
    /// No connection, no answer in time, or an answer that is none.
    #[error("{0}")]
    Unreachable(#[from] reqwest::Error),
    /// It answered something else than what was asked for.
    #[error("it answered {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        detail: String,
    },
    /// No token could be made.
    #[error("no token: {0}")]
    Token(#[from] MintError),
    /// A line of the feed is no event.
    #[error("the feed can't be read: {0}")]
    Feed(serde_json::Error),
    /// It gave a key that is none.
    #[error("it gave a malformed key for {0}")]
    Key(Uuid),
}

/// Where each context's command service is: one process may run all of them, or each a process of its own.
#[derive(Debug, Clone)]
pub struct Bases(HashMap<Context, String>);

impl Bases {
    /// The URL of each context's.
    pub fn new(of: impl Fn(Context) -> String) -> Self {
        Self(Context::ALL.map(|context| (context, of(context).trim_end_matches('/').to_owned())).into())
    }

    fn of(&self, context: Context) -> &str {
        self.0.get(&context).map_or("", String::as_str)
    }

    /// Each process once.
    fn distinct(&self) -> BTreeSet<&str> {
        self.0.values().map(String::as_str).collect()
    }
}

/// A client with a token of its own.
pub struct CommandService {
    http: Client,
    bases: Bases,
    token: ServiceToken,
}

/// Some events of a stream.
#[derive(Default, Deserialize)]
pub struct Page {
    /// In the order of their versions.
    pub events: Vec<RecordedEvent>,
    /// The `after` of the next page; none on the last.
    pub next: Option<u64>,
}

#[derive(Deserialize)]
struct Keys {
    keys: HashMap<Uuid, String>,
}

impl CommandService {
    /// A client of the command services at these places, which trust tokens signed with `secret`.
    pub fn new(bases: Bases, secret: Secret) -> Result<Self, CommandServiceError> {
        let http = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { http, bases, token: ServiceToken::new(secret, "projector") })
    }

    /// Whether all of them are alive.
    pub async fn ping(&self) -> Result<(), CommandServiceError> {
        let pings = self
            .bases
            .distinct()
            .into_iter()
            .map(|base| async move { checked(self.http.get(format!("{base}/health")).send().await?).await.map(drop) });
        try_join_all(pings).await.map(drop)
    }

    /// The events of a stream after version `after` and up to `until`, as far as the store has them; none when the store
    /// does not know the stream.
    pub async fn history(
        &self,
        context: Context,
        stream: StreamId,
        after: u64,
        until: u64,
    ) -> Result<Option<Vec<RecordedEvent>>, CommandServiceError> {
        let mut events = Vec::new();
        let mut after = after;
        loop {
            let Some(page) = self.page(context, stream, after, PAGE).await? else { return Ok(None) };
            events.extend(page.events.into_iter().take_while(|event| event.version <= until));
            match page.next {
                Some(next) if next > after && next < until => after = next,
                _ => return Ok(Some(events)),
            }
        }
    }

    /// The first `limit` (at most 1,000) events of a stream after version `after`; none when the store does not know the
    /// stream.
    pub async fn page(
        &self,
        context: Context,
        stream: StreamId,
        after: u64,
        limit: u64,
    ) -> Result<Option<Page>, CommandServiceError> {
        let url = format!("{}/v1/{context}/{stream}/events?after={after}&limit={limit}", self.bases.of(context));
        let response = self.ask(|| self.http.get(&url)).await?;
        if is_unknown_stream(&response) {
            return Ok(None);
        }
        Ok(Some(checked(response).await?.json().await?))
    }

    /// The keys with these ids; an erased one is missing.
    pub async fn personal_keys(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, DataKey)>, CommandServiceError> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(KEYS_A_REQUEST) {
            let url = format!("{}/v1/personal-keys", self.bases.of(Context::Users));
            let body = serde_json::json!({ "ids": ids });
            let answer = self.ask(|| self.http.post(&url).json(&body)).await?;
            let answer: Keys = checked(answer).await?.json().await?;
            for (id, key) in answer.keys {
                found.push((id, DataKey::from_base64(&key).map_err(|_| CommandServiceError::Key(id))?));
            }
        }
        Ok(found)
    }

    /// Asks, and asks again where a busy service has nothing to spare: what reads a whole store must not end for a moment
    /// of that. Nothing that is asked here changes anything.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, CommandServiceError> {
        let token = self.token.get()?;
        let attempt = || async {
            let response = request().bearer_auth(&token).send().await?;
            if response.status() == StatusCode::SERVICE_UNAVAILABLE { checked(response).await } else { Ok(response) }
        };
        let pauses = ExponentialBuilder::default().with_min_delay(BUSY_PAUSE).with_max_times(BUSY_TIMES).with_jitter();
        let is_busy = |error: &CommandServiceError| matches!(error, CommandServiceError::Refused { .. });
        attempt.retry(pauses).when(is_busy).await
    }
}

/// Only a problem from the command service itself says that there is no such stream: a 404 from anything else that may
/// stand in between (a gateway, a wrong URL) is a fault to wait out.
fn is_unknown_stream(response: &Response) -> bool {
    let media_type = response.headers().get(reqwest::header::CONTENT_TYPE).map(|value| value.as_bytes());
    response.status() == StatusCode::NOT_FOUND && media_type == Some(service_kit::problem::CONTENT_TYPE.as_bytes())
}

async fn checked(response: Response) -> Result<Response, CommandServiceError> {
    /// Enough of an answer for a log line.
    const DETAIL: usize = 300;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let detail = response.text().await.unwrap_or_default().chars().take(DETAIL).collect();
    Err(CommandServiceError::Refused { status, detail })
}

#[cfg(test)]
mod tests;
