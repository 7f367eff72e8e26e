//! Webhook endpoints: whose they are, where they are, and how they are doing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Uuid;

use super::{PostgresError, PostgresStore};
use crate::domain::{
    cloudevent::{self, Disabled},
    effect::{Effect, Kind},
    subscription::{EventTypes, Subscription},
};

/// A new endpoint.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Its id.
    pub endpoint_id: Uuid,
    /// Whose it is: the `sub` of their tokens.
    pub owner: String,
    /// Where deliveries go.
    pub url: String,
    /// What it gets.
    pub event_types: Vec<EventTypes>,
    /// Its signing key, sealed.
    pub secret: Vec<u8>,
}

/// An endpoint as its owner sees it: without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: String,
    /// Where deliveries go.
    pub url: String,
    /// What it gets.
    pub event_types: Vec<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// Since when it exists.
    pub created_at: DateTime<Utc>,
    /// Failures since the last success.
    pub failures: i32,
    /// When those began.
    pub failing_since: Option<DateTime<Utc>>,
    /// When it was disabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Why it was.
    pub disabled_why: Option<String>,
}

/// Where a delivery goes and what signs it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The URL.
    pub url: String,
    /// The signing key, sealed.
    pub secret: Vec<u8>,
}

/// How an endpoint is doing after another failure.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// When the failures began.
    pub since: DateTime<Utc>,
    /// The time by the database's clock.
    pub now: DateTime<Utc>,
}

