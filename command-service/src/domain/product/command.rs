//! What can be asked of a product.

use std::num::NonZeroI64;

use events::{
    Money, OrderId, ProductId, Quantity, ReservationId,
    money::MAX_QUANTITY,
    products::AdjustmentReason,
    text::{ProductName, Sku},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What can be asked of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Enters the product into the catalogue.
    Create {
        /// The stock-keeping unit, unique without regard to case.
        sku: Sku,
        /// The name that customers see.
        name: ProductName,
        /// The list price of one piece.
        price: Money,
    },
    /// Changes the name, the price or both. What is the same already makes no event.
    Change {
        /// The new name.
        name: Option<ProductName>,
        /// The new list price, in the currency that the product has.
        price: Option<Money>,
    },
    /// Corrects the stock on hand.
    AdjustStock {
        /// Pieces added or removed.
        delta: StockDelta,
        /// Why.
        reason: AdjustmentReason,
    },
    /// Ends the sale of the product, for ever.
    Discontinue,
    /// Sets stock aside for an order.
    Reserve(Reserve),
    /// Makes stock that was set aside available again.
    Release {
        /// The reservation to end.
        reservation_id: ReservationId,
    },
    /// Takes stock that was set aside off the stock on hand: it has left.
    Commit {
        /// The reservation to end.
        reservation_id: ReservationId,
    },
}

/// Sets stock aside for an order. Repeating it while the reservation is open changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// The product that is asked: part of what makes the reservation unique.
    pub product_id: ProductId,
    /// The reservation, chosen by the caller and used once.
    pub reservation_id: ReservationId,
    /// For which order.
    pub order_id: OrderId,
    /// How many pieces.
    pub quantity: Quantity,
}

/// Pieces added to the stock (positive) or removed from it (negative): not zero, at most [`MAX_QUANTITY`] either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct StockDelta(NonZeroI64);

/// The number is no correction of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stock adjustment is a whole number from -{MAX_QUANTITY} to {MAX_QUANTITY}, and not 0")]
pub struct InvalidDelta;

impl StockDelta {
    /// Checks the bounds.
    pub fn new(pieces: i64) -> Result<Self, InvalidDelta> {
        let bounded = pieces.unsigned_abs() <= u64::from(MAX_QUANTITY);
        NonZeroI64::new(pieces).filter(|_| bounded).map(Self).ok_or(InvalidDelta)
    }

    /// The number of pieces.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0.get()
    }
}

impl JsonSchema for StockDelta {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StockDelta".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let most = i64::from(MAX_QUANTITY);
        json_schema!({ "type": "integer", "minimum": -most, "maximum": most, "not": { "const": 0 } })
    }
}

impl TryFrom<i64> for StockDelta {
    type Error = InvalidDelta;

    fn try_from(pieces: i64) -> Result<Self, InvalidDelta> {
        Self::new(pieces)
    }
}

impl From<StockDelta> for i64 {
    fn from(delta: StockDelta) -> Self {
        delta.get()
    }
}
