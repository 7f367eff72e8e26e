//! Keys of personal data, fetched from the command service when they are needed and never kept: a key that was destroyed is
//! gone with the next message.

use std::{collections::HashMap, sync::Arc, time::Duration};

use events::{DataKey, Personal};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use service_kit::{
    auth::{MintError, ServiceToken},
    config::Secret,
};
use uuid::Uuid;

/// Whole requests; the message is tried again.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No connection, no answer in time, or an answer that is none.
    #[error("the command service does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// It answered something else than what was asked for.
    #[error("the command service answered {0}")]
    Refused(StatusCode),
    /// No token could be made.
    #[error("no token: {0}")]
    Token(#[from] MintError),
    /// It gave a key that is none.
    #[error("the command service gave a malformed key")]
    Malformed,
}

/// A client of the command service's endpoint for keys. Cloning shares it.
#[derive(Clone)]
pub struct PersonalKeys(Arc<Inner>);

struct Inner {
    http: Client,
    url: String,
    token: ServiceToken,
}

#[derive(Deserialize)]
struct Keys {
    keys: HashMap<Uuid, String>,
}

impl PersonalKeys {
    /// Of the command service at `base`, which trusts tokens signed with `secret`.
    pub fn new(base: &str, secret: Secret) -> Result<Self, KeyError> {
        let http = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build()?;
        let url = format!("{}/v1/personal-keys", base.trim_end_matches('/'));
        Ok(Self(Arc::new(Inner { http, url, token: ServiceToken::new(secret, "notifier") })))
    }

    /// A person's key; none when it was destroyed or there never was one.
    pub async fn key(&self, id: Uuid) -> Result<Option<DataKey>, KeyError> {
        let request = self.0.http.post(&self.0.url).bearer_auth(self.0.token.get()?).json(&json!({ "ids": [id] }));
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(KeyError::Refused(response.status()));
        }
        let answer: Keys = response.json().await?;
        answer.keys.get(&id).map(|key| DataKey::from_base64(key).map_err(|_| KeyError::Malformed)).transpose()
    }

    /// Opens something personal; none when it was erased. The error is the cause to be shown.
    pub async fn open<T: Serialize + DeserializeOwned>(&self, sealed: &Personal<T>) -> Result<Option<T>, String> {
        let key = self.key(sealed.kid).await.map_err(|error| error.to_string())?;
        key.map(|key| sealed.open(&key).map_err(|error| error.to_string())).transpose()
    }
}
