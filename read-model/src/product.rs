//! The view of a product.

use chrono::{DateTime, Utc};
use events::{Money, ProductId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a product can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProductStatus {
    /// In the catalogue.
    Active,
    /// No longer to be ordered.
    Discontinued,
}

/// A product as clients see it. It has no owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductView {
    /// The product.
    pub id: ProductId,
    /// The version of the last event in the view.
    pub version: u64,
    /// Whether it can be ordered.
    pub status: ProductStatus,
    /// The stock-keeping unit.
    pub sku: String,
    /// The name.
    pub name: String,
    /// The list price of one piece.
    pub price: Money,
    /// Pieces in the warehouse, reserved ones too.
    pub on_hand: i64,
    /// Pieces set aside for orders.
    pub reserved: i64,
    /// Pieces that can be promised: on hand − reserved.
    pub available: i64,
    /// When it entered the catalogue.
    pub created_at: DateTime<Utc>,
}
