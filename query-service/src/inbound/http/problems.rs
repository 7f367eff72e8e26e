//! The one place where a query's failure becomes a problem.

use http::StatusCode;
use service_kit::problem::Problem;

use crate::{application::QueryError, outbound::redis::RedisReadError};

/// Seconds after which it is worth asking again.
const RETRY_AFTER: u64 = 1;

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Missing => Self::not_found("There is nothing with this id."),
            QueryError::Behind { version, min_version } => {
                let title = "The view is behind";
                let detail = format!("The view is at version {version}; version {min_version} did not arrive in time.");
                Self::new(StatusCode::GATEWAY_TIMEOUT, "view-behind", title, detail)
                    .with_member("version", version)
                    .with_member("min_version", min_version)
                    .with_member("behind", min_version.saturating_sub(version))
            }
            QueryError::Parked { version, min_version, parked } => {
                let title = "The view is parked";
                let detail = format!(
                    "The event of version {} could not be handled; the view stands at version {version} until it is redriven.",
                    parked.version
                );
                Self::new(StatusCode::CONFLICT, "view-parked", title, detail)
                    .with_member("version", version)
                    .with_member("min_version", min_version)
                    .with_member("parked_version", parked.version)
                    .with_member("parked_at", parked_at(parked.since))
                    .with_member("cause", parked.cause)
            }
            QueryError::BadCursor => Self::invalid_parameter("cursor", "is not a `next` that this list has given"),
            QueryError::BadEventId => Self::invalid_parameter("Last-Event-ID", "is not an `id` that this stream has given"),
            QueryError::NoMoreStreams => Self::overloaded("No more live updates can be followed here now.", RETRY_AFTER),
            QueryError::Redis(error) => error.into(),
        }
    }
}

fn parked_at(millis: i64) -> Option<String> {
    let at = chrono::DateTime::from_timestamp_millis(millis)?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

impl From<RedisReadError> for Problem {
    fn from(error: RedisReadError) -> Self {
        match error {
            RedisReadError::Unavailable(_) => Self::unavailable("The read models cannot be reached.", error),
            RedisReadError::NotBuilt(context) => {
                let title = "The read models are being built";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "rebuilding",
                    title,
                    format!("There is no complete read model of {context} yet."),
                )
                .with_member("context", context.name())
                .with_retry_after(RETRY_AFTER)
            }
            RedisReadError::Incomplete(progress) => {
                let context = progress.context;
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "rebuilding",
                    "The read models are being built",
                    format!("The read model of {context} is being filled again; what is there already can be read by its id."),
                )
                .with_member("context", context.name())
                .with_member("done", progress.done)
                .with_member("to_do", progress.to_do)
                .with_member("percent", progress.percent())
                .with_retry_after(RETRY_AFTER)
            }
            RedisReadError::GenerationGone(_) => Self::new(
                StatusCode::GONE,
                "cursor-expired",
                "The cursor is no longer valid",
                "The read models were rebuilt since this cursor was given: begin the list again.",
            ),
            RedisReadError::TooManyWaiting => Self::overloaded("Too many requests wait for a version.", RETRY_AFTER),
            RedisReadError::Malformed(_) => Self::internal(error),
        }
    }
}
