//! What the provider is asked to do.

use events::{Money, text::PaymentMethod};
use serde::{Deserialize, Serialize};

/// Something to be done once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Operation {
    /// Set money aside.
    Authorise {
        /// How much.
        amount: Money,
        /// Whose.
        method: PaymentMethod,
    },
    /// Take money that was set aside.
    Capture {
        /// By which authorisation.
        authorisation: String,
        /// How much of it.
        amount: Money,
    },
    /// Give back what was set aside and not taken.
    Void {
        /// By which authorisation.
        authorisation: String,
    },
    /// Pay back money that was taken.
    Refund {
        /// By which capture.
        capture: String,
        /// How much of it.
        amount: Money,
    },
}

impl Operation {
    /// What it is called in a payment method that makes trouble.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authorise { .. } => "authorise",
            Self::Capture { .. } => "capture",
            Self::Void { .. } => "void",
            Self::Refund { .. } => "refund",
        }
    }

    /// What something is called to which it was done.
    pub fn done(&self) -> &'static str {
        match self {
            Self::Authorise { .. } => "authorised",
            Self::Capture { .. } => "captured",
            Self::Void { .. } => "voided",
            Self::Refund { .. } => "refunded",
        }
    }

    /// What ids of what it makes begin with.
    pub fn prefix(&self) -> &'static str {
        match self {
            Self::Authorise { .. } => "auth",
            Self::Capture { .. } => "cap",
            Self::Void { .. } => "void",
            Self::Refund { .. } => "ref",
        }
    }
}
