//! A payment's life: a provider is asked to set money aside; that is taken, in parts if need be, or given back; and what
//! was taken can be paid back.
//!
//! Nothing here calls a provider. Each step is asked for first, under an id of its own, and its answer is recorded later.
//! Whoever talks to the provider does only what was accepted here, so that the limits hold at the provider too: a step
//! without an answer may have happened, and counts as if it had until somebody knows. A step that is asked for or
//! answered again changes nothing, however late it comes.
#![deny(clippy::wildcard_enum_match_arm)]

mod command;
mod deciding;
mod error;
mod steps;
#[cfg(test)]
mod tests;

use events::{
    Money, OrderId, PaymentEvent, UserId,
    payments::{
        CaptureFailed, CaptureRequested, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
        PaymentRequested, PaymentVoided, RefundFailed, RefundRequested, VoidFailed, VoidRequested,
    },
};
use serde::{Deserialize, Serialize};

use super::Aggregate;

pub use command::{Answer, Command, Request};
pub use error::{PaymentError, StepKind};
pub use steps::{MAX_STEPS, Outcome, Step, Steps};

/// A payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Payment {
    /// There is none yet.
    #[default]
    Unrequested,
    /// The provider was asked to set the money aside, and its answer is not known.
    Requested(Account),
    /// The provider would not; it may be asked again.
    Declined(Account),
    /// The money is set aside, or taken.
    Authorised(Account),
    /// What was set aside and not taken was given back.
    Voided(Account),
    /// What was set aside and not taken has lapsed.
    Expired(Account),
}

/// What a payment is about, and every step of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What is paid for.
    pub order_id: OrderId,
    /// Who pays; nobody when it is a guest.
    pub user_id: Option<UserId>,
    /// How much is set aside at most, in the only currency.
    pub amount: Money,
    /// Tries to get it authorised.
    pub attempts: Steps,
    /// Captures.
    pub captures: Steps,
    /// Tries to give the rest back.
    pub voids: Steps,
    /// Refunds.
    pub refunds: Steps,
}

impl Payment {
    /// Whether there is such a payment, in whatever state.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.account().is_some()
    }

    /// Whose payment it is: nobody's when it does not exist or a guest pays.
    #[must_use]
    pub const fn owner(&self) -> Option<UserId> {
        match self.account() {
            Some(account) => account.user_id,
            None => None,
        }
    }

    /// What the payment is about.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        match self {
            Self::Unrequested => None,
            Self::Requested(account)
            | Self::Declined(account)
            | Self::Authorised(account)
            | Self::Voided(account)
            | Self::Expired(account) => Some(account),
        }
    }

    fn into_account(self) -> Option<Account> {
        match self {
            Self::Unrequested => None,
            Self::Requested(account)
            | Self::Declined(account)
            | Self::Authorised(account)
            | Self::Voided(account)
            | Self::Expired(account) => Some(account),
        }
    }

    fn requested(self, event: &PaymentRequested) -> Self {
        let mut account = self.into_account().unwrap_or_else(|| Account {
            order_id: event.order_id,
            user_id: event.user_id,
            amount: event.amount,
            attempts: Steps::default(),
            captures: Steps::default(),
            voids: Steps::default(),
            refunds: Steps::default(),
        });
        account.attempts.ask(event.attempt_id.0, event.amount.minor);
        Self::Requested(account)
    }

    /// The payment in another status. One that was never requested has nothing that could change.
    fn into_status(self, status: impl FnOnce(Account) -> Self, change: impl FnOnce(&mut Account)) -> Self {
        match self.into_account() {
            None => Self::Unrequested,
            Some(mut account) => {
                change(&mut account);
                status(account)
            }
        }
    }

    fn map(self, change: impl FnOnce(&mut Account)) -> Self {
        match self {
            Self::Unrequested => Self::Unrequested,
            Self::Requested(account) => Self::Requested(changed(account, change)),
            Self::Declined(account) => Self::Declined(changed(account, change)),
            Self::Authorised(account) => Self::Authorised(changed(account, change)),
            Self::Voided(account) => Self::Voided(changed(account, change)),
            Self::Expired(account) => Self::Expired(changed(account, change)),
        }
    }
}

