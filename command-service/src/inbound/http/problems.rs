//! The one mapping from refusals to problem+json.

use events::Context;
use http::StatusCode;
use service_kit::problem::Problem;

use crate::{
    application::{command::Refusal, facts::FactsError, state::LoadError},
    domain::RuleKind,
    outbound::postgres::{PostgresError, keys::KeyError},
};

/// How long an overloaded caller should wait, in seconds.
const OVERLOADED: u64 = 1;

pub(super) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Rule { rule, kind, detail } => rule_broken(rule, *kind, detail.clone()),
        Refusal::Precondition { expected, actual } => Problem::precondition_failed(format!(
            "If-Match says version {expected}, but the version is {actual}: read it again, then decide again."
        ))
        .with_member("version", *actual),
        Refusal::KeyReused => Problem::idempotency_key_reused(
            "This Idempotency-Key was used for another request: use a new key for a new request.",
        ),
        Refusal::Overloaded => Problem::overloaded("Too many commands are waiting: come back a little later.", OVERLOADED),
        Refusal::Unavailable => {
            Problem::unavailable("The event store can't be reached; nothing was stored.", refusal).with_retry_after(OVERLOADED)
        }
        Refusal::Unknown => Problem::unavailable(
            "The event store was lost while the command was being stored, so it may have been accepted: retry with the same Idempotency-Key, or read before you retry.",
            refusal,
        )
        .with_retry_after(OVERLOADED),
        Refusal::Failed => Problem::internal(refusal),
    }
}

/// What belongs to a context that runs here, or the problem that it runs elsewhere.
pub(super) fn here<T>(part: Option<T>, context: Context) -> Result<T, Problem> {
    part.ok_or_else(|| {
        let detail = format!("This command service does not run the context `{context}`: send the request to the one that does.");
        let title = "This context runs elsewhere";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, "context-elsewhere", title, detail).with_member("context", context.name())
    })
}

/// What an order has to know of another context could not be had.
pub(super) fn unknown(error: FactsError) -> Problem {
    match error {
        FactsError::Load(error) => read_failed(error),
        FactsError::Away { context, .. } => {
            let detail = format!("What an order has to know of {context} can't be asked now; nothing was stored.");
            Problem::unavailable(detail, error).with_retry_after(OVERLOADED).with_member("context", context.name())
        }
    }
}

fn rule_broken(rule: &'static str, kind: RuleKind, detail: String) -> Problem {
    match (kind, rule) {
        (RuleKind::NotFound, _) => Problem::not_found(detail).with_member("rule", rule),
        (RuleKind::Conflict, "EmailTaken") => Problem::email_taken(detail).with_member("rule", rule),
        (RuleKind::Conflict, "SkuTaken") => Problem::sku_taken(detail).with_member("rule", rule),
        (RuleKind::Conflict, "AlreadyRegistered" | "AlreadyCreated" | "AlreadyPlaced") => {
            Problem::already_exists(detail).with_member("rule", rule)
        }
        (RuleKind::Conflict, _) => Problem::rule_conflict(rule, detail),
        (RuleKind::Unprocessable, _) => Problem::rule_violated(rule, detail),
    }
}

pub(super) fn read_failed(error: impl Into<PostgresOrDefect>) -> Problem {
    match error.into() {
        PostgresOrDefect::Away(cause) => {
            Problem::unavailable("The event store can't be reached; nothing was stored.", cause).with_retry_after(OVERLOADED)
        }
        PostgresOrDefect::Defect(cause) => Problem::internal(cause),
    }
}

/// Whether Postgres is away or something is wrong.
pub(super) enum PostgresOrDefect {
    Away(String),
    Defect(String),
}

impl From<PostgresError> for PostgresOrDefect {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Unavailable(_) | PostgresError::Conflict(_) => Self::Away(error.to_string()),
            PostgresError::Unique(_) | PostgresError::Defect(_) => Self::Defect(error.to_string()),
        }
    }
}

impl From<LoadError> for PostgresOrDefect {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Postgres(error) => error.into(),
            LoadError::Decode { .. } => Self::Defect(error.to_string()),
        }
    }
}

impl From<KeyError> for PostgresOrDefect {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Postgres(error) => error.into(),
            KeyError::Unwrap { .. } | KeyError::Wrap(_) => Self::Defect(error.to_string()),
        }
    }
}
