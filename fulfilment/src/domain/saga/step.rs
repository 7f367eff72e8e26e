//! What a saga asks others to do.

use events::{ProductId, ReturnId};
use serde::{Deserialize, Serialize};

/// A step: what is done about what. How much of it, the saga knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Set stock of the product aside.
    Reserve(ProductId),
    /// Have the provider set the money aside.
    Authorise,
    /// Tell the order that it will be fulfilled.
    Confirm,
    /// Have the provider take the money.
    Capture,
    /// Take the stock that was set aside off the stock on hand.
    Commit(ProductId),
    /// Pay back what came back.
    Refund(ReturnId),
    /// Have the provider give back what is set aside.
    Void,
    /// Make stock that was set aside available again.
    Release(ProductId),
    /// Tell the order that it will not be fulfilled.
    Cancel,
}

impl Step {
    /// What steps are called: every [`Self::name`].
    pub const NAMES: [&str; 9] = ["reserve", "authorise", "confirm", "capture", "commit", "refund", "void", "release", "cancel"];

    /// What it is called, to people and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserve(_) => "reserve",
            Self::Authorise => "authorise",
            Self::Confirm => "confirm",
            Self::Capture => "capture",
            Self::Commit(_) => "commit",
            Self::Refund(_) => "refund",
            Self::Void => "void",
            Self::Release(_) => "release",
            Self::Cancel => "cancel",
        }
    }

    /// Its idempotency key within the order: a saga takes each step at most once, however often it has to ask for it.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Self::Reserve(product) | Self::Commit(product) | Self::Release(product) => {
                format!("{}:{}", self.name(), product.0.simple())
            }
            Self::Refund(returned) => format!("{}:{}", self.name(), returned.0.simple()),
            Self::Authorise | Self::Confirm | Self::Capture | Self::Void | Self::Cancel => self.name().to_owned(),
        }
    }
}
