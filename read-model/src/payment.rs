//! The view of a payment. It never has the payment method's token.

use chrono::{DateTime, Utc};
use events::{AttemptId, Currency, MinorUnits, OrderId, PaymentId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PaymentStatus {
    /// The provider was asked to set the money aside, and its answer is not known.
    Requested,
    /// The provider would not.
    Declined,
    /// The money is set aside.
    Authorised,
    /// Money was taken: `captured` of it, `refunded` of which was paid back.
    Captured,
    /// All that was taken was paid back.
    Refunded,
    /// The money was given back, and none of it taken.
    Voided,
    /// The money is not set aside any more, and none of it was taken.
    Expired,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// Nobody knows yet.
    Requested,
    /// It is done.
    Succeeded,
    /// It is not done.
    Failed,
}

/// A payment as clients see it. Its owner is the user, if any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentView {
    /// The payment.
    pub id: PaymentId,
    /// The version of the last event in the view.
    pub version: u64,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What is paid for.
    pub order_id: OrderId,
    /// Who pays; null for a guest.
    pub user_id: Option<UserId>,
    /// The currency of every amount.
    pub currency: Currency,
    /// How much is paid, in minor units.
    pub amount: MinorUnits,
    /// What was taken of it, in minor units.
    pub captured: MinorUnits,
    /// What was paid back of that, in minor units.
    pub refunded: MinorUnits,
    /// The last try to get it authorised.
    pub attempt_id: AttemptId,
    /// When it was requested for the first time.
    pub requested_at: DateTime<Utc>,
    /// When it was authorised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorised_at: Option<DateTime<Utc>>,
    /// What the provider calls the authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When the last try was declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined_at: Option<DateTime<Utc>>,
    /// Why it was declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_reason: Option<String>,
    /// When what was not taken was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_at: Option<DateTime<Utc>>,
    /// When what was not taken lapsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<DateTime<Utc>>,
    /// Captures, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<StepView>,
    /// Tries to give back what was not taken, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voids: Vec<StepView>,
    /// Refunds, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<StepView>,
}

/// One step of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// The step.
    pub id: Uuid,
    /// How it ended.
    pub status: StepStatus,
    /// How much it is about, in minor units; absent for a void, which is about all that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<MinorUnits>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When its answer was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<DateTime<Utc>>,
    /// What the provider calls it, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
