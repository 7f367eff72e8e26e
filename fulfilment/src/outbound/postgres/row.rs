//! A saga under its row's lock: read, changed by what it hears, and written with the effects of that.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::{OrderId, UserId, text::ProviderReference};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Patience, PostgresError};
use crate::{
    application::ids,
    domain::saga::{Effect, Input, Saga, Stage, Step, UnderWay, react},
};

/// A saga that this transaction has locked, or is about to make.
pub(super) struct Row {
    pub(super) saga: Saga,
    pub(super) version: i64,
    round: i32,
    /// None for one that is there already.
    made: Option<Made>,
    was: Stage,
    /// The step that stood refused.
    was_refused: Option<Step>,
    /// The step that was under way.
    was_under_way: Option<Step>,
    effects: Vec<Effect>,
    has_changed: bool,
    pub(super) authorisation: Option<ProviderReference>,
    pub(super) capture: Option<ProviderReference>,
}

/// What a new one has that never changes.
pub(super) struct Made {
    pub(super) user_id: Option<UserId>,
    pub(super) placed_at: DateTime<Utc>,
    pub(super) traceparent: Option<String>,
}

/// What a written saga has come to, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It goes on.
    On,
    /// It is cancelled, for the reason of this name.
    Cancelled(&'static str),
    /// It is fulfilled.
    Fulfilled,
}

impl Row {
    /// One that begins now.
    pub(super) fn begin(saga: Saga, made: Made) -> Self {
        let mut row = Self {
            saga,
            version: 0,
            round: 0,
            made: Some(made),
            was: Stage::Running,
            was_refused: None,
            was_under_way: None,
            effects: Vec::new(),
            has_changed: false,
            authorisation: None,
            capture: None,
        };
        row.hear(Input::Begun);
        row
    }

    /// Lets it hear something, and says whether that has changed anything.
    pub(super) fn hear(&mut self, input: Input) -> bool {
        let (saga, effects) = react(self.saga.clone(), input);
        let changed = saga != self.saga || !effects.is_empty();
        self.saga = saga;
        self.effects.extend(effects);
        self.has_changed |= changed;
        changed
    }

    /// Notes that the order is at this version.
    pub(super) fn is_at(&mut self, version: i64) {
        self.has_changed |= version != self.version;
        self.version = version;
    }

    /// Writes it with its effects and its timer.
    pub(super) async fn save(mut self, on: &mut PgConnection, patience: &Patience) -> Result<Came, PostgresError> {
        if !self.has_changed {
            return Ok(Came::On);
        }
        let taken = self.effects.iter().any(|effect| matches!(effect, Effect::Take(_)));
        if taken {
            // A refusal that a person does not accept is no answer to the same question: it needs a key of its own.
            let step = self.saga.under_way.as_ref().map(|under_way| under_way.step);
            self.round = match self.was_refused {
                Some(refused) if step == Some(refused) => self.round + 1,
                // Asked again without an answer: under the same key.
                None if self.was_under_way.is_some() && step == self.was_under_way => self.round,
                Some(_) | None => 0,
            };
        }
        let stage = self.saga.stage();
        self.write(on, stage).await?;
        self.write_effect(on, taken).await?;
        self.write_timer(on, patience).await?;
        Ok(match stage {
            _ if stage == self.was && self.made.is_none() => Came::On,
            Stage::Cancelled => Came::Cancelled(self.saga.ending.as_ref().map_or("cancelled", |ending| ending.name())),
            Stage::Fulfilled => Came::Fulfilled,
            Stage::Running | Stage::Confirmed | Stage::Ending | Stage::Stuck => Came::On,
        })
    }

