//! What follows from each command: one event, nothing when it is known already, or the rule that it breaks.

use events::{
    AttemptId, CaptureId, MinorUnits, Money, PaymentEvent, RefundId, VoidId,
    payments::{
        CaptureFailed, CaptureRequested, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
        PaymentRequested, PaymentVoided, RefundFailed, RefundRequested, VoidFailed, VoidRequested,
    },
};

use super::{Account, Answer, Payment, PaymentError, Request, StepKind};

type Decided = Result<Option<PaymentEvent>, PaymentError>;

impl Payment {
    fn existing(&self) -> Result<&Account, PaymentError> {
        self.account().ok_or(PaymentError::PaymentNotFound)
    }

    pub(super) fn request(&self, asked: &Request) -> Decided {
        let Request { attempt_id, order_id, user_id, amount, .. } = *asked;
        if let Some(account) = self.account() {
            if (account.order_id, account.user_id, account.amount) != (order_id, user_id, amount) {
                return Err(PaymentError::TermsDiffer);
            }
            if account.attempts.get(attempt_id.0).is_some() {
                return Ok(None);
            }
            account.attempts.check_room(StepKind::Attempt)?;
        }
        match self {
            Self::Unrequested | Self::Declined(_) => {}
            Self::Requested(_) => return Err(PaymentError::AuthorisationPending),
            Self::Authorised(_) => return Err(PaymentError::AlreadyAuthorised),
            Self::Voided(_) => return Err(PaymentError::AlreadyVoided),
            Self::Expired(_) => return Err(PaymentError::AlreadyExpired),
        }
        check_not_zero(amount)?;
        let method = asked.method.clone();
        Ok(Some(PaymentRequested { attempt_id, order_id, user_id, amount, method }.into()))
    }

    pub(super) fn answer_attempt(&self, attempt_id: AttemptId, answer: &Answer) -> Decided {
        let account = self.existing()?;
        let open = account.attempts.unanswered(StepKind::Attempt, attempt_id.0, answer)?;
        Ok(open.map(|_| match answer.clone() {
            Answer::Succeeded(reference) => PaymentAuthorised { attempt_id, amount: account.amount, reference }.into(),
            Answer::Failed(reason) => PaymentDeclined { attempt_id, reason }.into(),
        }))
    }

    pub(super) fn expire(&self) -> Decided {
        if let Self::Expired(_) = self {
            return Ok(None);
        }
        self.check_uncaptured()?;
        Ok(Some(PaymentExpired {}.into()))
    }

    pub(super) fn capture(&self, capture_id: CaptureId, amount: Money) -> Decided {
        let account = self.existing()?;
        account.check_currency(amount)?;
        if account.captures.repeats(StepKind::Capture, capture_id.0, amount.minor)? {
            return Ok(None);
        }
        match self {
            Self::Unrequested => return Err(PaymentError::PaymentNotFound),
            Self::Requested(_) => return Err(PaymentError::NotAuthorised),
            Self::Declined(_) => return Err(PaymentError::AlreadyDeclined),
            Self::Authorised(_) => {}
            Self::Voided(_) => return Err(PaymentError::AlreadyVoided),
            Self::Expired(_) => return Err(PaymentError::AlreadyExpired),
        }
        if account.voids.has_open() {
            return Err(PaymentError::VoidPending);
        }
        check_not_zero(amount)?;
        let (asked, left) = (amount.minor.get(), account.uncaptured().get());
        if asked > left {
            return Err(PaymentError::CaptureExceedsAuthorised { left, asked });
        }
        account.captures.check_room(StepKind::Capture)?;
        Ok(Some(CaptureRequested { capture_id, amount }.into()))
    }

    pub(super) fn answer_capture(&self, capture_id: CaptureId, answer: &Answer) -> Decided {
        let account = self.existing()?;
        let open = account.captures.unanswered(StepKind::Capture, capture_id.0, answer)?;
        Ok(open.map(|minor| {
            let amount = account.money(minor);
            match answer.clone() {
                Answer::Succeeded(reference) => PaymentCaptured { capture_id, amount, reference }.into(),
                Answer::Failed(reason) => CaptureFailed { capture_id, amount, reason }.into(),
            }
        }))
    }

