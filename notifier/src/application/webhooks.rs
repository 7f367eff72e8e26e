//! Webhook endpoints: made with a secret that is shown once, and seen by nobody but their owner and admins.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::DataKey;
use serde::Serialize;
use uuid::Uuid;

use super::mailboxes::Mailboxes;
use crate::{
    domain::{
        effect::Mailbox,
        secret::{SecretError, SigningKey},
        subscription::EventTypes,
    },
    outbound::postgres::{
        PostgresError, PostgresStore,
        deliveries::{Delivery, Happening},
        endpoints::{Endpoint, NewEndpoint},
    },
};

/// Event types and patterns of one endpoint, at most.
pub const MOST_TYPES: usize = 50;
/// Entries of lists, at most.
const MOST_ENDPOINTS: i64 = 1_000;
const MOST_HAPPENINGS: i64 = 100;

/// Who asks: whose endpoints they see.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Their own.
    Owner(&'a str),
    /// All.
    Admin(&'a str),
}

impl<'a> Asker<'a> {
    fn subject(self) -> &'a str {
        match self {
            Self::Owner(subject) | Self::Admin(subject) => subject,
        }
    }

    fn may_see(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Owner(subject) => endpoint.owner == subject,
            Self::Admin(_) => true,
        }
    }
}

/// What an endpoint is made of.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its id, or none for a new one.
    pub id: Option<Uuid>,
    /// Where deliveries go; checked.
    pub url: String,
    /// What it gets.
    pub event_types: Vec<EventTypes>,
    /// The signing key, or none for a random one.
    pub key: Option<SigningKey>,
}

/// A new endpoint, with its secret.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// `whsec_…`: not to be seen again.
    pub secret: String,
}

/// One endpoint with what happened to it.
#[derive(Debug, Clone, Serialize)]
pub struct Details {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// When it was disabled and enabled.
    pub log: Vec<Happening>,
}

