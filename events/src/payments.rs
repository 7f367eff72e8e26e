//! Events of the `payments` context: what was asked of a payment provider, and what it answered.
//!
//! Every step (an attempt to get an authorisation, a capture, a void, a refund) has an id of its own and two events: it was
//! asked for, and the provider has answered. Between the two nobody knows whether it happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, CaptureId, Context, Money, OrderId, RefundId, UserId, VoidId,
    event::events,
    text::{PaymentMethod, ProviderReference, Reason},
};

events! {
    /// What can happen to a payment.
    PaymentEvent in Context::Payments;
    current {
        /// The provider is asked to authorise it.
        Requested(PaymentRequested) = "payment.requested.v1",
        /// The provider sets the money aside for us.
        Authorised(PaymentAuthorised) = "payment.authorised.v1",
        /// The provider does not authorise it.
        Declined(PaymentDeclined) = "payment.declined.v1",
        /// The authorisation, or the request for one, has lapsed.
        Expired(PaymentExpired) = "payment.expired.v1",
        /// The provider is asked to take money that is set aside.
        CaptureRequested(CaptureRequested) = "payment.capture-requested.v1",
        /// The money is taken.
        Captured(PaymentCaptured) = "payment.captured.v1",
        /// The money is not taken.
        CaptureFailed(CaptureFailed) = "payment.capture-failed.v1",
        /// The provider is asked to give back what is set aside and not taken.
        VoidRequested(VoidRequested) = "payment.void-requested.v1",
        /// What was set aside and not taken is given back.
        Voided(PaymentVoided) = "payment.voided.v1",
        /// What is set aside stays so.
        VoidFailed(VoidFailed) = "payment.void-failed.v1",
        /// The provider is asked to pay back money that was taken.
        RefundRequested(RefundRequested) = "payment.refund-requested.v1",
        /// The money is paid back.
        Refunded(PaymentRefunded) = "payment.refunded.v1",
        /// The money is not paid back.
        RefundFailed(RefundFailed) = "payment.refund-failed.v1",
    }
    upcasts {}
}

/// The provider is asked to authorise it. Again after a decline, with another attempt id: order, user and amount stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRequested {
    /// Which try this is.
    pub attempt_id: AttemptId,
    /// What is paid for.
    pub order_id: OrderId,
    /// Who pays; absent for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// How much, in the payment's only currency.
    pub amount: Money,
    /// What with.
    pub method: PaymentMethod,
}

/// The provider sets the money aside for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentAuthorised {
    /// The try that succeeded.
    pub attempt_id: AttemptId,
    /// How much, which is what was asked for.
    pub amount: Money,
    /// What the provider calls it.
    pub reference: ProviderReference,
}

/// The provider does not authorise it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeclined {
    /// The try that failed.
    pub attempt_id: AttemptId,
    /// Why, in the provider's words.
    pub reason: Reason,
}

/// The authorisation, or the request for one, has lapsed: nothing more can be captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentExpired {}

/// The provider is asked to take money that is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureRequested {
    /// Which capture this is.
    pub capture_id: CaptureId,
    /// How much.
    pub amount: Money,
}

/// The money is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentCaptured {
    /// The capture that succeeded.
    pub capture_id: CaptureId,
    /// How much.
    pub amount: Money,
    /// What the provider calls it.
    pub reference: ProviderReference,
}

/// The money is not taken; it is still set aside, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureFailed {
    /// The capture that failed.
    pub capture_id: CaptureId,
    /// How much it was about.
    pub amount: Money,
    /// Why, in the provider's words.
    pub reason: Reason,
}

/// The provider is asked to give back what is set aside and not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoidRequested {
    /// Which try this is.
    pub void_id: VoidId,
}

/// What was set aside and not taken is given back: nothing more can be captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentVoided {
    /// The try that succeeded.
    pub void_id: VoidId,
    /// What the provider calls it.
    pub reference: ProviderReference,
}

/// What is set aside stays so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoidFailed {
    /// The try that failed.
    pub void_id: VoidId,
    /// Why, in the provider's words.
    pub reason: Reason,
}

/// The provider is asked to pay back money that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequested {
    /// Which refund this is.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
}

/// The money is paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// The refund that succeeded.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
    /// What the provider calls it.
    pub reference: ProviderReference,
}

/// The money is not paid back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundFailed {
    /// The refund that failed.
    pub refund_id: RefundId,
    /// How much it was about.
    pub amount: Money,
    /// Why, in the provider's words.
    pub reason: Reason,
}
