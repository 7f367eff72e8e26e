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
    pub async fn hear(&self, heard: &[Heard], since: Option<DateTime<Utc>>) -> Result<(), PostgresError> {
        let mut orders: Vec<_> = heard.iter().map(|heard| heard.order_id.0).collect();
        orders.sort_unstable();
        orders.dedup();
        let mut transaction = self.pool.begin().await?;
        let mut rows = row::lock(&mut transaction, &orders).await?;
        for heard in heard {
            hear(&mut rows, heard, since);
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

fn hear(rows: &mut HashMap<OrderId, Row>, heard: &Heard, since: Option<DateTime<Utc>>) {
    let version = i64::try_from(heard.version).unwrap_or(i64::MAX);
    if let Some(row) = rows.get_mut(&heard.order_id) {
        if row.version + 1 < version {
            tracing::warn!(order.id = %heard.order_id, saga.version = row.version, stream.version = version,
                "events of an order are missing: what they told is not known to its saga");
        }
        // What comes again was heard.
        if row.version < version {
            row.hear(Input::Order(heard.event.clone()));
            row.is_at(version);
        }
        return;
    }
    let OrderEvent::Placed(placed) = &heard.event else { return };
    if since.is_some_and(|since| heard.recorded_at < since) {
        return;
    }
    let Some(saga) = Saga::begin(heard.order_id, placed) else { return };
    let made = Made { user_id: placed.user_id, placed_at: heard.recorded_at, traceparent: heard.traceparent.clone() };
    let mut row = Row::begin(saga, made);
    row.is_at(version);
    rows.insert(heard.order_id, row);
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