/// Why it can't be done.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is no such endpoint, or it is somebody else's.
    #[error("there is no such webhook")]
    Unknown,
    /// There is no such message at this endpoint.
    #[error("the webhook has no such message")]
    UnknownMessage,
    /// There is one with this id.
    #[error("there is a webhook with this id")]
    Exists,
    /// The secret can't be sealed or opened.
    #[error("a secret can't be sealed")]
    Seal(#[from] events::PersonalError),
    /// What was sealed is no key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

/// Seals signing keys under the notifier's own key, as keys of personal data are under theirs.
#[derive(Debug, Clone)]
pub struct Vault(DataKey);

impl Vault {
    /// With the notifier's key.
    #[must_use]
    pub const fn new(key: DataKey) -> Self {
        Self(key)
    }

    /// Seals an endpoint's signing key; it opens for that endpoint only.
    pub fn seal(&self, endpoint: Uuid, key: &SigningKey) -> Result<Vec<u8>, events::PersonalError> {
        self.0.seal_bytes(endpoint, key.as_bytes())
    }

    /// Opens it.
    pub fn open(&self, endpoint: Uuid, sealed: &[u8]) -> Result<SigningKey, WebhookError> {
        Ok(SigningKey::from_bytes(self.0.open_bytes(endpoint, sealed)?)?)
    }

    /// A new random signing key.
    fn generate() -> Result<SigningKey, SecretError> {
        // From the operating system, as every key here.
        SigningKey::from_bytes(DataKey::generate().as_bytes().to_vec())
    }
}

/// What owners may do.
#[derive(Clone)]
pub struct Webhooks {
    store: PostgresStore,
    vault: Vault,
    mailboxes: Arc<Mailboxes>,
}

impl Webhooks {
    /// Over the notifier's tables.
    #[must_use]
    pub fn new(store: PostgresStore, vault: Vault, mailboxes: Arc<Mailboxes>) -> Self {
        Self { store, vault, mailboxes }
    }

    /// Makes an endpoint. It gets what is handled from now on.
    pub async fn make(&self, asker: Asker<'_>, wanted: Wanted) -> Result<Made, WebhookError> {
        let endpoint_id = wanted.id.unwrap_or_else(Uuid::now_v7);
        let key = wanted.key.map_or_else(Vault::generate, Ok)?;
        let new = NewEndpoint {
            endpoint_id,
            owner: asker.subject().to_owned(),
            url: wanted.url,
            event_types: wanted.event_types,
            secret: self.vault.seal(endpoint_id, &key)?,
        };
        if !self.store.add_endpoint(&new).await? {
            return Err(WebhookError::Exists);
        }
        self.mailboxes.endpoints_changed();
        let endpoint = self.store.endpoint(endpoint_id).await?.ok_or(WebhookError::Unknown)?;
        Ok(Made { endpoint, secret: key.written() })
    }

    /// The asker's endpoints, or all; the newest first.
    pub async fn list(&self, asker: Asker<'_>) -> Result<Vec<Endpoint>, WebhookError> {
        let owner = match asker {
            Asker::Owner(subject) => Some(subject),
            Asker::Admin(_) => None,
        };
        Ok(self.store.endpoints(owner, MOST_ENDPOINTS).await?)
    }

    /// One endpoint.
    pub async fn show(&self, asker: Asker<'_>, endpoint_id: Uuid) -> Result<Details, WebhookError> {
        let endpoint = self.find(asker, endpoint_id).await?;
        Ok(Details { endpoint, log: self.store.happenings(endpoint_id, MOST_HAPPENINGS).await? })
    }

    /// Removes an endpoint. What is on its way arrives.
    pub async fn delete(&self, asker: Asker<'_>, endpoint_id: Uuid) -> Result<(), WebhookError> {
        self.find(asker, endpoint_id).await?;
        self.store.delete_endpoint(endpoint_id).await?;
        self.mailboxes.endpoints_changed();
        Ok(())
    }

    /// Makes a disabled endpoint active again.
    pub async fn enable(&self, asker: Asker<'_>, endpoint_id: Uuid) -> Result<Details, WebhookError> {
        self.find(asker, endpoint_id).await?;
        if self.store.enable_endpoint(endpoint_id, asker.subject()).await? {
            self.mailboxes.endpoints_changed();
        }
        self.show(asker, endpoint_id).await
    }

    /// What was and is to be delivered to an endpoint, the newest first.
    pub async fn deliveries(
        &self,
        asker: Asker<'_>,
        endpoint_id: Uuid,
        before: Option<DateTime<Utc>>,
        most: u16,
    ) -> Result<Vec<Delivery>, WebhookError> {
        self.find(asker, endpoint_id).await?;
        Ok(self.store.deliveries(endpoint_id, before, i64::from(most)).await?)
    }

    /// Delivers a message again, under the same id.
    pub async fn redeliver(&self, asker: Asker<'_>, endpoint_id: Uuid, message_id: Uuid) -> Result<(), WebhookError> {
        self.find(asker, endpoint_id).await?;
        if !self.store.redeliver(endpoint_id, message_id).await? {
            return Err(WebhookError::UnknownMessage);
        }
        self.mailboxes.wake(&[Mailbox::Webhook(endpoint_id)].into());
        Ok(())
    }

    async fn find(&self, asker: Asker<'_>, endpoint_id: Uuid) -> Result<Endpoint, WebhookError> {
        let found = self.store.endpoint(endpoint_id).await?;
        found.filter(|endpoint| asker.may_see(endpoint)).ok_or(WebhookError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_open_for_their_endpoint_only() {
        let vault = Vault::new(DataKey::from_bytes([7; 32]));
        let key = Vault::generate().unwrap();
        let sealed = vault.seal(Uuid::from_u128(1), &key).unwrap();
        assert!(!sealed.windows(8).any(|bytes| key.as_bytes().starts_with(bytes)));
        assert_eq!(vault.open(Uuid::from_u128(1), &sealed).unwrap(), key);
        assert!(vault.open(Uuid::from_u128(2), &sealed).is_err());
        assert!(Vault::new(DataKey::from_bytes([8; 32])).open(Uuid::from_u128(1), &sealed).is_err());
    }
}
