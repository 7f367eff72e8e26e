//! Postgres: sagas, what they ask for and what came of it, in a schema of their own.
//!
//! Whoever changes anything of an order here holds the lock of its saga's row. Effects and timers are found without it, and
//! looked at again under it.

mod effects;
mod hearing;
mod operating;
mod row;
mod timers;
mod views;

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, PgPool,
    error::DatabaseError,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use effects::{Attempt, Settled};
pub use hearing::{Gaps, HearError, Heard, Unreadable};
pub use operating::{OperateError, Verb};
pub use views::{AttemptView, Count, Filter, Line, Listing, SagaView, Stages};

/// How long an idle connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(300);
/// How long anybody waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Connections: nothing here holds one while it waits for anything but Postgres.
const CONNECTIONS: u32 = 16;

/// Why a statement failed, as far as callers act on it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server can't be reached, or is starting or stopping.
    #[error("Postgres can't be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Another transaction was in the way: it may be tried again at once.
    #[error("the statement met a conflict: {0}")]
    Conflict(#[source] sqlx::Error),
    /// Anything else: a defect.
    #[error("Postgres refused a statement: {0}")]
    Defect(#[source] sqlx::Error),
}

impl From<sqlx::Error> for PostgresError {
    /// The one place that reads SQLSTATEs.
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            // A saga that another process begins at the same moment is a conflict, too.
            Some("40001" | "40P01" | "55P03" | "57014" | "23505") => Self::Conflict(error),
            // Connection exceptions, insufficient resources, operator intervention.
            Some(code) if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => Self::Unavailable(error),
            Some(_) => Self::Defect(error),
            None => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
                other => Self::Defect(other),
            },
        }
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is malformed.
    #[error("DATABASE_URL is malformed: {0}")]
    Url(#[source] sqlx::Error),
    /// Postgres is away, or a migration failed.
    #[error("the migrations of the schema fulfilment failed: {0}")]
    Migration(#[from] MigrateError),
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From an order's placement until its payment is authorised.
    pub payment: Duration,
    /// An attempt at a step, after which others think that whoever began it is dead.
    pub lease: Duration,
    /// Attempts at a step that tell nothing, before a person has to look.
    pub attempts: u32,
}

/// The sagas. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    patience: Patience,
}

impl Store {
    /// Connects and migrates.
    pub async fn open(url: &str, patience: Patience) -> Result<Self, OpenError> {
        // What exists already is no news.
        let options = PgConnectOptions::from_str(url)
            .map_err(OpenError::Url)?
            .application_name("orderflow-fulfilment")
            .options([("client_min_messages", "warning")])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(POOL_IDLE)
            .connect_lazy_with(options);
        migrator().run(&pool).await?;
        Ok(Self { pool, patience })
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), PostgresError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }
}

/// The migrations, with their table in the schema that they make: other services' are beside it in the same database.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.create_schema("fulfilment");
    migrator.dangerous_set_table_name("fulfilment._sqlx_migrations");
    migrator
}
