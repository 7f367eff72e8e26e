//! The transaction in which records of a partition are handled: what is known of their streams, and all that follows.

use std::collections::{HashMap, HashSet};

use consumer::Position;
use events::Context;
use sqlx::{PgTransaction, types::Uuid};

use super::{PostgresError, PostgresStore, to_i64, to_u64};
use crate::{
    application::folding::{Changes, Folding},
    domain::{
        effect::Mailbox,
        plan::{OrderFacts, PaymentFacts},
        subscription::{EventTypes, Subscription},
    },
};

/// Records of one partition are being handled. Dropped, it changes nothing.
pub struct Handling {
    transaction: PgTransaction<'static>,
}

impl PostgresStore {
    /// Begins; waits for a process that has lost the partition and does not know it yet.
    pub async fn begin_handling(&self, position: &Position) -> Result<Handling, PostgresError> {
        let mut transaction = self.pool.begin().await?;
        let name = format!("notifier {}/{}", position.topic, position.partition);
        // A statement of its own: those that follow see what its holder has committed.
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name).execute(&mut *transaction).await?;
        Ok(Handling { transaction })
    }

    /// Keeps what could not be decoded.
    pub async fn keep_unreadable(&self, position: &Position, key: Option<&str>, why: &str) -> Result<(), PostgresError> {
        sqlx::query!(
            "INSERT INTO notifier.unreadable (topic, partition, record_offset, key, why) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            position.topic,
            position.partition,
            position.offset,
            key,
            why,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What is known of these streams now, for explaining: nothing is locked.
    pub async fn known(&self, context: Context, streams: &[Uuid]) -> Result<Folding, PostgresError> {
        let mut connection = self.pool.acquire().await?;
        known(&mut connection, context, streams).await
    }
}

impl Handling {
    /// What is known of these streams.
    pub async fn known(&mut self, context: Context, streams: &[Uuid]) -> Result<Folding, PostgresError> {
        known(&mut self.transaction, context, streams).await
    }

    /// Writes what was folded, all of it or nothing, and says whose mailboxes have something new.
    pub async fn commit(mut self, context: Context, changes: &Changes) -> Result<HashSet<Mailbox>, PostgresError> {
        self.write_versions(context, changes).await?;
        self.write_facts(changes).await?;
        let filled = self.write_effects(changes).await?;
        self.transaction.commit().await?;
        Ok(filled)
    }

    async fn write_versions(&mut self, context: Context, changes: &Changes) -> Result<(), PostgresError> {
        let (streams, versions): (Vec<Uuid>, Vec<i64>) =
            changes.versions.iter().map(|(stream, version)| (*stream, to_i64(*version))).unzip();
        sqlx::query!(
            "INSERT INTO notifier.streams (context, stream_id, version)
             SELECT $1, stream_id, version FROM UNNEST($2::uuid[], $3::bigint[]) AS new (stream_id, version)
             ON CONFLICT (context, stream_id) DO UPDATE SET version = excluded.version",
            context.name(),
            &streams,
            &versions,
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn write_facts(&mut self, changes: &Changes) -> Result<(), PostgresError> {
        for order in &changes.orders {
            sqlx::query!(
                "INSERT INTO notifier.orders (order_id, user_id, managed, currency, total, lines) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT DO NOTHING",
                order.order_id,
                order.facts.user_id.map(Uuid::from),
                order.facts.managed,
                order.currency,
                to_i64(order.total),
                order.lines,
            )
            .execute(&mut *self.transaction)
            .await?;
        }
        for (payment_id, facts) in &changes.payments {
            sqlx::query!(
                "INSERT INTO notifier.payments (payment_id, order_id, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                payment_id,
                facts.order_id.0,
                facts.user_id.map(Uuid::from),
            )
            .execute(&mut *self.transaction)
            .await?;
        }
        for (user_id, user) in &changes.users {
            sqlx::query!(
                "INSERT INTO notifier.users (user_id, name, email, active) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (user_id) DO UPDATE SET name = COALESCE(excluded.name, users.name),
                     email = COALESCE(excluded.email, users.email), active = users.active AND excluded.active",
                user_id,
                user.name,
                user.email,
                !user.closed,
            )
            .execute(&mut *self.transaction)
            .await?;
        }
        for (product_id, name) in &changes.products {
            sqlx::query!(
                "INSERT INTO notifier.products (product_id, name) VALUES ($1, $2)
                 ON CONFLICT (product_id) DO UPDATE SET name = excluded.name",
                product_id,
                name,
            )
            .execute(&mut *self.transaction)
            .await?;
        }
        Ok(())
    }

    async fn write_effects(&mut self, changes: &Changes) -> Result<HashSet<Mailbox>, PostgresError> {
        let mut filled = HashSet::new();
        for planned in &changes.effects {
            let effect = &planned.effect;
            // What is there already was planned before, whatever has become of it.
            let written = sqlx::query!(
                "INSERT INTO notifier.effects (effect_id, event_id, kind, recipient, event_type, mailbox, payload, state, due_at, settled_at, cause)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8::text IS NULL THEN 'pending' ELSE 'skipped' END, now(),
                     CASE WHEN $8::text IS NULL THEN NULL ELSE now() END, $8)
                 ON CONFLICT DO NOTHING",
                effect.id(),
                effect.event_id.0,
                effect.kind.name(),
                effect.recipient,
                effect.event_type,
                effect.mailbox().to_string(),
                effect.payload,
                planned.skipped,
            )
            .execute(&mut *self.transaction)
            .await?;
            if written.rows_affected() > 0 {
                let state = if planned.skipped.is_some() { "skipped" } else { "pending" };
                metrics::counter!("orderflow_notifier_effects_total", "kind" => effect.kind.name(), "state" => state)
                    .increment(1);
                if planned.skipped.is_none() {
                    filled.insert(effect.mailbox());
                }
            }
        }
        Ok(filled)
    }
}

async fn known(connection: &mut sqlx::PgConnection, context: Context, streams: &[Uuid]) -> Result<Folding, PostgresError> {
    let versions = sqlx::query!(
        "SELECT stream_id, version FROM notifier.streams WHERE context = $1 AND stream_id = ANY ($2)",
        context.name(),
        streams,
    )
    .fetch_all(&mut *connection)
    .await?;
    let versions = versions.into_iter().map(|row| (row.stream_id, to_u64(row.version))).collect();
    let mut orders = HashMap::new();
    let mut payments = HashMap::new();
    match context {
        Context::Orders => {
            let rows = sqlx::query!("SELECT order_id, user_id, managed FROM notifier.orders WHERE order_id = ANY ($1)", streams);
            for row in rows.fetch_all(&mut *connection).await? {
                orders.insert(row.order_id, OrderFacts { user_id: row.user_id.map(Into::into), managed: row.managed });
            }
        }
        Context::Payments => {
            let rows =
                sqlx::query!("SELECT payment_id, order_id, user_id FROM notifier.payments WHERE payment_id = ANY ($1)", streams);
            for row in rows.fetch_all(&mut *connection).await? {
                let facts = PaymentFacts { order_id: row.order_id.into(), user_id: row.user_id.map(Into::into) };
                payments.insert(row.payment_id, facts);
            }
        }
        Context::Users | Context::Products => {}
    }
    let rows =
        sqlx::query!("SELECT endpoint_id, event_types FROM notifier.endpoints WHERE status = 'active' ORDER BY endpoint_id");
    let subscriptions = rows.fetch_all(&mut *connection).await?.into_iter().map(|row| Subscription {
        endpoint: row.endpoint_id,
        event_types: row.event_types.iter().filter_map(|types| EventTypes::parse(types).ok()).collect(),
    });
    Ok(Folding::new(versions, orders, payments, subscriptions.collect()))
}
