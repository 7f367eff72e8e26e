//! A client as it should be: it keeps the key of what it sends, and sends it again until it knows.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::Utc;
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use service_kit::{
    auth::{Role, mint},
    config::Secret,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    context::Context,
    ledger::{Entry, Fact, Ledger},
    stack::JWT_SECRET,
};

/// How long one attempt may take: longer than a writer waits for a lock, shorter than anybody's patience.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long a command is sent again before the test fails: longer than any outage that a test makes.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long a token is valid: longer than any run.
const DAY: Duration = Duration::from_secs(86_400);
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// A command, and the events that it stands for when it is accepted.
#[derive(Debug, Clone)]
pub struct Command {
    /// Where.
    pub context: Context,
    /// Its name in a stream of commands; the path is derived from it.
    pub name: &'static str,
    /// The aggregate; none only for a creation whose id comes from its key.
    pub id: Option<Uuid>,
    /// The body.
    pub body: Value,
    /// The idempotency key.
    pub key: Option<String>,
    /// The version that the aggregate must have.
    pub if_match: Option<u64>,
    /// What it stands for.
    pub facts: Vec<Fact>,
}

impl Command {
    /// A command with a key of its own.
    #[must_use]
    pub fn new(context: Context, name: &'static str, id: Uuid, body: Value) -> Self {
        let key = Some(Uuid::new_v4().to_string());
        Self { context, name, id: Some(id), body, key, if_match: None, facts: Vec::new() }
    }

    /// Adds an event that it stands for.
    #[must_use]
    pub fn fact(mut self, event_type: &'static str, data: Value) -> Self {
        self.facts.push(Fact { event_type, data, personal: [].into() });
        self
    }

    /// Adds personal data to the last event.
    #[must_use]
    pub fn personal(mut self, field: &'static str, text: &str) -> Self {
        if let Some(fact) = self.facts.last_mut() {
            fact.personal.insert(field, text.to_owned());
        }
        self
    }

    fn request(&self) -> (Method, String, Value) {
        let (context, mut body) = (self.context, self.body.clone());
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        let reservation = self.body["reservation_id"].as_str().unwrap_or_default();
        let verb = match self.name {
            "register-user" | "create-product" | "place-order" | "request-payment" => {
                if self.id.is_some() {
                    body["id"] = json!(id);
                }
                return (Method::POST, format!("/v1/{context}"), body);
            }
            "change-user" | "change-product" => return (Method::PATCH, format!("/v1/{context}/{id}"), body),
            "release-stock" | "commit-stock" => {
                let verb = self.name.trim_end_matches("-stock");
                let path = format!("/v1/{context}/{id}/reservations/{reservation}/{verb}");
                return (Method::POST, path, json!({}));
            }
            "change-payment-method" => return (Method::PUT, format!("/v1/{context}/{id}/payment-method"), body),
            "confirm-capture" | "fail-capture" | "confirm-void" | "fail-void" | "confirm-refund" | "fail-refund" => {
                let (verb, step) = self.name.split_once('-').unwrap_or_default();
                let step_id = self.body[format!("{step}_id")].as_str().unwrap_or_default();
                return (Method::POST, format!("/v1/{context}/{id}/{step}s/{step_id}/{verb}"), body);
            }
            "request-capture" => "captures",
            "request-void" => "voids",
            "request-refund" => "refunds",
            "authorise-payment" => "authorise",
            "decline-payment" => "decline",
            "expire-payment" => "expire",
            "deactivate-user" => "deactivate",
            "adjust-stock" => "stock-adjustments",
            "discontinue-product" => "discontinue",
            "reserve-stock" => "reservations",
            "return-order" => "returns",
            order => order.trim_end_matches("-order"),
        };
        (Method::POST, format!("/v1/{context}/{id}/{verb}"), body)
    }

    fn line(&self) -> Value {
        json!({"command": self.name, "id": self.id, "key": self.key, "if_match": self.if_match, "data": self.body})
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The stream and its version.
    Accepted(Uuid, u64),
    /// The status and the problem.
    Refused(u16, Value),
    /// Nobody knows, and without a key it can't be sent again.
    Doubtful,
}

impl Answer {
    /// Whether it was accepted.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(..))
    }

    /// The stream and its version.
    ///
    /// # Panics
    ///
    /// When it was not accepted.
    pub fn accepted(self) -> (Uuid, u64) {
        match self {
            Self::Accepted(id, version) => (id, version),
            other => panic!("it was not accepted: {other:?}"),
        }
    }
}

/// A client of a stack's services.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    commands: Arc<[String]>,
    /// Where contexts are that have a command service of their own.
    apart: Arc<BTreeMap<Context, String>>,
    query: String,
    ledger: Arc<Ledger>,
    token: String,
    turn: Arc<AtomicUsize>,
}

impl Client {
    /// A client of these services that writes down in `ledger` what it is told.
    #[must_use]
    pub fn new(commands: Vec<String>, query: String, ledger: Arc<Ledger>) -> Self {
        let http = reqwest::Client::builder().timeout(ATTEMPT).build().expect("a client");
        Self { http, commands: commands.into(), apart: Arc::default(), query, ledger, token: token(), turn: Arc::default() }
    }