    pub(super) fn void(&self, void_id: VoidId) -> Decided {
        let account = self.existing()?;
        if account.voids.get(void_id.0).is_some() {
            return Ok(None);
        }
        self.check_uncaptured()?;
        if account.voids.has_open() {
            return Err(PaymentError::VoidPending);
        }
        account.voids.check_room(StepKind::Void)?;
        Ok(Some(VoidRequested { void_id }.into()))
    }

    pub(super) fn answer_void(&self, void_id: VoidId, answer: &Answer) -> Decided {
        let open = self.existing()?.voids.unanswered(StepKind::Void, void_id.0, answer)?;
        Ok(open.map(|_| match answer.clone() {
            Answer::Succeeded(reference) => PaymentVoided { void_id, reference }.into(),
            Answer::Failed(reason) => VoidFailed { void_id, reason }.into(),
        }))
    }

    pub(super) fn refund(&self, refund_id: RefundId, amount: Money) -> Decided {
        let account = self.existing()?;
        account.check_currency(amount)?;
        if account.refunds.repeats(StepKind::Refund, refund_id.0, amount.minor)? {
            return Ok(None);
        }
        check_not_zero(amount)?;
        // Only what is known to be taken can be paid back; what may have been paid back can't be again.
        let spent = account.refunds.succeeded().saturating_add(account.refunds.unknown());
        let (asked, left) = (amount.minor.get(), account.captures.succeeded().saturating_sub(spent));
        if asked > left {
            return Err(PaymentError::RefundExceedsCaptured { left, asked });
        }
        account.refunds.check_room(StepKind::Refund)?;
        Ok(Some(RefundRequested { refund_id, amount }.into()))
    }

    pub(super) fn answer_refund(&self, refund_id: RefundId, answer: &Answer) -> Decided {
        let account = self.existing()?;
        let open = account.refunds.unanswered(StepKind::Refund, refund_id.0, answer)?;
        Ok(open.map(|minor| {
            let amount = account.money(minor);
            match answer.clone() {
                Answer::Succeeded(reference) => PaymentRefunded { refund_id, amount, reference }.into(),
                Answer::Failed(reason) => RefundFailed { refund_id, amount, reason }.into(),
            }
        }))
    }

    /// Refuses unless money is, or may be, set aside that is not taken and not about to be.
    fn check_uncaptured(&self) -> Result<(), PaymentError> {
        let account = match self {
            Self::Unrequested => return Err(PaymentError::PaymentNotFound),
            Self::Declined(_) => return Err(PaymentError::AlreadyDeclined),
            Self::Voided(_) => return Err(PaymentError::AlreadyVoided),
            Self::Expired(_) => return Err(PaymentError::AlreadyExpired),
            Self::Requested(account) | Self::Authorised(account) => account,
        };
        if account.captures.has_open() {
            return Err(PaymentError::CapturePending);
        }
        if account.uncaptured() == MinorUnits::ZERO { Err(PaymentError::AlreadyCaptured) } else { Ok(()) }
    }
}

impl Account {
    /// What is neither taken nor about to be.
    #[must_use]
    pub fn uncaptured(&self) -> MinorUnits {
        let spent = self.captures.succeeded().saturating_add(self.captures.unknown());
        // No more than the amount, which is in bounds.
        MinorUnits::new(self.amount.minor.get().saturating_sub(spent)).unwrap_or_default()
    }

    const fn money(&self, minor: MinorUnits) -> Money {
        Money { minor, currency: self.amount.currency }
    }

    fn check_currency(&self, amount: Money) -> Result<(), PaymentError> {
        let (expected, found) = (self.amount.currency, amount.currency);
        if expected == found { Ok(()) } else { Err(PaymentError::CurrencyMismatch { expected, found }) }
    }
}

fn check_not_zero(amount: Money) -> Result<(), PaymentError> {
    if amount.minor == MinorUnits::ZERO { Err(PaymentError::ZeroAmount) } else { Ok(()) }
}
