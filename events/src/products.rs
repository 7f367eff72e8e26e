//! Events of the `products` context: catalogue and stock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Money, OrderId, Quantity, ReservationId,
    event::events,
    text::{ProductName, Sku},
};

events! {
    /// What can happen to a product.
    ProductEvent in Context::Products;
    current {
        /// A product entered the catalogue.
        Created(ProductCreated) = "product.created.v1",
        /// The name was changed.
        Renamed(ProductRenamed) = "product.renamed.v1",
        /// The list price was changed.
        Repriced(ProductRepriced) = "product.repriced.v1",
        /// The product can no longer be ordered.
        Discontinued(ProductDiscontinued) = "product.discontinued.v1",
        /// Stock on hand was corrected.
        StockAdjusted(StockAdjusted) = "product.stock-adjusted.v2",
        /// Stock was set aside for an order.
        StockReserved(StockReserved) = "product.stock-reserved.v1",
        /// Stock that was set aside is available again.
        StockReleased(StockReleased) = "product.stock-released.v1",
        /// Stock that was set aside has left.
        StockCommitted(StockCommitted) = "product.stock-committed.v1",
    }
    upcasts {
        "product.stock-adjusted.v1": StockAdjustedV1; StockAdjusted,
    }
}

/// A product entered the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductCreated {
    /// The stock-keeping unit, unique without regard to case.
    pub sku: Sku,
    /// The name that customers see.
    pub name: ProductName,
    /// The list price of one piece.
    pub price: Money,
}

/// The name was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductRenamed {
    /// The new name.
    pub name: ProductName,
}

/// The list price was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductRepriced {
    /// The new list price of one piece.
    pub price: Money,
}

/// The product can no longer be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductDiscontinued {}

/// Stock on hand was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockAdjusted {
    /// Pieces added (positive) or removed (negative); never zero.
    pub delta: i64,
    /// Why.
    pub reason: AdjustmentReason,
}

/// Version 1 of [`StockAdjusted`], from before reasons were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockAdjustedV1 {
    /// Pieces added (positive) or removed (negative); never zero.
    pub delta: i64,
}

impl From<StockAdjustedV1> for StockAdjusted {
    fn from(old: StockAdjustedV1) -> Self {
        Self { delta: old.delta, reason: AdjustmentReason::Other }
    }
}

/// Why stock on hand was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AdjustmentReason {
    /// Goods came in.
    Received,
    /// Somebody counted.
    Counted,
    /// Goods broke.
    Damaged,
    /// Goods are gone.
    Lost,
    /// A customer sent goods back.
    Returned,
    /// Carried over from another system.
    Imported,
    /// Anything else, and what version 1 did not say.
    Other,
}

/// Stock was set aside for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// For which order.
    pub order_id: OrderId,
    /// How many pieces.
    pub quantity: Quantity,
}

/// Stock that was set aside is available again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReleased {
    /// The reservation that ended.
    pub reservation_id: ReservationId,
    /// For which order it was.
    pub order_id: OrderId,
    /// How many pieces it held.
    pub quantity: Quantity,
}

/// Stock that was set aside has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockCommitted {
    /// The reservation that ended.
    pub reservation_id: ReservationId,
    /// For which order it was.
    pub order_id: OrderId,
    /// How many pieces it held.
    pub quantity: Quantity,
}