impl PostgresStore {
    /// Adds an endpoint; false when there is one with this id.
    pub async fn add_endpoint(&self, new: &NewEndpoint) -> Result<bool, PostgresError> {
        let event_types: Vec<String> = new.event_types.iter().map(ToString::to_string).collect();
        let added = sqlx::query!(
            "INSERT INTO notifier.endpoints (endpoint_id, owner, url, event_types, secret) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            new.endpoint_id,
            new.owner,
            new.url,
            &event_types,
            new.secret,
        )
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() > 0)
    }

    /// The endpoints of an owner, or all; at most `most`, the newest first.
    pub async fn endpoints(&self, owner: Option<&str>, most: i64) -> Result<Vec<Endpoint>, PostgresError> {
        let found = sqlx::query_as!(
            Endpoint,
            "SELECT endpoint_id AS id, owner, url, event_types, status, created_at, failures, failing_since, disabled_at, disabled_why
             FROM notifier.endpoints WHERE $1::text IS NULL OR owner = $1 ORDER BY created_at DESC, endpoint_id LIMIT $2",
            owner,
            most,
        );
        Ok(found.fetch_all(&self.pool).await?)
    }

    /// One endpoint.
    pub async fn endpoint(&self, endpoint_id: Uuid) -> Result<Option<Endpoint>, PostgresError> {
        let found = sqlx::query_as!(
            Endpoint,
            "SELECT endpoint_id AS id, owner, url, event_types, status, created_at, failures, failing_since, disabled_at, disabled_why
             FROM notifier.endpoints WHERE endpoint_id = $1",
            endpoint_id,
        );
        Ok(found.fetch_optional(&self.pool).await?)
    }

    /// The endpoints that something is sent to.
    pub async fn active_endpoints(&self) -> Result<Vec<Uuid>, PostgresError> {
        let found = sqlx::query_scalar!("SELECT endpoint_id FROM notifier.endpoints WHERE status = 'active'");
        Ok(found.fetch_all(&self.pool).await?)
    }

    /// Where an active endpoint's deliveries go.
    pub async fn destination(&self, endpoint_id: Uuid) -> Result<Option<Destination>, PostgresError> {
        let found = sqlx::query_as!(
            Destination,
            "SELECT url, secret FROM notifier.endpoints WHERE endpoint_id = $1 AND status = 'active'",
            endpoint_id,
        );
        Ok(found.fetch_optional(&self.pool).await?)
    }

    /// Removes an endpoint with its log. The ledger keeps what was sent to it; what was not will not be.
    pub async fn delete_endpoint(&self, endpoint_id: Uuid) -> Result<(), PostgresError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!("DELETE FROM notifier.endpoints WHERE endpoint_id = $1", endpoint_id).execute(&mut *transaction).await?;
        sqlx::query!(
            "UPDATE notifier.effects SET state = 'skipped', cause = 'the endpoint was deleted', settled_at = now()
             WHERE mailbox = 'webhook:' || $1::uuid::text AND state = 'pending'",
            endpoint_id,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes a disabled endpoint active again; what waits goes out. False when it is active.
    pub async fn enable_endpoint(&self, endpoint_id: Uuid, by: &str) -> Result<bool, PostgresError> {
        let enabled = sqlx::query!(
            "WITH enabled AS (
                 UPDATE notifier.endpoints SET status = 'active', failures = 0, failing_since = NULL, disabled_at = NULL, disabled_why = NULL
                 WHERE endpoint_id = $1 AND status = 'disabled' RETURNING endpoint_id
             )
             INSERT INTO notifier.endpoint_log (endpoint_id, what, why) SELECT endpoint_id, 'enabled', $2 FROM enabled",
            endpoint_id,
            by,
        )
        .execute(&self.pool)
        .await?;
        Ok(enabled.rows_affected() > 0)
    }

    /// Notes that a delivery succeeded after others had failed.
    pub async fn endpoint_recovered(&self, endpoint_id: Uuid) -> Result<(), PostgresError> {
        sqlx::query!(
            "UPDATE notifier.endpoints SET failures = 0, failing_since = NULL WHERE endpoint_id = $1 AND failures > 0",
            endpoint_id,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes that a delivery failed; none when the endpoint is gone.
    pub async fn endpoint_failed(&self, endpoint_id: Uuid) -> Result<Option<Failing>, PostgresError> {
        let found = sqlx::query_as!(
            Failing,
            r#"UPDATE notifier.endpoints SET failures = failures + 1, failing_since = COALESCE(failing_since, now())
               WHERE endpoint_id = $1 RETURNING failing_since AS "since!", now() AS "now!""#,
            endpoint_id,
        );
        Ok(found.fetch_optional(&self.pool).await?)
    }

    /// Disables an endpoint, with an entry in its log, and tells its owner at those of their other endpoints that ask for
    /// that. False when it was disabled already.
    pub async fn disable_endpoint(&self, disabled: &Disabled, at: DateTime<Utc>) -> Result<bool, PostgresError> {
        let mut transaction = self.pool.begin().await?;
        let owner = sqlx::query_scalar!(
            "UPDATE notifier.endpoints SET status = 'disabled', disabled_at = now(), disabled_why = $2
             WHERE endpoint_id = $1 AND status = 'active' RETURNING owner",
            disabled.endpoint_id,
            disabled.cause,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(owner) = owner else { return Ok(false) };
        sqlx::query!(
            "INSERT INTO notifier.endpoint_log (endpoint_id, what, why) VALUES ($1, 'disabled', $2)",
            disabled.endpoint_id,
            disabled.cause,
        )
        .execute(&mut *transaction)
        .await?;
        let others =
            sqlx::query!("SELECT endpoint_id, event_types FROM notifier.endpoints WHERE owner = $1 AND status = 'active'", owner)
                .fetch_all(&mut *transaction)
                .await?;
        let event_id = Uuid::now_v7();
        for other in others {
            let event_types = other.event_types.iter().filter_map(|types| EventTypes::parse(types).ok()).collect();
            let subscription = Subscription { endpoint: other.endpoint_id, event_types };
            if !subscription.includes(cloudevent::DISABLED) {
                continue;
            }
            let payload =
                cloudevent::disabled(event_id, at, disabled).map_err(|error| PostgresError(sqlx::Error::Encode(error.into())))?;
            let effect = Effect {
                event_id: event_id.into(),
                event_type: cloudevent::DISABLED.to_owned(),
                kind: Kind::Webhook,
                recipient: other.endpoint_id,
                payload,
            };
            sqlx::query!(
                "INSERT INTO notifier.effects (effect_id, event_id, kind, recipient, event_type, mailbox, payload, state, due_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', now())",
                effect.id(),
                event_id,
                effect.kind.name(),
                effect.recipient,
                effect.event_type,
                effect.mailbox().to_string(),
                effect.payload,
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
