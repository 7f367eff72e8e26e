//! The rules of payments.

use std::fmt;

use events::Currency;

use super::super::{Rule, RuleKind};
use super::MAX_STEPS;

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// Setting money aside.
    Attempt,
    /// Taking it.
    Capture,
    /// Giving it back.
    Void,
    /// Paying it back.
    Refund,
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempt => "attempt",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
        })
    }
}

/// The rule that refused a command to a payment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum PaymentError {
    /// Anything but requesting, before that.
    #[error("there is no payment with this id: request it first")]
    PaymentNotFound,
    /// An answer to what was not asked for.
    #[error("this payment has no {kind} with this id: ask for it before you record its answer")]
    StepNotFound {
        /// What was answered.
        kind: StepKind,
    },
    /// A payment's id used again for something else.
    #[error("this payment is for another order, user or amount: use another payment id")]
    TermsDiffer,
    /// A step's id used again for something else.
    #[error("this {kind} was asked for already, with {amount} minor units: use a new id for another amount")]
    StepIdReused {
        /// What was asked for.
        kind: StepKind,
        /// With how many minor units.
        amount: u64,
    },
    /// A second answer that contradicts the first.
    #[error(
        "another answer to this {kind} was recorded already, or it was ended with its payment: compare with the provider's books"
    )]
    AnsweredOtherwise {
        /// What was answered.
        kind: StepKind,
    },
    /// A second attempt beside one that is not answered.
    #[error("an attempt at this payment has no answer yet: record that before you try again")]
    AuthorisationPending,
    /// Taking money before it is set aside.
    #[error("this payment is not authorised yet: record the provider's answer first")]
    NotAuthorised,
    /// Another attempt after a successful one.
    #[error("this payment is authorised already: capture it, or void it")]
    AlreadyAuthorised,
    /// What needs money that is set aside, after a decline.
    #[error("this payment was declined: request it again under a new attempt id, perhaps with another method")]
    AlreadyDeclined,
    /// What needs money that is set aside, after it was given back.
    #[error("this payment is void and nothing more can be captured: make another payment for the order")]
    AlreadyVoided,
    /// What needs money that is set aside, after it lapsed.
    #[error("this payment has expired and nothing more can be captured: make another payment for the order")]
    AlreadyExpired,
    /// Giving back what is taken already.
    #[error("all of this payment is captured: refund it")]
    AlreadyCaptured,
    /// Giving back what may be taken at this moment.
    #[error("a capture of this payment has no answer yet: record that first")]
    CapturePending,
    /// Taking, or giving back again, what may be given back at this moment.
    #[error("a void of this payment has no answer yet: record that first")]
    VoidPending,
    /// A payment of nothing.
    #[error("the amount is 0: there is nothing to pay")]
    ZeroAmount,
    /// An amount in another currency.
    #[error("this payment is in {expected}, not in {found}: a payment has one currency")]
    CurrencyMismatch {
        /// The payment's currency.
        expected: Currency,
        /// The currency that was asked for.
        found: Currency,
    },
    /// More taken than was set aside.
    #[error("{asked} minor units are asked for and {left} of what is authorised are left: capture no more than that")]
    CaptureExceedsAuthorised {
        /// What is neither taken nor about to be.
        left: u64,
        /// What was asked for.
        asked: u64,
    },
    /// More paid back than was taken.
    #[error("{asked} minor units are asked for and {left} of what is captured are left: refund no more than that")]
    RefundExceedsCaptured {
        /// What is neither paid back nor about to be.
        left: u64,
        /// What was asked for.
        asked: u64,
    },
    /// More steps than one payment keeps.
    #[error("a payment takes at most {MAX_STEPS} of each kind of step, and has as many of the kind {kind}")]
    TooManySteps {
        /// What was asked for.
        kind: StepKind,
    },
}

impl Rule for PaymentError {
    fn name(&self) -> &'static str {
        self.into()
    }

    fn kind(&self) -> RuleKind {
        match self {
            Self::PaymentNotFound | Self::StepNotFound { .. } => RuleKind::NotFound,
            Self::TermsDiffer
            | Self::StepIdReused { .. }
            | Self::AnsweredOtherwise { .. }
            | Self::AuthorisationPending
            | Self::NotAuthorised
            | Self::AlreadyAuthorised
            | Self::AlreadyDeclined
            | Self::AlreadyVoided
            | Self::AlreadyExpired
            | Self::AlreadyCaptured
            | Self::CapturePending
            | Self::VoidPending => RuleKind::Conflict,
            Self::ZeroAmount
            | Self::CurrencyMismatch { .. }
            | Self::CaptureExceedsAuthorised { .. }
            | Self::RefundExceedsCaptured { .. }
            | Self::TooManySteps { .. } => RuleKind::Unprocessable,
        }
    }
}
