//! Why a batch could not be brought to an end, and what its callers hear.

use tracing::error;

use crate::{application::command::Refusal, outbound::postgres::PostgresError};

/// Why a batch could not be brought to an end.
pub(super) enum Failure {
    /// Nothing was stored.
    Unavailable,
    /// Perhaps it was stored.
    Unknown,
    /// Something is wrong with the batch; nothing was stored.
    Defect,
}

impl Failure {
    /// What callers hear of it.
    pub(super) const fn refusal(&self) -> Refusal {
        match self {
            Self::Unavailable => Refusal::Unavailable,
            Self::Unknown => Refusal::Unknown,
            Self::Defect => Refusal::Failed,
        }
    }
}

impl From<PostgresError> for Failure {
    fn from(failed: PostgresError) -> Self {
        match failed {
            PostgresError::Unavailable(_) | PostgresError::Conflict(_) => Self::Unavailable,
            PostgresError::Unique(_) | PostgresError::Defect(_) => {
                error!(error = %failed, "a writer's statement failed");
                Self::Defect
            }
        }
    }
}
