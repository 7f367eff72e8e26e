//! Postgres: the notifier's own schema, `notifier`.

pub mod contacts;
pub mod deliveries;
pub mod endpoints;
pub mod handling;
pub mod ledger;
pub mod letters;

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// How long a request or a mailbox waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(300);
/// Connections: partitions, mailboxes and requests take turns.
const CONNECTIONS: u32 = 10;

/// Why a statement failed. Nothing here is told to callers.
#[derive(Debug, thiserror::Error)]
#[error("Postgres: {0}")]
pub struct PostgresError(#[from] sqlx::Error);

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is malformed.
    #[error("DATABASE_URL is malformed: {0}")]
    Url(#[source] sqlx::Error),
    /// Postgres is away, or a migration failed.
    #[error("the migrations of the schema notifier failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// The notifier's tables. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects and migrates.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(StoreError::Url)?
            .application_name("orderflow-notifier")
            // What exists already is no news.
            .options([("client_min_messages", "warning")])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(IDLE)
            .connect_lazy_with(options);
        migrator().run(&pool).await?;
        Ok(Self { pool })
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), PostgresError> {
        self.pool.acquire().await?.ping().await?;
        Ok(())
    }
}

/// The migrations, with their table in the schema that they make: other services' are beside it in the same database.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.create_schema("notifier");
    migrator.dangerous_set_table_name("notifier._sqlx_migrations");
    migrator
}

/// A version or a count as Postgres has it; none of ours is near the bound.
fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn to_u32(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
