//! The effect ledger, as mailboxes use it: what is due is taken up, and what came of it is written down.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Uuid;

use super::{PostgresError, PostgresStore, to_u32};
use crate::{
    application::sender::{Outcome, Taken},
    domain::effect::Mailbox,
};

/// What becomes of an effect after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was sent.
    Sent,
    /// It is due again after this time.
    Again(Duration),
    /// Nobody is left to send it to.
    Skipped,
    /// It is given up.
    Failed,
}

/// What became of one effect.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// The event that it follows from.
    pub event_id: Uuid,
    /// The message id that its recipient sees.
    pub message_id: Uuid,
    /// What it is.
    pub kind: String,
    /// An endpoint or a user.
    pub recipient: Uuid,
    /// `pending`, `sent`, `skipped` or `failed`.
    pub state: String,
    /// Times that it was taken up.
    pub attempts: i32,
    /// When it was settled; none while it waits.
    pub settled_at: Option<DateTime<Utc>>,
    /// What the provider answered.
    pub receipt: Option<String>,
    /// Why it is not sent.
    pub cause: Option<String>,
}

impl PostgresStore {
    /// Takes up to `most` due effects of a mailbox. Each is due again after `lease`, so that whoever dies with it in hand
    /// leaves it for later, and nobody else takes it up meanwhile.
    pub async fn take(&self, mailbox: Mailbox, most: u16, lease: Duration) -> Result<Vec<Taken>, PostgresError> {
        let rows = sqlx::query!(
            r#"UPDATE notifier.effects SET attempts = attempts + 1, tries = tries + 1, due_at = now() + make_interval(secs => $3)
               WHERE effect_id IN (
                   SELECT effect_id FROM notifier.effects WHERE mailbox = $1 AND state = 'pending' AND due_at <= now()
                   ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
               )
               RETURNING effect_id, event_id, kind, recipient, event_type, payload, attempts, tries,
                   EXTRACT(EPOCH FROM now() - begun_at)::float8 AS "age!""#,
            mailbox.to_string(),
            i64::from(most),
            lease.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        let taken = rows.into_iter().filter_map(|row| {
            Some(Taken {
                id: row.effect_id,
                event_id: row.event_id,
                // Written by a later version: it will be taken up by one of those.
                kind: row.kind.parse().ok()?,
                recipient: row.recipient,
                event_type: row.event_type,
                payload: row.payload,
                attempt: row.attempts,
                tries: to_u32(row.tries),
                age: Duration::from_secs_f64(row.age.max(0.0)),
            })
        });
        Ok(taken.collect())
    }

    /// How long until something in this mailbox is due; none when it is empty.
    pub async fn next_due(&self, mailbox: Mailbox) -> Result<Option<Duration>, PostgresError> {
        let seconds = sqlx::query_scalar!(
            "SELECT EXTRACT(EPOCH FROM min(due_at) - now())::float8 FROM notifier.effects WHERE mailbox = $1 AND state = 'pending'",
            mailbox.to_string(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
    }

    /// Writes down what came of an attempt. That something was sent is true whoever has taken it up since; anything else
    /// only counts from the attempt that is the last.
    pub async fn settle(&self, taken: &Taken, outcome: &Outcome, fate: Fate, took: Duration) -> Result<(), PostgresError> {
        let (state, pause) = match fate {
            Fate::Sent => ("sent", Duration::ZERO),
            Fate::Again(pause) => ("pending", pause),
            Fate::Skipped => ("skipped", Duration::ZERO),
            Fate::Failed => ("failed", Duration::ZERO),
        };
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "UPDATE notifier.effects SET state = $3, receipt = COALESCE($4, receipt), cause = $5,
                 settled_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END, due_at = now() + make_interval(secs => $6)
             WHERE effect_id = $1 AND ($3 = 'sent' OR (attempts = $2 AND state = 'pending'))",
            taken.id,
            taken.attempt,
            state,
            outcome.receipt(),
            outcome.cause(),
            pause.as_secs_f64(),
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "INSERT INTO notifier.attempts (effect_id, attempt, outcome, status, cause, duration_ms) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
            taken.id,
            taken.attempt,
            outcome.name(),
            outcome.status().map(i32::from),
            outcome.cause(),
            i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What waits, by channel: how many effects, and for how long the oldest of them has.
    pub async fn pending(&self) -> Result<Vec<(String, i64, f64)>, PostgresError> {
        let rows = sqlx::query!(
            r#"SELECT split_part(mailbox, ':', 1) AS "channel!", count(*) AS "count!",
                   EXTRACT(EPOCH FROM now() - min(begun_at))::float8 AS "oldest!"
               FROM notifier.effects WHERE state = 'pending' GROUP BY 1"#
        );
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.channel, row.count, row.oldest)).collect())
    }

    /// What follows from these events, the first `most` of it in the order of being made.
    pub async fn receipts(&self, events: &[Uuid], most: u16) -> Result<Vec<Receipt>, PostgresError> {
        let found = sqlx::query_as!(
            Receipt,
            "SELECT event_id, effect_id AS message_id, kind, recipient, state, attempts, settled_at, receipt, cause
             FROM notifier.effects WHERE event_id = ANY ($1) ORDER BY created_at, effect_id LIMIT $2",
            events,
            i64::from(most),
        );
        Ok(found.fetch_all(&self.pool).await?)
    }

    /// How many effects of each kind are in each state.
    pub async fn summary(&self) -> Result<Vec<(String, String, i64)>, PostgresError> {
        let rows = sqlx::query!(
            r#"SELECT kind, state, count(*) AS "count!" FROM notifier.effects GROUP BY kind, state ORDER BY kind, state"#
        );
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.kind, row.state, row.count)).collect())
    }

    /// The states of these effects, those that are in the ledger.
    pub async fn states(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, PostgresError> {
        let rows = sqlx::query!("SELECT effect_id, state FROM notifier.effects WHERE effect_id = ANY ($1)", ids);
        Ok(rows.fetch_all(&self.pool).await?.into_iter().map(|row| (row.effect_id, row.state)).collect())
    }
}
