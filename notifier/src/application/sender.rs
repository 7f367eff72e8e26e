//! The port to whoever carries messages: webhooks, e-mail and text messages each have an adapter.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use service_kit::trace::TraceContext;
use uuid::Uuid;

use crate::domain::effect::Kind;

/// An effect that is in hand.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The message id: the same in every attempt.
    pub id: Uuid,
    /// Because of which event.
    pub event_id: Uuid,
    /// What it is.
    pub kind: Kind,
    /// The endpoint or the user.
    pub recipient: Uuid,
    /// The event's type.
    pub event_type: String,
    /// What it is written from.
    pub payload: String,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// The same, since it was last made due by hand.
    pub tries: u32,
    /// How long ago it was to be sent first.
    pub age: Duration,
}

/// What all payloads have, if their event had it.
#[derive(Deserialize)]
struct Caused {
    traceparent: Option<String>,
}

impl Taken {
    /// The trace that caused it.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let caused: Caused = serde_json::from_str(&self.payload).ok()?;
        caused.traceparent?.parse().ok()
    }
}

/// What came of an attempt. Causes are shown to operators and owners: nothing personal, nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is at the provider.
    Sent {
        /// HTTP's or SMTP's.
        status: Option<u16>,
        /// What the provider calls it, or said.
        receipt: Option<String>,
    },
    /// It is not, and the destination is in trouble: whatever else goes there waits, too.
    Failed {
        /// HTTP's or SMTP's.
        status: Option<u16>,
        /// What went wrong.
        cause: String,
        /// When the provider wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It can't be written yet: something that it needs has not come, or can't be asked. Nothing else waits for that.
    NotYet {
        /// What is missing.
        cause: String,
    },
    /// The destination refuses this one for good, and is all right.
    Rejected {
        /// HTTP's or SMTP's.
        status: Option<u16>,
        /// What it said.
        cause: String,
    },
    /// The destination wants nothing any more.
    Gone {
        /// HTTP's.
        status: u16,
    },
    /// There is nobody to send it to.
    Nobody {
        /// Why not.
        cause: &'static str,
    },
}

impl Outcome {
    /// The name in the delivery log and in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Failed { .. } => "failed",
            Self::NotYet { .. } => "not-yet",
            Self::Rejected { .. } => "rejected",
            Self::Gone { .. } => "gone",
            Self::Nobody { .. } => "nobody",
        }
    }

    /// The provider's receipt.
    #[must_use]
    pub fn receipt(&self) -> Option<&str> {
        match self {
            Self::Sent { receipt, .. } => receipt.as_deref(),
            _ => None,
        }
    }

    /// HTTP's or SMTP's status.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Sent { status, .. } | Self::Failed { status, .. } | Self::Rejected { status, .. } => *status,
            Self::Gone { status } => Some(*status),
            Self::NotYet { .. } | Self::Nobody { .. } => None,
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Sent { .. } => None,
            Self::Failed { cause, .. } | Self::NotYet { cause } | Self::Rejected { cause, .. } => Some(cause),
            Self::Gone { .. } => Some("the endpoint is gone (410)"),
            Self::Nobody { cause } => Some(cause),
        }
    }
}

/// Carries messages of one channel.
pub trait Sender: Send + Sync + 'static {
    /// Sends one message, within the sender's own bound on time. It may have been sent before.
    fn send<'a>(&'a self, taken: &'a Taken) -> BoxFuture<'a, Outcome>;
}
