//! Opening a context's store: schema, migrations, what is fixed for its life, and the census of event types.

use std::{str::FromStr, time::Duration};

use chrono::Utc;
use events::Context;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::{PostgresError, idempotency};
use crate::application::lane::Lanes;

/// How long an idle reader connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(300);
/// How long a request waits for a reader connection before it is told that Postgres is away.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long a relay or a writer waits for one: nobody waits for the first, and many for the second.
const ACQUIRE_RELAY: Duration = Duration::from_secs(10);

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is malformed.
    #[error("the database URL of context {context} is malformed: {source}")]
    Url {
        /// The context.
        context: Context,
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A migration failed.
    #[error("the migrations of context {context} failed: {source}")]
    Migration {
        /// The context.
        context: Context,
        /// What went wrong.
        source: sqlx::migrate::MigrateError,
    },
    /// The store was made with other settings.
    #[error(
        "the store of context {context} was made with {setting}={made}, which is fixed for its life; the configuration says {asked}"
    )]
    Settings {
        /// The context.
        context: Context,
        /// Which setting.
        setting: &'static str,
        /// What it has.
        made: u16,
        /// What was asked for.
        asked: u16,
    },
    /// The store holds events that this build can't read.
    #[error("context {context} holds events of types that this build can't read: {}; run a build that knows them", .types.join(", "))]
    UnreadableTypes {
        /// The context.
        context: Context,
        /// The types.
        types: Vec<String>,
    },
}

/// What is fixed for a store's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// The number of lanes.
    pub lanes: Lanes,
    /// The number of relay groups that share them. Without one a store keeps what it was made with, and a new one gets
    /// [`Self::RELAY_GROUPS`].
    pub relay_groups: Option<u16>,
}

impl StoreSettings {
    /// The relay groups of a new store. A second one publishes no more events, and costs: every transaction of either
    /// writes to nearly all partitions.
    pub const RELAY_GROUPS: u16 = 1;
}

/// One context's event store.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    context: Context,
    pool: PgPool,
    relay_pool: PgPool,
    options: PgConnectOptions,
    lanes: Lanes,
    relay_groups: u16,
    store_id: Uuid,
}

impl PostgresStore {
    /// Connects, migrates and checks the store of `context`, making it with `settings` if it is new.
    pub async fn open(context: Context, url: &str, settings: StoreSettings, readable_types: &[&str]) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|source| StoreError::Url { context, source })?
            .options([("search_path", context.name())])
            .disable_statement_logging();
        let (store_id, relay_groups) = prepare(context, &options, settings, readable_types).await?;
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(POOL_IDLE)
            .connect_lazy_with(options.clone().application_name(&format!("orderflow-{context}-reader")));
        let relay_pool = PgPoolOptions::new()
            // One for each group, one that listens, two for what looks at the heads, two for writers.
            .max_connections(u32::from(relay_groups) + 5)
            .acquire_timeout(ACQUIRE_RELAY)
            .idle_timeout(POOL_IDLE)
            .connect_lazy_with(options.clone().application_name(&format!("orderflow-{context}-relay")));
        Ok(Self { context, pool, relay_pool, options, lanes: settings.lanes, relay_groups, store_id })
    }

    /// The context.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context
    }

    /// The number of lanes.
    #[must_use]
    pub fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// The number of relay groups.
    #[must_use]
    pub fn relay_groups(&self) -> u16 {
        self.relay_groups
    }

    /// The store's own id, made with it.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.store_id
    }

    /// Connections for the relay, for writers, and for what follows other processes: requests that crowd the other pool don't
    /// delay them, and they have the patience that a machine without time asks for.
    #[must_use]
    pub fn relay_pool(&self) -> &PgPool {
        &self.relay_pool
    }

    /// Connections for requests.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection of one's own, under a name by which it can be found in `pg_stat_activity`, with these settings.
    pub async fn connect(&self, name: &str, settings: &[(&str, &str)]) -> Result<PgConnection, PostgresError> {
        let options = self.options.clone().application_name(name).options(settings.iter().copied());
        Ok(PgConnection::connect_with(&options).await?)
    }
}

/// Makes what is missing and checks what there is, on one connection that may take its time. Gives the store's id and its
/// relay groups.
async fn prepare(
    context: Context,
    options: &PgConnectOptions,
    settings: StoreSettings,
    readable_types: &[&str],
) -> Result<(Uuid, u16), StoreError> {
    // What exists already is no news.
    let quiet = [("client_min_messages", "warning")];
    let options = options.clone().application_name(&format!("orderflow-{context}-start")).options(quiet);
    let mut connection = PgConnection::connect_with(&options).await.map_err(PostgresError::from)?;
    make_schema(context, &mut connection).await?;
    sqlx::migrate!().run(&mut connection).await.map_err(|source| StoreError::Migration { context, source })?;
    let made = check_settings(context, &mut connection, settings).await?;
    check_types(context, &mut connection, readable_types).await?;
    idempotency::maintain(&mut connection, Utc::now().date_naive()).await?;
    connection.close().await.map_err(PostgresError::from)?;
    Ok(made)
}

async fn make_schema(context: Context, connection: &mut PgConnection) -> Result<(), PostgresError> {
    let mut transaction = connection.begin().await?;
    // IF NOT EXISTS alone is not safe against two instances that start at once.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('orderflow schema', 0))").execute(&mut *transaction).await?;
    sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {context}"))).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn check_settings(
    context: Context,
    connection: &mut PgConnection,
    asked: StoreSettings,
) -> Result<(Uuid, u16), StoreError> {
    let new_groups = asked.relay_groups.unwrap_or(StoreSettings::RELAY_GROUPS);
    sqlx::query!(
        "INSERT INTO store (store_id, lanes, relay_groups) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        Uuid::now_v7(),
        i16::try_from(asked.lanes.count()).unwrap_or(i16::MAX),
        i16::try_from(new_groups).unwrap_or(i16::MAX),
    )
    .execute(&mut *connection)
    .await
    .map_err(PostgresError::from)?;
    let store = sqlx::query!("SELECT store_id, lanes, relay_groups FROM store")
        .fetch_one(connection)
        .await
        .map_err(PostgresError::from)?;
    let lanes = u16::try_from(store.lanes).unwrap_or_default();
    let relay_groups = u16::try_from(store.relay_groups).unwrap_or_default();
    let asked_groups = asked.relay_groups.unwrap_or(relay_groups);
    for (setting, made, asked) in [("LANES", lanes, asked.lanes.count()), ("RELAY_GROUPS", relay_groups, asked_groups)] {
        if made != asked {
            return Err(StoreError::Settings { context, setting, made, asked });
        }
    }
    Ok((store.store_id, relay_groups))
}

async fn check_types(context: Context, connection: &mut PgConnection, readable: &[&str]) -> Result<(), StoreError> {
    let stored = sqlx::query_scalar!("SELECT event_type FROM event_types ORDER BY event_type")
        .fetch_all(connection)
        .await
        .map_err(PostgresError::from)?;
    let types: Vec<String> = stored.into_iter().filter(|stored| !readable.contains(&stored.as_str())).collect();
    if types.is_empty() { Ok(()) } else { Err(StoreError::UnreadableTypes { context, types }) }
}
