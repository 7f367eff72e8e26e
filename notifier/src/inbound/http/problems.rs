//! Errors as problems.

use service_kit::problem::Problem;

use crate::{application::webhooks::WebhookError, outbound::postgres::PostgresError};

pub(super) fn database(error: PostgresError) -> Problem {
    Problem::unavailable("The ledger cannot be reached.", error)
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Unknown => Self::not_found("There is no such webhook."),
            WebhookError::UnknownMessage => Self::not_found("The webhook has no such message."),
            WebhookError::Exists => Self::already_exists("There is a webhook with this id."),
            WebhookError::Postgres(error) => database(error),
            WebhookError::Seal(_) | WebhookError::Secret(_) => Self::internal(error),
        }
    }
}