fn changed(mut account: Account, change: impl FnOnce(&mut Account)) -> Account {
    change(&mut account);
    account
}

impl Aggregate for Payment {
    type Command = Command;
    type Event = PaymentEvent;
    type Error = PaymentError;

    const SHAPE: &'static str = "payment/1";

    fn decide(&self, command: &Command) -> Result<Vec<PaymentEvent>, PaymentError> {
        let event = match command {
            Command::Request(asked) => self.request(asked),
            Command::AnswerAttempt { attempt_id, answer } => self.answer_attempt(*attempt_id, answer),
            Command::Expire => self.expire(),
            Command::Capture { capture_id, amount } => self.capture(*capture_id, *amount),
            Command::AnswerCapture { capture_id, answer } => self.answer_capture(*capture_id, answer),
            Command::Void { void_id } => self.void(*void_id),
            Command::AnswerVoid { void_id, answer } => self.answer_void(*void_id, answer),
            Command::Refund { refund_id, amount } => self.refund(*refund_id, *amount),
            Command::AnswerRefund { refund_id, answer } => self.answer_refund(*refund_id, answer),
        }?;
        Ok(event.into_iter().collect())
    }

    fn evolve(self, event: &PaymentEvent) -> Self {
        match event {
            PaymentEvent::Requested(requested) => self.requested(requested),
            PaymentEvent::Authorised(PaymentAuthorised { attempt_id, reference, .. }) => {
                self.into_status(Self::Authorised, |account| account.attempts.succeed(attempt_id.0, reference))
            }
            PaymentEvent::Declined(PaymentDeclined { attempt_id, .. }) => self.into_status(Self::Declined, |account| {
                account.attempts.fail(attempt_id.0);
                // There is nothing to give back.
                account.voids.fail_open();
            }),
            PaymentEvent::Expired(PaymentExpired {}) => self.into_status(Self::Expired, |account| {
                account.attempts.fail_open();
                account.voids.fail_open();
            }),
            PaymentEvent::CaptureRequested(CaptureRequested { capture_id, amount }) => {
                self.map(|account| account.captures.ask(capture_id.0, amount.minor))
            }
            PaymentEvent::Captured(PaymentCaptured { capture_id, reference, .. }) => {
                self.map(|account| account.captures.succeed(capture_id.0, reference))
            }
            PaymentEvent::CaptureFailed(CaptureFailed { capture_id, .. }) => {
                self.map(|account| account.captures.fail(capture_id.0))
            }
            PaymentEvent::VoidRequested(VoidRequested { void_id }) => {
                self.map(|account| account.voids.ask(void_id.0, account.uncaptured()))
            }
            PaymentEvent::Voided(PaymentVoided { void_id, reference }) => self.into_status(Self::Voided, |account| {
                account.voids.succeed(void_id.0, reference);
                // It can't be authorised any more: what was asked for is given back.
                account.attempts.fail_open();
            }),
            PaymentEvent::VoidFailed(VoidFailed { void_id, .. }) => self.map(|account| account.voids.fail(void_id.0)),
            PaymentEvent::RefundRequested(RefundRequested { refund_id, amount }) => {
                self.map(|account| account.refunds.ask(refund_id.0, amount.minor))
            }
            PaymentEvent::Refunded(PaymentRefunded { refund_id, reference, .. }) => {
                self.map(|account| account.refunds.succeed(refund_id.0, reference))
            }
            PaymentEvent::RefundFailed(RefundFailed { refund_id, .. }) => self.map(|account| account.refunds.fail(refund_id.0)),
        }
    }
}
