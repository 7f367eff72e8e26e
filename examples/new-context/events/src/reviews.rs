//! Events of the `reviews` context.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, ProductId, UserId,
    event::events,
    text::{Reason, ReviewText},
};

events! {
    /// What can happen to a review.
    ReviewEvent in Context::Reviews;
    current {
        /// A customer said what a product is worth.
        Written(ReviewWritten) = "review.written.v1",
        /// It is not shown any more.
        Withdrawn(ReviewWithdrawn) = "review.withdrawn.v1",
    }
    upcasts {}
}

/// A customer said what a product is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewWritten {
    /// What was reviewed.
    pub product_id: ProductId,
    /// Who wrote it.
    pub user_id: UserId,
    /// One to five.
    #[schemars(range(min = 1, max = 5))]
    pub stars: u8,
    /// In the customer's words; absent when there are only stars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<ReviewText>,
}

/// It is not shown any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewWithdrawn {
    /// Why.
    pub reason: Reason,
}
