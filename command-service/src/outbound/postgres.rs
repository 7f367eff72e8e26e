//! Postgres: the event store of each context, in a schema of its own.

pub mod append;
pub mod idempotency;
pub mod keys;
pub mod read;
pub mod relay;
pub mod store;

pub use append::{Append, Obstacle};
pub use store::{PostgresStore, StoreError, StoreSettings};

use sqlx::error::DatabaseError;

/// Why a statement failed, as far as callers act on it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server can't be reached, or is starting or stopping. Nothing is known of the statement's effect.
    #[error("Postgres can't be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A deadlock, a lock timeout, a serialization failure: the statement had no effect and may be tried again.
    #[error("the statement met a conflict: {0}")]
    Conflict(#[source] sqlx::Error),
    /// A unique constraint, and nothing that is stored explains it: what the statement was decided on is wrong.
    #[error("a unique constraint fired: {0}")]
    Unique(#[source] sqlx::Error),
    /// Anything else: a defect.
    #[error("Postgres refused a statement: {0}")]
    Defect(#[source] sqlx::Error),
}

impl From<sqlx::Error> for PostgresError {
    /// The one place that reads SQLSTATEs.
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(DatabaseError::code).as_deref() {
            Some("40001" | "40P01" | "55P03" | "57014") => Self::Conflict(error),
            Some("23505") => Self::Unique(error),
            // Connection exceptions, insufficient resources, operator intervention, and a session ended for being idle.
            Some(code) if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "25P03" => {
                Self::Unavailable(error)
            }
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
