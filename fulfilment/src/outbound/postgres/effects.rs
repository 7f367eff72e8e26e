//! Steps that are to be taken: given to whoever has time, and what came of them.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use events::{OrderId, UserId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    PostgresError, Store,
    hearing::count,
    row::{self, reference},
};
use crate::{
    application::task::{Task, Tried},
    domain::saga::{Input, Outcome, Saga, Step},
};

/// The pause after the first attempt that told nothing; it doubles with each.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause between two attempts: what a repaired provider waits for at most.
const LONGEST: Duration = Duration::from_secs(300);

/// How an attempt went.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub tried: Tried,
}

/// What an attempt has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The saga has heard of it.
    Answered,
    /// It will be tried again.
    Again,
    /// It waits for a person.
    Parked,
    /// The lease was over, or an operator has decided meanwhile: it does not count.
    Late,
}

impl Store {
    /// Takes at most `most` steps that are due. Nobody else gets them before the lease is over.
    pub async fn take(&self, most: usize) -> Result<Vec<Task>, PostgresError> {
        let (most, lease) = (i64::try_from(most).unwrap_or(i64::MAX), self.patience.lease.as_secs_f64());
        let token = Uuid::new_v4();
        let mut transaction = self.pool.begin().await?;
        let taken = sqlx::query!(
            r#"WITH due AS MATERIALIZED (
                   SELECT order_id FROM fulfilment.effects WHERE parked_at IS NULL AND due <= now()
                   ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
               )
               UPDATE fulfilment.effects AS effect
               SET token = $2, attempts = attempts + 1, due = now() + make_interval(secs => $3)
               FROM due WHERE effect.order_id = due.order_id
               RETURNING effect.order_id, step AS "step: Json<Step>", key, attempts"#,
            most,
            token,
            lease,
        )
        .fetch_all(&mut *transaction)
        .await?;
        // In a statement of its own, which sees what the locks were waited for.
        let orders: Vec<Uuid> = taken.iter().map(|taken| taken.order_id).collect();
        let mut sagas = sagas(&mut transaction, &orders).await?;
        transaction.commit().await?;
        let task = taken.into_iter().filter_map(|taken| {
            let found = sagas.remove(&taken.order_id)?;
            Some(Task {
                order_id: OrderId(taken.order_id),
                user_id: found.user_id.map(UserId),
                saga: found.saga,
                step: taken.step.0,
                key: taken.key,
                token,
                attempt: u32::try_from(taken.attempts).unwrap_or(u32::MAX),
                authorisation: reference(found.authorisation),
                capture: reference(found.capture),
                traceparent: found.traceparent,
            })
        });
        Ok(task.collect())
    }

    /// Notes how an attempt went, and lets the saga hear it if it has told something.
    pub async fn settle(&self, task: &Task, attempt: &Attempt) -> Result<Settled, PostgresError> {
        let mut transaction = self.pool.begin().await?;
        let mut rows = row::lock(&mut transaction, &[task.order_id.0]).await?;
        let held = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM fulfilment.effects WHERE order_id = $1 AND token = $2) AS "held!""#,
            task.order_id.0,
            task.token,
        )
        .fetch_one(&mut *transaction)
        .await?;
        let (Some(mut row), true) = (rows.remove(&task.order_id), held) else {
            note(&mut transaction, task, attempt, "late").await?;
            transaction.commit().await?;
            return Ok(Settled::Late);
        };
        note(&mut transaction, task, attempt, attempt.tried.name()).await?;
        let outcome = match &attempt.tried {
            Tried::Done(reference) => {
                match task.step {
                    Step::Authorise => row.authorisation.clone_from(reference),
                    Step::Capture => row.capture.clone_from(reference),
                    Step::Reserve(_)
                    | Step::Confirm
                    | Step::Commit(_)
                    | Step::Refund(_)
                    | Step::Void
                    | Step::Release(_)
                    | Step::Cancel => {}
                }
                Outcome::Done
            }
            Tried::Refused(reason) => Outcome::Refused(reason.clone()),
            Tried::Unknown(why) => {
                let settled = self.again(&mut transaction, task, why).await?;
                transaction.commit().await?;
                return Ok(settled);
            }
        };
        row.hear(Input::Answered(task.step, outcome));
        let came = row.save(&mut transaction, &self.patience).await?;
        transaction.commit().await?;
        count(came);
        Ok(Settled::Answered)
    }

    /// Whether an attempt is one more than are made before a person has to look.
    #[must_use]
    pub fn is_too_many(&self, attempt: u32) -> bool {
        attempt > self.patience.attempts
    }

    /// The next attempt a while later, or none before a person has looked.
    async fn again(&self, on: &mut PgConnection, task: &Task, why: &str) -> Result<Settled, PostgresError> {
        if task.attempt >= self.patience.attempts {
            sqlx::query!(
                "UPDATE fulfilment.effects SET token = NULL, parked_at = now(), error = $2 WHERE order_id = $1",
                task.order_id.0,
                why,
            )
            .execute(on)
            .await?;
            return Ok(Settled::Parked);
        }
        sqlx::query!(
            "UPDATE fulfilment.effects SET token = NULL, due = now() + make_interval(secs => $2), error = $3 WHERE order_id = $1",
            task.order_id.0,
            pause(task.attempt).as_secs_f64(),
            why,
        )
        .execute(on)
        .await?;
        Ok(Settled::Again)
    }
}

/// The pause after this many attempts. Jitter keeps those that failed together from coming back together.
fn pause(attempts: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    LONGEST.min(doubled).mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

async fn note(on: &mut PgConnection, task: &Task, attempt: &Attempt, outcome: &str) -> Result<(), PostgresError> {
    let detail = match &attempt.tried {
        Tried::Done(reference) => reference.as_ref().map(|reference| reference.as_str().to_owned()),
        Tried::Refused(reason) => Some(reason.as_str().to_owned()),
        Tried::Unknown(why) => Some(why.clone()),
    };
    sqlx::query!(
        "INSERT INTO fulfilment.attempts (order_id, at, took_ms, step, key, outcome, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        task.order_id.0,
        attempt.at,
        i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
        task.step.name(),
        task.key,
        outcome,
        detail,
    )
    .execute(on)
    .await?;
    Ok(())
}

struct Found {
    user_id: Option<Uuid>,
    saga: Saga,
    authorisation: Option<String>,
    capture: Option<String>,
    traceparent: Option<String>,
}

async fn sagas(on: &mut PgConnection, orders: &[Uuid]) -> Result<HashMap<Uuid, Found>, PostgresError> {
    let rows = sqlx::query!(
        r#"SELECT order_id, user_id, state AS "state: Json<Saga>", authorisation, capture, traceparent
           FROM fulfilment.sagas WHERE order_id = ANY($1)"#,
        orders,
    )
    .fetch_all(on)
    .await?;
    let found = rows.into_iter().map(|row| {
        let (authorisation, capture, traceparent) = (row.authorisation, row.capture, row.traceparent);
        (row.order_id, Found { user_id: row.user_id, saga: row.state.0, authorisation, capture, traceparent })
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_somewhere() {
        assert!(pause(1) <= FIRST);
        assert!(pause(6) > FIRST);
        assert!((100..1_000).all(|attempts| pause(attempts) <= LONGEST));
    }
}
