//! The notifier's HTTP API, as far as journeys need it: what became of the messages that follow from events.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use events::EventId;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::ServiceToken,
    config::Secret,
    instances::{Blame, CallError, Instances, Repeat},
};
use uuid::Uuid;

/// A whole request: a journey is not held up by a notifier that is.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why it did not tell.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// No token could be made.
    #[error("no token: {0}")]
    Token(String),
    /// None is there, or none answers.
    #[error("{0}")]
    Unreachable(#[from] CallError<reqwest::Error>),
    /// Its answer can't be read.
    #[error("its answer can't be read: {0}")]
    Answer(#[from] reqwest::Error),
}

/// What became of one message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(skip_serializing)]
    event_id: EventId,
    /// What its recipient knows it by.
    pub message_id: Uuid,
    /// What it is: `webhook`, `email.order-confirmed`, …
    pub kind: String,
    /// An endpoint or a user.
    pub recipient: Uuid,
    /// `pending`, `sent`, `skipped` or `failed`.
    pub state: String,
    /// Times that it was tried.
    pub attempts: u32,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// What whoever took it has answered.
    pub receipt: Option<String>,
    /// Why it is not sent.
    pub cause: Option<String>,
}

#[derive(Deserialize)]
struct Receipts {
    receipts: Vec<Receipt>,
}

/// A client of the notifiers that there are.
pub struct Notifier {
    http: Client,
    instances: Instances,
    token: ServiceToken,
}

impl Notifier {
    /// A client of these instances, which trust tokens signed with `secret`.
    pub fn new(instances: Instances, secret: Secret) -> Result<Self, reqwest::Error> {
        let http = Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, instances, token: ServiceToken::new(secret, "projector") })
    }

    /// What became of the messages that follow from these events, by event.
    pub async fn receipts(&self, events: &[EventId]) -> Result<HashMap<EventId, Vec<Receipt>>, NotifierError> {
        let token = self.token.get().map_err(|error| NotifierError::Token(error.to_string()))?;
        let ids: Vec<_> = events.iter().map(ToString::to_string).collect();
        let path = format!("/v1/notifications/receipts?events={}", ids.join(","));
        let ask = |base: String| {
            let request = self.http.get(base + &path).bearer_auth(&token);
            async move { request.send().await?.error_for_status() }
        };
        let blame = |error: &reqwest::Error| if error.is_connect() { Blame::NotReached } else { Blame::Failed };
        let answer = self.instances.call(None, Repeat::Failed, blame, ask).await?;
        let mut by_event = HashMap::<EventId, Vec<Receipt>>::new();
        for receipt in answer.json::<Receipts>().await?.receipts {
            by_event.entry(receipt.event_id).or_default().push(receipt);
        }
        Ok(by_event)
    }
}
