//! Events of the `orders` context.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Currency, MinorUnits, ProductId, Quantity, ReturnId, UserId,
    event::events,
    text::{Carrier, PaymentMethod, Reason, TrackingCode},
};

events! {
    /// What can happen to an order.
    OrderEvent in Context::Orders;
    current {
        /// An order was placed.
        Placed(OrderPlaced) = "order.placed.v1",
        /// The order will be fulfilled.
        Confirmed(OrderConfirmed) = "order.confirmed.v1",
        /// The order will not be fulfilled.
        Cancelled(OrderCancelled) = "order.cancelled.v1",
        /// The goods have left.
        Shipped(OrderShipped) = "order.shipped.v1",
        /// The goods have arrived.
        Delivered(OrderDelivered) = "order.delivered.v1",
        /// Goods came back.
        Returned(OrderReturned) = "order.returned.v1",
    }
    upcasts {}
}

/// Who carries an order out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Fulfilment {
    /// The fulfilment saga.
    #[default]
    Managed,
    /// Another system: the order's whole life is told to us.
    External,
}

/// An order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// Who ordered; absent for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Who carries it out.
    pub fulfilment: Fulfilment,
    /// The currency of every amount in the order.
    pub currency: Currency,
    /// What was ordered: 1 to 2,000 lines, numbered from 1.
    #[schemars(length(min = 1, max = 2000))]
    pub lines: Vec<OrderLine>,
    /// The sum of all lines.
    pub total: MinorUnits,
    /// What to pay with: named with the order, or the user's default at that moment. Absent when neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<PaymentMethod>,
}

/// One line of an order. A product may stand on several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct OrderLine {
    /// The line's number, from 1.
    #[schemars(range(min = 1, max = 2000))]
    pub line: u16,
    /// What was ordered.
    pub product_id: ProductId,
    /// The version of the product that its price was read at.
    #[schemars(range(min = 1))]
    pub product_version: u64,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece, in the order's currency.
    pub unit_price: MinorUnits,
}

/// The order will be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderConfirmed {}

/// The order will not be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderCancelled {
    /// Why.
    pub reason: Reason,
}

/// The goods have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderShipped {
    /// With whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
    /// Under which code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<TrackingCode>,
}

/// The goods have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderDelivered {}

/// Goods came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReturned {
    /// Which return this is.
    pub return_id: ReturnId,
    /// What came back.
    #[schemars(length(min = 1, max = 2000))]
    pub lines: Vec<ReturnedLine>,
    /// The sum of all refunds, in the order's currency.
    pub refund: MinorUnits,
    /// Why, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What came back of one line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct ReturnedLine {
    /// The order's line.
    #[schemars(range(min = 1, max = 2000))]
    pub line: u16,
    /// How many pieces.
    pub quantity: Quantity,
    /// Their price, in the order's currency.
    pub refund: MinorUnits,
}
