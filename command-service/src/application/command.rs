//! What a caller submits to a writer, and what it hears back.

use chrono::{DateTime, Utc};
use events::StreamId;
use service_kit::trace::Span;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    application::lane::Lane,
    domain::{Aggregate, Rule, RuleKind},
};

/// One command on its way to the writer of its stream.
pub struct Submission<A: Aggregate> {
    /// The stream that it is for.
    pub stream: StreamId,
    /// The command.
    pub command: A::Command,
    /// What the caller expects and tells about it.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Receipt, Refusal>>,
    /// Its execution; ends when it was answered. One that nobody answers has failed.
    pub span: Span,
}

impl<A: Aggregate> Submission<A> {
    /// Answers the caller, and tells of what came of it.
    pub fn answer(self, answer: Result<Receipt, Refusal>) {
        let Self { reply, mut span, .. } = self;
        tell(&mut span, &answer);
        // One whose caller has gone is not heard.
        drop(reply.send(answer));
    }
}

/// A broken rule is an answer; that the system could not do its work is a failure.
fn tell(span: &mut Span, answer: &Result<Receipt, Refusal>) {
    match answer {
        Ok(receipt) => span.set("orderflow.outcome", if receipt.replayed { "replayed" } else { "accepted" }),
        Err(refusal) => {
            span.set("orderflow.outcome", refusal.name());
            if refusal.is_failure() {
                span.fail(refusal.name(), refusal);
            }
        }
    }
    span.done();
}

/// What comes with a command, whatever the command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether the stream is expected not to exist yet.
    pub creates: bool,
    /// The version that the stream must have (`If-Match`).
    pub expected: Option<u64>,
    /// The idempotency key, if any.
    pub key: Option<Key>,
    /// When it happened, if not now.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Shared by all that one request sets in motion.
    pub correlation_id: Uuid,
    /// What led to the command, if it was an event.
    pub causation_id: Option<Uuid>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// An idempotency key, scoped by the caller's subject, and what was asked under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Hash of subject and key.
    pub id: Uuid,
    /// Hash of the command.
    pub request: Uuid,
}

/// An accepted command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The stream.
    pub stream: StreamId,
    /// Its version after the command.
    pub version: u64,
    /// Its lane.
    pub lane: Lane,
    /// The `seq` of the command's last event; none when there was nothing to do.
    pub seq: Option<u64>,
    /// Whether the command made the stream.
    pub created: bool,
    /// Whether this is the answer to an earlier command with the same key.
    pub replayed: bool,
}

/// Why a command was not accepted. Nothing was stored, except where it says that it may have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule of the domain. Don't retry the same command.
    #[error("{detail}")]
    Rule {
        /// The rule's name.
        rule: &'static str,
        /// What to make of it.
        kind: RuleKind,
        /// The rule's words.
        detail: String,
    },
    /// The stream is at another version than `If-Match` says. Reload, then retry.
    #[error("the version is {actual}, not {expected}")]
    Precondition {
        /// What the caller expected.
        expected: u64,
        /// What is.
        actual: u64,
    },
    /// The idempotency key was used for another command.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The mailbox is full. Back off.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The event store can't be reached. Back off.
    #[error("the event store can't be reached")]
    Unavailable,
    /// The connection was lost at the worst moment: the command may have been accepted. Retry with the same key.
    #[error("the event store was lost while the command was being stored: it may have been accepted")]
    Unknown,
    /// The writer died of the command or of a neighbour. Retry with the same key.
    #[error("the writer failed")]
    Failed,
}

impl Refusal {
    /// A broken rule.
    pub fn rule(rule: &impl Rule) -> Self {
        Self::Rule { rule: rule.name(), kind: rule.kind(), detail: rule.to_string() }
    }

    /// What traces call it; never changes.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rule { rule, .. } => rule,
            Self::Precondition { .. } => "precondition-failed",
            Self::KeyReused => "idempotency-key-reused",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Unknown => "outcome-unknown",
            Self::Failed => "failed",
        }
    }

    /// Whether it says that the system can't do its work, and nothing of the command.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable | Self::Unknown | Self::Failed)
    }
}
