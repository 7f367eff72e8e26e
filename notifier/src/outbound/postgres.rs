//! Postgres: the notifier's own schema, `notifier`.

pub mod contacts;
pub mod deliveries;
pub mod endpoints;
pub mod handling;
pub mod ledger;
pub mod letters;

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// How long a request or a mailbox waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(300);
/// Connections: partitions, mailboxes and requests take turns.
const CONNECTIONS: u32 = 10;
/// Taken while the schema is made: `IF NOT EXISTS` alone is not safe against two instances that start at once.
const SCHEMA_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('notifier schema', 0))";

/// Why a statement failed. Nothing here is told to callers.
#[derive(Debug, thiserror::Error)]
#[error("Postgres: {0}")]
pub struct PostgresError(#[from] sqlx::Error);

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is malformed.
    #[error("the database URL is malformed: {0}")]
    Url(#[source] sqlx::Error),
    /// A statement failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A migration failed.
    #[error("the migrations failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// The notifier's tables. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects and migrates. Schema and migrations table are the notifier's own, so a database may be shared.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(StoreError::Url)?
            .options([("search_path", "notifier")])
            .application_name("orderflow-notifier")
            .disable_statement_logging();
        // What exists already is no news.
        let quiet = options.clone().options([("client_min_messages", "warning")]);
        let mut connection = PgConnection::connect_with(&quiet).await.map_err(PostgresError)?;
        make_schema(&mut connection).await?;
        sqlx::migrate!().run(&mut connection).await?;
        connection.close().await.map_err(PostgresError)?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(IDLE)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), PostgresError> {
        self.pool.acquire().await?.ping().await?;
        Ok(())
    }
}

async fn make_schema(connection: &mut PgConnection) -> Result<(), PostgresError> {
    let mut transaction = connection.begin().await?;
    sqlx::query(SCHEMA_LOCK).execute(&mut *transaction).await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS notifier").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
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