    /// The same for contexts that have command services of their own.
    #[must_use]
    pub fn apart(self, apart: BTreeMap<Context, String>) -> Self {
        Self { apart: apart.into(), ..self }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The context's command service, or one of those that have all; each time another one.
    fn command_url(&self, context: Context) -> &str {
        if let Some(own) = self.apart.get(&context) {
            return own;
        }
        &self.commands[self.turn.fetch_add(1, Ordering::Relaxed) % self.commands.len()]
    }

    /// Sends a command until its fate is known.
    pub async fn send(&self, command: &Command) -> Answer {
        let sent = self.ledger.tick();
        let deadline = Instant::now() + PATIENCE;
        let (method, path, body) = command.request();
        loop {
            let url = format!("{}{path}", self.command_url(command.context));
            let mut request = self.http.request(method.clone(), url).bearer_auth(&self.token).json(&body);
            if let Some(key) = &command.key {
                request = request.header("idempotency-key", key);
            }
            if let Some(version) = command.if_match {
                request = request.header(header::IF_MATCH, format!("\"{version}\""));
            }
            let (status, answer) = match read(request).await {
                Ok(answer) => answer,
                Err(error) => (0, json!(error.to_string())),
            };
            if let Some(answer) = self.settle(command, sent, status, answer.clone()) {
                return answer;
            }
            assert!(Instant::now() < deadline, "gave up on {command:?}: {status} {answer}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends commands in one stream (for each command service one), and those of which it got no answer again. All need keys
    /// and ids.
    pub async fn send_stream(&self, commands: &[Command]) -> Vec<Answer> {
        let sent = self.ledger.tick();
        let deadline = Instant::now() + PATIENCE;
        let mut answers = vec![None; commands.len()];
        loop {
            let open: Vec<usize> = (0..commands.len()).filter(|index| answers[*index].is_none()).collect();
            if open.is_empty() {
                return answers.into_iter().flatten().collect();
            }
            assert!(Instant::now() < deadline, "gave up on {} commands of a stream", open.len());
            for (url, open) in self.streams(commands, &open) {
                let body: String = open.iter().map(|index| format!("{}\n", commands[*index].line())).collect();
                let lines = self.stream_once(url, body).await;
                for (index, mut line) in open.into_iter().zip(lines) {
                    let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
                    let answer = if status < 300 { line } else { line["problem"].take() };
                    answers[index] = self.settle(&commands[index], sent, status, answer);
                }
            }
            if answers.iter().any(Option::is_none) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Which of the open commands go where.
    fn streams(&self, commands: &[Command], open: &[usize]) -> Vec<(&str, Vec<usize>)> {
        let mut streams: Vec<(&str, Vec<usize>)> = Vec::new();
        let one = self.command_url(commands[open[0]].context);
        for index in open {
            let url = self.apart.get(&commands[*index].context).map_or(one, String::as_str);
            match streams.iter_mut().find(|(known, _)| *known == url) {
                Some((_, stream)) => stream.push(*index),
                None => streams.push((url, vec![*index])),
            }
        }
        streams
    }

    /// The lines that were answered before the end, or before the connection broke.
    async fn stream_once(&self, url: &str, body: String) -> Vec<Value> {
        let request = self.http.post(format!("{url}/v1/commands")).bearer_auth(&self.token);
        let sent = request.header(header::CONTENT_TYPE, "application/x-ndjson").body(body).send().await;
        let Ok(response) = sent else { return Vec::new() };
        if !response.status().is_success() {
            return Vec::new();
        }
        let mut received = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(Ok(chunk)) = chunks.next().await {
            received.extend(chunk);
        }
        // What follows the last line feed is a line that was cut off.
        let whole = received.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = received[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("a line is JSON")).collect()
    }

    /// Writes down what is known now; none when it has to be sent again.
    fn settle(&self, command: &Command, sent: u64, status: u16, mut answer: Value) -> Option<Answer> {
        match status {
            200 | 201 => {
                let id = answer["id"].as_str().and_then(|id| id.parse().ok()).expect("an answer has an id");
                let number = |name: &str| answer[name].as_u64();
                let version = number("version").expect("an answer has a version");
                let lane = number("lane").and_then(|lane| u16::try_from(lane).ok()).expect("an answer has a lane");
                // Without a seq nothing was stored: it had been done before.
                if let Some(seq) = number("seq") {
                    let facts = command.facts.clone();
                    let (context, at) = (command.context, Utc::now());
                    let entry = Entry { context, id, version, lane, seq, facts, sent, answered: 0, at };
                    self.ledger.accepted(entry, command.key.as_deref());
                }
                Some(Answer::Accepted(id, version))
            }
            400..=499 => {
                self.ledger.refused(status);
                Some(Answer::Refused(status, answer.take()))
            }
            // Nothing arrived anywhere, or nobody knows.
            _ if command.key.is_some() => None,
            _ => {
                let id = command.id.expect("a command has an id or a key");
                self.ledger.doubtful(command.context, id, command.facts.len());
                Some(Answer::Doubtful)
            }
        }
    }

    /// Reads from the query service: status, headers' `ETag`, body.
    pub async fn read(&self, path: &str) -> reqwest::Result<(u16, String, Vec<u8>)> {
        let response = self.reading(path).send().await?;
        let status = response.status().as_u16();
        let etag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        Ok((status, etag, response.bytes().await?.to_vec()))
    }

    /// A request to the query service.
    pub fn reading(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.query)).bearer_auth(&self.token).timeout(Duration::from_secs(35))
    }

    /// A request to the command service of the context that the path begins with, as in `/v1/orders/…`.
    pub fn asking(&self, path: &str) -> RequestBuilder {
        let named = |context: &Context| path.strip_prefix("/v1/").is_some_and(|rest| rest.starts_with(context.name()));
        let context = Context::ALL.into_iter().find(named).unwrap_or(Context::Users);
        self.http.get(format!("{}{path}", self.command_url(context))).bearer_auth(&self.token)
    }
}

/// A token that may do all that the tests do.
#[must_use]
pub fn token() -> String {
    mint(&Secret::new(JWT_SECRET), "system-tests", &[Role::Staff, Role::Service], DAY).expect("a token")
}

async fn read(request: RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    let status: StatusCode = response.status();
    Ok((status.as_u16(), response.json().await?))
}
