//! What operators decide.

use chrono::Utc;
use events::{
    OrderId,
    text::{ProviderReference, Reason},
};
use sqlx::PgConnection;

use super::{PostgresError, Store, hearing::count, row};
use crate::domain::saga::{Input, Step};

/// What an operator decides about the step under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// It is to be taken again now.
    Retry,
    /// It is done: by the operator, or as they have found out. What the provider calls it, where it was asked of one.
    Skip(Option<ProviderReference>),
    /// It is not done, and the order is to be cancelled, for this reason.
    Abort(Reason),
}

impl Verb {
    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip(_) => "skip",
            Self::Abort(_) => "abort",
        }
    }
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// There is no saga of this order.
    #[error("there is no saga of this order")]
    NotFound,
    /// No step is under way, or the saga is too far for it.
    #[error("there is nothing to {0}")]
    Nothing(&'static str),
    /// Its outcome may be known in a moment.
    #[error("the step is being taken at this moment")]
    BeingTaken,
    /// A statement failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

impl From<sqlx::Error> for OperateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl Store {
    /// Carries out what an operator, `who`, has decided.
    pub async fn operate(&self, order: OrderId, verb: &Verb, who: &str) -> Result<(), OperateError> {
        let mut transaction = self.pool.begin().await?;
        let mut rows = row::lock(&mut transaction, &[order.0]).await?;
        let mut row = rows.remove(&order).ok_or(OperateError::NotFound)?;
        if is_being_taken(&mut transaction, order).await? {
            return Err(OperateError::BeingTaken);
        }
        let under_way = row.saga.under_way.as_ref().map(|under_way| under_way.step);
        let input = match verb {
            Verb::Retry => Input::Retry,
            Verb::Skip(reference) => {
                match (under_way, reference) {
                    (Some(Step::Authorise), Some(reference)) => row.authorisation = Some(reference.clone()),
                    (Some(Step::Capture), Some(reference)) => row.capture = Some(reference.clone()),
                    (_, _) => {}
                }
                Input::Skip
            }
            Verb::Abort(reason) => Input::Abort(reason.clone()),
        };
        if !row.hear(input) {
            return Err(OperateError::Nothing(verb.name()));
        }
        note(&mut transaction, order, under_way, verb, who).await?;
        let came = row.save(&mut transaction, &self.patience).await?;
        transaction.commit().await?;
        count(came);
        Ok(())
    }
}

async fn is_being_taken(on: &mut PgConnection, order: OrderId) -> Result<bool, PostgresError> {
    let taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM fulfilment.effects WHERE order_id = $1 AND token IS NOT NULL AND due > now()
           ) AS "taken!""#,
        order.0,
    );
    Ok(taken.fetch_one(on).await?)
}

async fn note(on: &mut PgConnection, order: OrderId, step: Option<Step>, verb: &Verb, who: &str) -> Result<(), PostgresError> {
    let detail = match verb {
        Verb::Retry => None,
        Verb::Skip(reference) => reference.as_ref().map(ProviderReference::as_str),
        Verb::Abort(reason) => Some(reason.as_str()),
    };
    sqlx::query!(
        "INSERT INTO fulfilment.attempts (order_id, at, took_ms, step, key, outcome, detail, who)
         VALUES ($1, $2, 0, $3, $4, $5, $6, $7)",
        order.0,
        Utc::now(),
        step.map_or("", Step::name),
        step.map_or_else(String::new, Step::key),
        verb.name(),
        detail,
        who,
    )
    .execute(on)
    .await?;
    Ok(())
}
