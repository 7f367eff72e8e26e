//! A step that is to be taken now, and what came of it.

use events::{
    OrderId, UserId,
    text::{ProviderReference, Reason},
};
use service_kit::trace::TraceContext;
use uuid::Uuid;

use crate::domain::saga::{Saga, Step};

/// A step that this process takes now. Nobody else does until its lease is over.
#[derive(Debug, Clone)]
pub struct Task {
    /// For which order.
    pub order_id: OrderId,
    /// Whose order that is; none for a guest's.
    pub user_id: Option<UserId>,
    /// What is known of it.
    pub saga: Saga,
    /// The step.
    pub step: Step,
    /// Its idempotency key, for the order and for this step alone.
    pub key: String,
    /// The lease: what is found out counts only while it is held.
    pub token: Uuid,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What the provider calls the money that it has set aside.
    pub authorisation: Option<ProviderReference>,
    /// What the provider calls the money that it has taken.
    pub capture: Option<ProviderReference>,
    /// W3C trace context of the order's placement, and of the attempt while there is one.
    pub traceparent: Option<String>,
}

impl Task {
    /// The trace that the step is part of.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.traceparent.as_deref()?.parse().ok()
    }
}

/// What came of an attempt at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It is done, now or earlier; the provider calls it so, where a provider was asked.
    Done(Option<ProviderReference>),
    /// It is not done, and never will be.
    Refused(Reason),
    /// Nobody knows: it is to be tried again. Why.
    Unknown(String),
}

impl Tried {
    /// What it is called, to people and in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    /// A refusal in these words, as far as they fit.
    #[must_use]
    pub fn refused(words: &str) -> Self {
        match reason(words) {
            Some(reason) => Self::Refused(reason),
            None => Self::Unknown(format!("a refusal without words: {words:?}")),
        }
    }
}

/// Words as a reason: one line, cut where it gets too long. None when there are none.
#[must_use]
pub fn reason(words: &str) -> Option<Reason> {
    let line: String = words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let cut: String = line.trim().chars().take(Reason::MAX).collect();
    Reason::parse(&cut).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit() {
        assert_eq!(reason(&"ä".repeat(500)).unwrap().as_str().chars().count(), Reason::MAX);
        assert_eq!(reason("no\nstock").unwrap().as_str(), "no stock");
        assert_eq!(reason(" \n"), None);
    }
}
