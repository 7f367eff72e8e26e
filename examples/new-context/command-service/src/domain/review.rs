//! A customer's review of a product.
#![deny(clippy::wildcard_enum_match_arm)]

#[cfg(test)]
mod tests;

use events::{
    ReviewEvent,
    reviews::{ReviewWithdrawn, ReviewWritten},
    text::Reason,
};
use serde::{Deserialize, Serialize};

use super::{Aggregate, Rule, RuleKind};

/// The best that a product can get.
const MAX_STARS: u8 = 5;

/// What can be asked of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Publishes it.
    Write(ReviewWritten),
    /// Takes it from sight.
    Withdraw {
        /// Why.
        reason: Reason,
    },
}

/// A review.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Review {
    /// There is none yet.
    #[default]
    Unwritten,
    /// To be seen.
    Published(ReviewWritten),
    /// Not to be seen any more.
    Withdrawn(ReviewWritten),
}

/// The rule that refused a command to a review.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum ReviewError {
    /// Writing under an id that was used.
    #[error("a review with this id is written already: write yours under another id")]
    AlreadyWritten,
    /// No stars, or too many.
    #[error("{0} stars are not from 1 to {MAX_STARS}")]
    StarsOutOfRange(u8),
    /// Withdrawing what was never written.
    #[error("there is no review with this id: write it first")]
    ReviewNotFound,
    /// Withdrawing twice.
    #[error("this review is withdrawn already: there is nothing left to do")]
    AlreadyWithdrawn,
}

impl Aggregate for Review {
    type Command = Command;
    type Event = ReviewEvent;
    type Error = ReviewError;

    const SHAPE: &'static str = "review/1";

    fn decide(&self, command: &Command) -> Result<Vec<ReviewEvent>, ReviewError> {
        match (command, self) {
            (Command::Write(_), Self::Published(_) | Self::Withdrawn(_)) => Err(ReviewError::AlreadyWritten),
            (Command::Write(written), Self::Unwritten) if !(1..=MAX_STARS).contains(&written.stars) => {
                Err(ReviewError::StarsOutOfRange(written.stars))
            }
            (Command::Write(written), Self::Unwritten) => Ok(vec![written.clone().into()]),
            (Command::Withdraw { .. }, Self::Unwritten) => Err(ReviewError::ReviewNotFound),
            (Command::Withdraw { .. }, Self::Withdrawn(_)) => Err(ReviewError::AlreadyWithdrawn),
            (Command::Withdraw { reason }, Self::Published(_)) => Ok(vec![ReviewWithdrawn { reason: reason.clone() }.into()]),
        }
    }

    fn evolve(self, event: &ReviewEvent) -> Self {
        match (event, self) {
            (ReviewEvent::Written(written), _) => Self::Published(written.clone()),
            (ReviewEvent::Withdrawn(_), Self::Published(written) | Self::Withdrawn(written)) => Self::Withdrawn(written),
            (ReviewEvent::Withdrawn(_), Self::Unwritten) => Self::Unwritten,
        }
    }
}

impl Rule for ReviewError {
    fn name(&self) -> &'static str {
        self.into()
    }

    fn kind(&self) -> RuleKind {
        match self {
            Self::ReviewNotFound => RuleKind::NotFound,
            Self::AlreadyWritten | Self::AlreadyWithdrawn => RuleKind::Conflict,
            Self::StarsOutOfRange(_) => RuleKind::Unprocessable,
        }
    }
}
