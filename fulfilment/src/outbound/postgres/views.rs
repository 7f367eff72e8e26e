//! What is shown of sagas.

use chrono::{DateTime, Utc};
use events::{Money, OrderId, ProductId, UserId};
use serde::Serialize;
use sqlx::types::Json;

use super::{PostgresError, Store};
use crate::domain::saga::{OrderState, Payment, Saga, Step, StockState};

/// Where sagas are, and how many are in each place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Where: a stage (`running`, `confirmed`, `fulfilled`, `ending`, `cancelled`, `stuck`, `parked`).
    pub stage: String,
    /// Why it was turned round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
    /// How many.
    pub sagas: i64,
}

/// What is gauged: sagas that are not at their end, by stage, and timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    /// By stage.
    pub sagas: Vec<(String, i64)>,
    /// Timers that run.
    pub timers: i64,
}

/// Which sagas to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only in this stage.
    pub stage: Option<String>,
    /// At most.
    pub limit: i64,
}

/// Some sagas, and where all of them are.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// All of them, counted.
    pub counts: Vec<Count>,
    /// Those that were asked for, oldest first.
    pub sagas: Vec<Line>,
}

/// A saga in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The order.
    pub order_id: OrderId,
    /// Where it is.
    pub stage: String,
    /// Why it was turned round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
    /// The step under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How many times it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// Why there is no outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
    /// When anything became known last.
    pub changed_at: DateTime<Utc>,
}

/// One saga.
#[derive(Debug, Clone, Serialize)]
pub struct SagaView {
    /// The order.
    pub order_id: OrderId,
    /// Where it is.
    pub stage: String,
    /// Why it was turned round, in short and in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingView>,
    /// How far the order is.
    pub order: OrderState,
    /// How far the payment is.
    pub payment: Payment,
    /// What is paid.
    pub total: Money,
    /// What is needed of each product, and how far that is.
    pub stock: Vec<StockView>,
    /// Returns that are to be paid back.
    pub refunds: usize,
    /// Returns that are paid back.
    pub refunded: usize,
    /// The step under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepView>,
    /// Until when the payment has to be authorised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_until: Option<DateTime<Utc>>,
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
    /// When anything became known last.
    pub changed_at: DateTime<Utc>,
    /// Every attempt, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<AttemptView>>,
    #[serde(skip)]
    user_id: Option<UserId>,
}

/// Why a saga was turned round.
#[derive(Debug, Clone, Serialize)]
pub struct EndingView {
    /// In short.
    pub name: &'static str,
    /// What the order says.
    pub reason: String,
}

/// How far the stock of a product is.
#[derive(Debug, Clone, Serialize)]
pub struct StockView {
    /// Which.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: u64,
    /// How far.
    pub state: StockState,
}

/// A step under way.
#[derive(Debug, Clone, Serialize)]
pub struct StepView {
    /// Which.
    pub name: &'static str,
    /// Its key, within the order.
    pub key: String,
    /// How many times it was begun.
    pub attempts: i32,
    /// When it is due next: not while it waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// Why there is no outcome yet, or why it was refused; for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An attempt at a step, or what an operator did.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// The step.
    pub step: String,
    /// The key that it was asked for under.
    pub key: String,
    /// What came of it.
    pub outcome: String,
    /// In words, or the provider's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

impl SagaView {
    /// Whose order it is.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        self.user_id
    }

    /// Without what is only an operator's business.
    #[must_use]
    pub fn for_its_owner(mut self) -> Self {
        self.attempts = None;
        if let Some(step) = &mut self.step {
            step.error = None;
        }
        self
    }
}

