//! What can be asked of a payment.

use events::{
    AttemptId, CaptureId, Money, OrderId, RefundId, UserId, VoidId,
    text::{PaymentMethod, ProviderReference, Reason},
};

/// What can be asked of a payment. A step comes in two: it is asked for, and then its answer is recorded. Either may be
/// repeated under the same id and changes nothing then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Asks for an authorisation.
    Request(Request),
    /// Records what the provider answered to that.
    AnswerAttempt {
        /// The attempt that is answered.
        attempt_id: AttemptId,
        /// Authorised, or declined.
        answer: Answer,
    },
    /// Records that the authorisation, or the request for one, has lapsed.
    Expire,
    /// Asks for money that is set aside.
    Capture {
        /// The capture, chosen by the caller and used once.
        capture_id: CaptureId,
        /// How much.
        amount: Money,
    },
    /// Records what the provider answered to that.
    AnswerCapture {
        /// The capture that is answered.
        capture_id: CaptureId,
        /// Captured, or not.
        answer: Answer,
    },
    /// Asks to give back what is set aside and not taken.
    Void {
        /// The try, chosen by the caller and used once.
        void_id: VoidId,
    },
    /// Records what the provider answered to that.
    AnswerVoid {
        /// The try that is answered.
        void_id: VoidId,
        /// Given back, or not.
        answer: Answer,
    },
    /// Asks to pay back money that was taken.
    Refund {
        /// The refund, chosen by the caller and used once.
        refund_id: RefundId,
        /// How much.
        amount: Money,
    },
    /// Records what the provider answered to that.
    AnswerRefund {
        /// The refund that is answered.
        refund_id: RefundId,
        /// Paid back, or not.
        answer: Answer,
    },
}

/// Asks for an authorisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The try, chosen by the caller and used once.
    pub attempt_id: AttemptId,
    /// What is paid for.
    pub order_id: OrderId,
    /// Who pays; nobody when it is a guest.
    pub user_id: Option<UserId>,
    /// How much.
    pub amount: Money,
    /// What with.
    pub method: PaymentMethod,
}

/// What a provider answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and is called so.
    Succeeded(ProviderReference),
    /// It is not done and won't be, and this is why.
    Failed(Reason),
}
