//! The write side over HTTP: commands, and what its answers mean to whoever has to know whether something was done.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use service_kit::{
    auth::{self, Role},
    config::Secret,
    trace::{TRACEPARENT, TraceContext},
};

/// A whole request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a token is good for, and how long before its end the next one is made.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// Whom the tokens name. Idempotency keys are kept per subject, so it never changes.
const SUBJECT: &str = "fulfilment";
/// Enough of an answer to say what is wrong.
const DETAIL: usize = 300;

/// A command as it goes out.
#[derive(Debug)]
pub struct Command<'a> {
    /// The path, from `/v1` on.
    pub path: String,
    /// The idempotency key, where the aggregate itself does not know what it was told before.
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

/// A client of command services, of which each will do.
pub struct CommandService {
    http: Client,
    bases: Vec<String>,
    turn: AtomicUsize,
    secret: Secret,
    token: Mutex<Option<(String, Instant)>>,
}

/// The problem that an answer carries.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    rule: Option<String>,
}

/// What one instance made of a command.
enum Attempt {
    Settled(Result<(), CommandError>),
    /// It has not got it, or has nothing to do with it: another one may.
    Elsewhere(String),
}

impl CommandService {
    /// A client of the command services at `bases`, which trust tokens signed with `secret`.
    pub fn new(bases: &[String], secret: Secret) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).build()?;
        let bases = bases.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, bases, turn: AtomicUsize::new(0), secret, token: Mutex::default() })
    }

    /// Sends a command to one instance after the other, until one has an answer to it. `Ok` is that it was accepted, now or
    /// when it was sent before.
    pub async fn send(&self, command: &Command<'_>) -> Result<(), CommandError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut why = "there is no command service".to_owned();
        for offset in 0..self.bases.len() {
            let base = &self.bases[first.wrapping_add(offset) % self.bases.len()];
            match self.send_to(base, command).await {
                Attempt::Settled(outcome) => return outcome,
                Attempt::Elsewhere(cause) => why = cause,
            }
        }
        Err(CommandError::Unknown(why))
    }

    async fn send_to(&self, base: &str, command: &Command<'_>) -> Attempt {
        let token = match self.token() {
            Ok(token) => token,
            Err(error) => return Attempt::Settled(Err(CommandError::Unknown(format!("no token: {error}")))),
        };
        let trace = command.traceparent.and_then(|parent| parent.parse::<TraceContext>().ok());
        let trace = trace.map_or_else(TraceContext::new, |parent| parent.child());
        let request = self.http.post(format!("{base}{}", command.path)).bearer_auth(token).json(&command.body);
        let mut request = request.header(TRACEPARENT, trace.to_string());
        if let Some(key) = command.key {
            request = request.header("idempotency-key", key);
        }
        match request.send().await {
            Ok(response) => answered(response).await,
            Err(error) if error.is_connect() => Attempt::Elsewhere(format!("no connection to {base}: {error}")),
            Err(error) => Attempt::Settled(Err(CommandError::Unknown(format!("no answer from {base}: {error}")))),
        }
    }

    fn token(&self) -> Result<String, auth::MintError> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, made)) = &*token
            && made.elapsed() + TOKEN_MARGIN < TOKEN_LIFE
        {
            return Ok(token.clone());
        }
        let fresh = auth::mint(&self.secret, SUBJECT, &[Role::Service], TOKEN_LIFE)?;
        *token = Some((fresh.clone(), Instant::now()));
        Ok(fresh)
    }
}

/// Only a rule of the domain says that something was not done. Everything else (a gateway's answer, a wrong token, an
/// overload, a defect) says nothing about it.
async fn answered(response: Response) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Settled(Ok(()));
    }
    let body = response.bytes().await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    match problem.rule {
        Some(rule) if status.is_client_error() => {
            Attempt::Settled(Err(CommandError::Rule { rule, detail: problem.detail }))
        }
        _ => {
            let text: String = format!("{} {}", problem.title, problem.detail).trim().chars().take(DETAIL).collect();
            let cause = format!("the command service answered {status}: {text}");
            // It runs other contexts only.
            if status == StatusCode::NOT_FOUND {
                return Attempt::Elsewhere(cause);
            }
            Attempt::Settled(Err(CommandError::Unknown(cause)))
        }
    }
}
