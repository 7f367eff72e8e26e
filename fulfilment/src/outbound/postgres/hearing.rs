//! What happened to orders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::{OrderEvent, OrderId};

use super::{
    PostgresError, Store,
    row::{self, Came, Made, Row},
};
use crate::domain::saga::{Input, Saga};

/// Something that happened to an order.
#[derive(Debug, Clone)]
pub struct Heard {
    /// To which.
    pub order_id: OrderId,
    /// The order's version after it.
    pub version: u64,
    /// What.
    pub event: OrderEvent,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// Why nothing was heard.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    /// Events of an order are missing: those after version `after` and up to `until`.
    #[error("the events of order {order} after version {after} and up to {until} are missing")]
    Missing {
        /// The order.
        order: OrderId,
        /// The last version that was heard of.
        after: u64,
        /// The last version that is missing.
        until: u64,
    },
    /// A statement failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

impl From<sqlx::Error> for HearError {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(error.into())
    }
}

/// What to do about events that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaps {
    /// Nothing is heard before they are there.
    Refuse,
    /// They can't be had: go on without what they told.
    Pass,
}

/// A record that could not be read.
#[derive(Debug, Clone, Copy)]
pub struct Unreadable<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// What is wrong with it.
    pub cause: &'a str,
}

impl Store {
    /// Lets sagas hear what happened, in this order, in one transaction. What they have heard before changes nothing; an
    /// order that another system carries out, or that was placed before `since`, has no saga.
    pub async fn hear(&self, heard: &[Heard], since: Option<DateTime<Utc>>, gaps: Gaps) -> Result<(), HearError> {
        let mut orders: Vec<_> = heard.iter().map(|heard| heard.order_id.0).collect();
        orders.sort_unstable();
        orders.dedup();
        let mut transaction = self.pool.begin().await?;
        let mut rows = row::lock(&mut transaction, &orders).await?;
        for heard in heard {
            hear(&mut rows, heard, since, gaps)?;
        }
        let mut came = Vec::with_capacity(rows.len());
        for row in rows.into_values() {
            came.push(row.save(&mut transaction, &self.patience).await?);
        }
        transaction.commit().await?;
        came.into_iter().for_each(count);
        Ok(())
    }

    /// Keeps a record that is passed over. Keeping it again changes nothing.
    pub async fn keep(&self, unreadable: Unreadable<'_>) -> Result<(), PostgresError> {
        sqlx::query!(
            r#"INSERT INTO fulfilment.unreadable (topic, partition, "offset", key, cause) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING"#,
            unreadable.topic,
            unreadable.partition,
            unreadable.offset,
            unreadable.key,
            unreadable.cause,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn hear(rows: &mut HashMap<OrderId, Row>, heard: &Heard, since: Option<DateTime<Utc>>, gaps: Gaps) -> Result<(), HearError> {
    let version = i64::try_from(heard.version).unwrap_or(i64::MAX);
    if let Some(row) = rows.get_mut(&heard.order_id) {
        let next = row.version + 1;
        match gaps {
            Gaps::Refuse if next < version => {
                let after = u64::try_from(row.version).unwrap_or_default();
                return Err(HearError::Missing { order: heard.order_id, after, until: heard.version - 1 });
            }
            Gaps::Pass if next < version => {
                tracing::error!(order.id = %heard.order_id, saga.version = row.version, stream.version = version,
                    "events of an order can't be had: its saga goes on without what they told");
            }
            Gaps::Refuse | Gaps::Pass => {}
        }
        // What comes again was heard.
        if row.version < version {
            row.hear(Input::Order(heard.event.clone()));
            row.is_at(version);
        }
        return Ok(());
    }
    // Of an order that is none of ours, unless it begins here.
    let OrderEvent::Placed(placed) = &heard.event else { return Ok(()) };
    if since.is_some_and(|since| heard.recorded_at < since) {
        return Ok(());
    }
    let Some(saga) = Saga::begin(heard.order_id, placed) else { return Ok(()) };
    let made = Made { user_id: placed.user_id, placed_at: heard.recorded_at, traceparent: heard.traceparent.clone() };
    let mut row = Row::begin(saga, made);
    row.is_at(version);
    rows.insert(heard.order_id, row);
    Ok(())
}

/// Counts the sagas that have come to an end.
pub(super) fn count(came: Came) {
    let end = match came {
        Came::On => return,
        Came::Cancelled(ending) => ending,
        Came::Fulfilled => "fulfilled",
    };
    metrics::counter!("orderflow_sagas_ended_total", "ending" => end).increment(1);
}
