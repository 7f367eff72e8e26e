//! The delivery log of an endpoint.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Uuid;

use super::{PostgresError, PostgresStore};
use crate::domain::effect::Mailbox;

/// One message to an endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// Its id, as the receiver sees it in `webhook-id`.
    pub message_id: Uuid,
    /// The event that it tells of.
    pub event_id: Uuid,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// `pending`, `sent`, `skipped` or `failed`.
    pub state: String,
    /// Since when it is in the ledger.
    pub created_at: DateTime<Utc>,
    /// When it is tried (again), while it is pending.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was sent, skipped or given up.
    pub settled_at: Option<DateTime<Utc>>,
    /// What the receiver answered.
    pub receipt: Option<String>,
    /// Why it is not sent.
    pub cause: Option<String>,
    /// Each attempt, the first one first.
    pub attempts: Vec<Attempt>,
}

/// One attempt to deliver a message.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// Its number, from 1. A missing one was cut short: nobody knows what came of it.
    pub attempt: i32,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What came of it.
    pub outcome: String,
    /// The HTTP status.
    pub status: Option<i32>,
    /// What went wrong.
    pub cause: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
}

/// Something that happened to the endpoint itself.
#[derive(Debug, Clone, Serialize)]
pub struct Happening {
    /// When.
    pub at: DateTime<Utc>,
    /// `disabled` or `enabled`.
    pub what: String,
    /// Why, or by whom.
    pub why: Option<String>,
}

impl PostgresStore {
    /// The newest messages to an endpoint that are older than `before`, if given.
    pub async fn deliveries(
        &self,
        endpoint_id: Uuid,
        before: Option<DateTime<Utc>>,
        most: i64,
    ) -> Result<Vec<Delivery>, PostgresError> {
        let rows = sqlx::query!(
            "SELECT effect_id, event_id, event_type, state, created_at, due_at, settled_at, receipt, cause FROM notifier.effects
             WHERE mailbox = $1 AND ($2::timestamptz IS NULL OR created_at < $2) ORDER BY created_at DESC, effect_id LIMIT $3",
            Mailbox::Webhook(endpoint_id).to_string(),
            before,
            most,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut deliveries: Vec<Delivery> = rows
            .into_iter()
            .map(|row| Delivery {
                message_id: row.effect_id,
                event_id: row.event_id,
                event_type: row.event_type,
                due_at: (row.state == "pending").then_some(row.due_at),
                state: row.state,
                created_at: row.created_at,
                settled_at: row.settled_at,
                receipt: row.receipt,
                cause: row.cause,
                attempts: Vec::new(),
            })
            .collect();
        let ids: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.message_id).collect();
        let attempts = sqlx::query!(
            "SELECT effect_id, attempt, at, outcome, status, cause, duration_ms FROM notifier.attempts
             WHERE effect_id = ANY ($1) ORDER BY effect_id, attempt",
            &ids,
        );
        for row in attempts.fetch_all(&self.pool).await? {
            let Some(delivery) = deliveries.iter_mut().find(|delivery| delivery.message_id == row.effect_id) else { continue };
            delivery.attempts.push(Attempt {
                attempt: row.attempt,
                at: row.at,
                outcome: row.outcome,
                status: row.status,
                cause: row.cause,
                duration_ms: row.duration_ms,
            });
        }
        Ok(deliveries)
    }

    /// What happened to an endpoint itself, the newest first.
    pub async fn happenings(&self, endpoint_id: Uuid, most: i64) -> Result<Vec<Happening>, PostgresError> {
        let found = sqlx::query_as!(
            Happening,
            "SELECT at, what, why FROM notifier.endpoint_log WHERE endpoint_id = $1 ORDER BY at DESC LIMIT $2",
            endpoint_id,
            most,
        );
        Ok(found.fetch_all(&self.pool).await?)
    }

    /// Makes a message due again, under the same id, whatever became of it. False when the endpoint has no such message.
    pub async fn redeliver(&self, endpoint_id: Uuid, message_id: Uuid) -> Result<bool, PostgresError> {
        let made_due = sqlx::query!(
            "UPDATE notifier.effects SET state = 'pending', tries = 0, due_at = now(), begun_at = now(), settled_at = NULL
             WHERE effect_id = $1 AND mailbox = $2",
            message_id,
            Mailbox::Webhook(endpoint_id).to_string(),
        );
        Ok(made_due.execute(&self.pool).await?.rows_affected() > 0)
    }
}
