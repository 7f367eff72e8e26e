//! The view of an order.

use chrono::{DateTime, Utc};
use events::{Currency, MinorUnits, OrderId, ProductId, Quantity, ReturnId, UserId, orders::Fulfilment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Placed, not yet confirmed.
    Placed,
    /// Will be fulfilled.
    Confirmed,
    /// Will not be fulfilled.
    Cancelled,
    /// On its way.
    Shipped,
    /// Arrived; some of it may have come back.
    Delivered,
    /// All of it came back.
    Returned,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [Self::Placed, Self::Confirmed, Self::Cancelled, Self::Shipped, Self::Delivered, Self::Returned];

    /// The name used in JSON, queries and index names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Returned => "returned",
        }
    }
}

/// An order as clients see it. Its owner is the user, if any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderView {
    /// The order.
    pub id: OrderId,
    /// The version of the last event in the view.
    pub version: u64,
    /// Where it stands.
    pub status: OrderStatus,
    /// Who ordered; null for a guest.
    pub user_id: Option<UserId>,
    /// Who carries it out.
    pub fulfilment: Fulfilment,
    /// The currency of every amount.
    pub currency: Currency,
    /// What was ordered.
    pub lines: Vec<OrderLineView>,
    /// The sum of all lines, in minor units.
    pub total: MinorUnits,
    /// What was paid back, in minor units.
    pub refunded: MinorUnits,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// When it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// When it was shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipped_at: Option<DateTime<Utc>>,
    /// With whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// Under which code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime<Utc>>,
    /// What came back, in the order it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<ReturnView>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLineView {
    /// The line's number, from 1.
    pub line: u16,
    /// What was ordered.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece, in minor units.
    pub unit_price: MinorUnits,
    /// How many pieces came back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: u32,
}

/// One return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReturnView {
    /// Which return.
    pub return_id: ReturnId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Pieces, over all lines.
    pub units: u64,
    /// What was paid back, in minor units.
    pub refund: MinorUnits,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
