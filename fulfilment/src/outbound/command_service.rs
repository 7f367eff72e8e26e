//! The write side over HTTP: commands, and what its answers mean to whoever has to know whether something was done.

use std::time::Duration;

use events::{Context, OrderId, RecordedEvent};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::Value;
use service_kit::{
    auth::ServiceToken,
    config::Secret,
    instances::{Blame, CallError, Instances, Repeat},
    trace::{Outgoing, TRACEPARENT, TraceContext},
};

/// A whole request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Whom the tokens name. Idempotency keys are kept per subject, so it never changes.
const SUBJECT: &str = "fulfilment";
/// Events that are asked for at a time: what is missing are few.
const PAGE: u16 = 1_000;
/// Enough of an answer to say what is wrong.
const DETAIL: usize = 300;

/// A command as it goes out. It may be sent any number of times, by its key or because the aggregate knows it.
#[derive(Debug)]
pub struct Command<'a> {
    /// To which context.
    pub context: Context,
    /// The path behind `/v1/{context}`.
    pub path: String,
    /// The idempotency key, if it has one.
    pub key: Option<&'a str>,
    /// The trace that it is part of.
    pub traceparent: Option<&'a str>,
    /// The body.
    pub body: Value,
}

/// Why a command was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A rule of the domain refuses it: it had no effect.
    #[error("{rule}: {detail}")]
    Rule {
        /// The rule's name, which is part of the API.
        rule: String,
        /// What it says to people.
        detail: String,
    },
    /// Nobody knows whether it had an effect.
    #[error("{0}")]
    Unknown(String),
}

/// A client of the command services that there are.
pub struct CommandService {
    http: Client,
    instances: Instances,
    token: ServiceToken,
}

/// What one instance made of a command.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Answered(CommandError),
    #[error("{0}")]
    NotReached(reqwest::Error),
    #[error("{0}")]
    Failed(String),
}

/// Some events of a stream.
#[derive(Default, Deserialize)]
struct Page {
    events: Vec<RecordedEvent>,
}

/// The problem that an answer carries.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    rule: Option<String>,
}

impl CommandService {
    /// A client of these instances, which trust tokens signed with `secret`.
    pub fn new(instances: Instances, secret: Secret) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).build()?;
        Ok(Self { http, instances, token: ServiceToken::new(secret, SUBJECT) })
    }

    /// Sends a command to one instance after the other, until one has an answer to it. `Ok` is that it was accepted, now or
    /// when it was sent before.
    pub async fn send(&self, command: &Command<'_>) -> Result<(), CommandError> {
        let Command { context, path, key, traceparent, body } = command;
        let trace = traceparent.and_then(|parent| parent.parse::<TraceContext>().ok());
        let request = |base: String| {
            let asking = Outgoing::begin("POST", &base, trace);
            let request = self.http.post(format!("{base}/v1/{context}{path}")).json(body);
            let request = match key {
                Some(key) => request.header("idempotency-key", *key),
                None => request,
            };
            (request, asking)
        };
        self.call(*context, request).await.map(drop)
    }

    /// Some events of an order after version `after`, in their order, as the event store has them.
    pub async fn order_events(&self, order: OrderId, after: u64) -> Result<Vec<RecordedEvent>, CommandError> {
        let request = |base: String| {
            let request = self.http.get(format!("{base}/v1/orders/{order}/events?after={after}&limit={PAGE}"));
            (request, Outgoing::begin("GET", &base, None))
        };
        let response = self.call(Context::Orders, request).await?;
        let page: Page = response.json().await.map_err(|error| CommandError::Unknown(error.to_string()))?;
        Ok(page.events)
    }

    async fn call(
        &self,
        context: Context,
        request: impl Fn(String) -> (RequestBuilder, Outgoing),
    ) -> Result<Response, CommandError> {
        let token = self.token.get().map_err(|error| CommandError::Unknown(format!("no token: {error}")))?;
        let blame = |trouble: &Trouble| match trouble {
            Trouble::Answered(_) => Blame::Answered,
            Trouble::NotReached(_) => Blame::NotReached,
            Trouble::Failed(_) => Blame::Failed,
        };
        let call = |base: String| {
            let (request, asking) = request(base);
            exchange(request.bearer_auth(&token), asking)
        };
        let called = self.instances.call(Some(context.name()), Repeat::Failed, blame, call).await;
        called.map_err(|error| match error {
            CallError::Failed { error: Trouble::Answered(answer), .. } => answer,
            other => CommandError::Unknown(other.to_string()),
        })
    }
}

async fn exchange(request: RequestBuilder, mut asking: Outgoing) -> Result<Response, Trouble> {
    let answer = request.header(TRACEPARENT, asking.traceparent()).send().await;
    match &answer {
        Ok(response) => asking.answered(response.status().as_u16()),
        Err(error) => asking.failed(error),
    }
    match answer {
        Ok(response) if response.status().is_success() => Ok(response),
        Ok(response) => Err(trouble(response).await),
        Err(error) if error.is_connect() => Err(Trouble::NotReached(error)),
        Err(error) => Err(Trouble::Failed(error.to_string())),
    }
}

/// Only a rule of the domain says that something was not done. Everything else (a gateway's answer, a wrong token, an
/// overload, a process that runs other contexts, a defect) says nothing about it.
async fn trouble(response: Response) -> Trouble {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    match problem.rule {
        Some(rule) if status.is_client_error() => Trouble::Answered(CommandError::Rule { rule, detail: problem.detail }),
        _ => {
            let text: String = format!("{} {}", problem.title, problem.detail).trim().chars().take(DETAIL).collect();
            Trouble::Failed(format!("it answered {status}: {text}"))
        }
    }
}