impl Store {
    /// One saga with all that was tried; none when there is none of this order.
    pub async fn view(&self, order: OrderId) -> Result<Option<SagaView>, PostgresError> {
        let found = sqlx::query!(
            r#"SELECT user_id, state AS "state: Json<Saga>", placed_at, changed_at,
                      CASE WHEN effect.parked_at IS NOT NULL THEN 'parked' ELSE stage END AS "stage!",
                      effect.key AS "key?", effect.attempts AS "attempts?", effect.due AS "due?", effect.error,
                      effect.parked_at, timer.due AS "payment_until?"
               FROM fulfilment.sagas AS saga
               LEFT JOIN fulfilment.effects AS effect USING (order_id)
               LEFT JOIN fulfilment.timers AS timer USING (order_id)
               WHERE order_id = $1"#,
            order.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let saga = found.state.0;
        let step = saga.under_way.as_ref().map(|under_way| StepView {
            name: under_way.step.name(),
            key: found.key.unwrap_or_else(|| under_way.step.key()),
            attempts: found.attempts.unwrap_or_default(),
            due: found.due.filter(|_| found.parked_at.is_none()),
            error: under_way.refused.as_ref().map(|reason| reason.as_str().to_owned()).or(found.error),
        });
        let stock = saga.stock.iter().map(|(product, stock)| StockView {
            product_id: *product,
            quantity: stock.quantity,
            state: stock.state,
        });
        Ok(Some(SagaView {
            order_id: order,
            stage: found.stage,
            ending: saga.ending.as_ref().map(|ending| EndingView { name: ending.name(), reason: ending.told() }),
            order: saga.order,
            payment: saga.payment,
            total: saga.total,
            stock: stock.collect(),
            refunds: saga.refunds.len(),
            refunded: saga.refunded.len(),
            step,
            payment_until: found.payment_until,
            placed_at: found.placed_at,
            changed_at: found.changed_at,
            attempts: Some(self.attempts(order).await?),
            user_id: found.user_id.map(UserId),
        }))
    }

    async fn attempts(&self, order: OrderId) -> Result<Vec<AttemptView>, PostgresError> {
        let attempts = sqlx::query_as!(
            AttemptView,
            "SELECT at, took_ms, step, key, outcome, detail, who FROM fulfilment.attempts WHERE order_id = $1 ORDER BY id",
            order.0,
        );
        Ok(attempts.fetch_all(&self.pool).await?)
    }

    /// Some sagas, and how many there are of each kind.
    pub async fn list(&self, filter: &Filter) -> Result<Listing, PostgresError> {
        let counts = sqlx::query_as!(
            Count,
            r#"SELECT CASE WHEN effect.parked_at IS NOT NULL THEN 'parked' ELSE stage END AS "stage!",
                      ending, count(*) AS "sagas!"
               FROM fulfilment.sagas AS saga LEFT JOIN fulfilment.effects AS effect USING (order_id)
               GROUP BY 1, 2 ORDER BY 1, 2"#,
        )
        .fetch_all(&self.pool)
        .await?;
        let sagas = sqlx::query!(
            r#"SELECT order_id, CASE WHEN effect.parked_at IS NOT NULL THEN 'parked' ELSE stage END AS "stage!", ending,
                      effect.step AS "step?: Json<Step>", effect.attempts AS "attempts?", effect.error, placed_at, changed_at
               FROM fulfilment.sagas AS saga LEFT JOIN fulfilment.effects AS effect USING (order_id)
               WHERE $1::text IS NULL OR CASE WHEN effect.parked_at IS NOT NULL THEN 'parked' ELSE stage END = $1
               ORDER BY placed_at, order_id LIMIT $2"#,
            filter.stage,
            filter.limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let line = sagas.into_iter().map(|row| Line {
            order_id: OrderId(row.order_id),
            stage: row.stage,
            ending: row.ending,
            step: row.step.map(|step| step.0.name().to_owned()),
            attempts: row.attempts,
            error: row.error,
            placed_at: row.placed_at,
            changed_at: row.changed_at,
        });
        Ok(Listing { counts, sagas: line.collect() })
    }

    /// What is gauged.
    pub async fn stages(&self) -> Result<Stages, PostgresError> {
        let sagas = sqlx::query!(
            r#"SELECT CASE WHEN effect.parked_at IS NOT NULL THEN 'parked' ELSE stage END AS "stage!", count(*) AS "sagas!"
               FROM fulfilment.sagas AS saga LEFT JOIN fulfilment.effects AS effect USING (order_id)
               WHERE stage IN ('running', 'confirmed', 'ending', 'stuck') GROUP BY 1"#,
        )
        .fetch_all(&self.pool)
        .await?;
        let timers = sqlx::query_scalar!(r#"SELECT count(*) AS "timers!" FROM fulfilment.timers"#).fetch_one(&self.pool).await?;
        Ok(Stages { sagas: sagas.into_iter().map(|row| (row.stage, row.sagas)).collect(), timers })
    }
}