    async fn write(&self, on: &mut PgConnection, stage: Stage) -> Result<(), PostgresError> {
        let ending = self.saga.ending.as_ref().map(|ending| ending.name());
        let (authorisation, capture) = (text(self.authorisation.as_ref()), text(self.capture.as_ref()));
        if let Some(made) = &self.made {
            sqlx::query!(
                "INSERT INTO fulfilment.sagas
                     (order_id, user_id, version, state, stage, ending, round, authorisation, capture, traceparent, placed_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                self.saga.order_id.0,
                made.user_id.map(|user| user.0),
                self.version,
                Json(&self.saga) as _,
                name(stage),
                ending,
                self.round,
                authorisation,
                capture,
                made.traceparent,
                made.placed_at,
            )
            .execute(on)
            .await?;
            return Ok(());
        }
        sqlx::query!(
            "UPDATE fulfilment.sagas
             SET version = $2, state = $3, stage = $4, ending = $5, round = $6, authorisation = $7, capture = $8, changed_at = now()
             WHERE order_id = $1",
            self.saga.order_id.0,
            self.version,
            Json(&self.saga) as _,
            name(stage),
            ending,
            self.round,
            authorisation,
            capture,
        )
        .execute(on)
        .await?;
        Ok(())
    }

    async fn write_effect(&self, on: &mut PgConnection, taken: bool) -> Result<(), PostgresError> {
        let order = self.saga.order_id;
        match &self.saga.under_way {
            Some(UnderWay { step, refused: None }) if taken => {
                let key = ids::key(order, *step, u32::try_from(self.round).unwrap_or_default());
                sqlx::query!(
                    "INSERT INTO fulfilment.effects (order_id, step, key, due) VALUES ($1, $2, $3, now())
                     ON CONFLICT (order_id) DO UPDATE
                     SET step = excluded.step, key = excluded.key, due = excluded.due,
                         attempts = 0, token = NULL, parked_at = NULL, error = NULL",
                    order.0,
                    Json(step) as _,
                    key,
                )
                .execute(on)
                .await?;
            }
            // It is being taken already.
            Some(UnderWay { refused: None, .. }) => {}
            Some(UnderWay { refused: Some(_), .. }) | None => {
                sqlx::query!("DELETE FROM fulfilment.effects WHERE order_id = $1", order.0).execute(on).await?;
            }
        }
        Ok(())
    }

    async fn write_timer(&self, on: &mut PgConnection, patience: &Patience) -> Result<(), PostgresError> {
        let order = self.saga.order_id.0;
        match self.effects.iter().rev().find(|effect| matches!(effect, Effect::StartTimer | Effect::StopTimer)) {
            Some(Effect::StartTimer) => {
                let due = Utc::now() + TimeDelta::from_std(patience.payment).unwrap_or(TimeDelta::MAX);
                sqlx::query!("INSERT INTO fulfilment.timers (order_id, due) VALUES ($1, $2)", order, due).execute(on).await?;
            }
            Some(Effect::StopTimer) => {
                sqlx::query!("DELETE FROM fulfilment.timers WHERE order_id = $1", order).execute(on).await?;
            }
            Some(Effect::Take(_)) | None => {}
        }
        Ok(())
    }
}

/// Locks the sagas of these orders, as far as there are any. Always in one order, so that nobody waits in a circle.
pub(super) async fn lock(on: &mut PgConnection, orders: &[Uuid]) -> Result<HashMap<OrderId, Row>, PostgresError> {
    let rows = sqlx::query!(
        r#"SELECT version, state AS "state: Json<Saga>", round, authorisation, capture
           FROM fulfilment.sagas WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE"#,
        orders,
    )
    .fetch_all(on)
    .await?;
    let locked = rows.into_iter().map(|row| {
        let saga = row.state.0;
        let refused = saga.under_way.as_ref().filter(|under_way| under_way.refused.is_some());
        let row = Row {
            was: saga.stage(),
            was_refused: refused.map(|under_way| under_way.step),
            was_under_way: saga.under_way.as_ref().map(|under_way| under_way.step),
            version: row.version,
            round: row.round,
            made: None,
            effects: Vec::new(),
            has_changed: false,
            authorisation: reference(row.authorisation),
            capture: reference(row.capture),
            saga,
        };
        (row.saga.order_id, row)
    });
    Ok(locked.collect())
}

/// A stage as it is stored and shown.
pub(super) const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Running => "running",
        Stage::Confirmed => "confirmed",
        Stage::Fulfilled => "fulfilled",
        Stage::Ending => "ending",
        Stage::Cancelled => "cancelled",
        Stage::Stuck => "stuck",
    }
}

/// A provider's reference as it was stored.
pub(super) fn reference(text: Option<String>) -> Option<ProviderReference> {
    text.and_then(|text| ProviderReference::parse(&text).ok())
}

fn text(reference: Option<&ProviderReference>) -> Option<&str> {
    reference.map(ProviderReference::as_str)
}
