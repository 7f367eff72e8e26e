//! Why a saga turns round.

use events::{ProductId, text::Reason};
use serde::{Deserialize, Serialize};

/// Why a saga turns round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The stock of a product could not be reserved.
    OutOfStock {
        /// Of which.
        product_id: ProductId,
        /// In its own words.
        reason: Reason,
    },
    /// The payment was not authorised.
    Declined {
        /// In the provider's words.
        reason: Reason,
    },
    /// Nobody knew in time whether it would be paid.
    TimedOut,
    /// Somebody cancelled the order.
    Cancelled,
    /// The order would not be confirmed.
    Unconfirmed {
        /// In its own words.
        reason: Reason,
    },
    /// An operator ended it.
    Aborted {
        /// In their words.
        reason: Reason,
    },
}

impl Ending {
    /// What endings are called: every [`Self::name`].
    pub const NAMES: [&str; 6] = ["out-of-stock", "declined", "timed-out", "cancelled", "unconfirmed", "aborted"];

    /// What it is called in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OutOfStock { .. } => "out-of-stock",
            Self::Declined { .. } => "declined",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Aborted { .. } => "aborted",
        }
    }

    /// What the order says to whoever placed it.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::OutOfStock { product_id, .. } => format!("out of stock: product {}", product_id.0),
            Self::Declined { reason } => format!("payment declined: {}", reason.as_str()),
            Self::TimedOut => "the payment was not authorised in time".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Unconfirmed { reason } | Self::Aborted { reason } => reason.as_str().to_owned(),
        }
    }
}
