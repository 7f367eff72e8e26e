//! The view of a review.

use chrono::{DateTime, Utc};
use events::{ProductId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A review as clients see it. Its owner is who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewView {
    /// The review.
    pub id: Uuid,
    /// The version of the last event in the view.
    pub version: u64,
    /// What was reviewed.
    pub product_id: ProductId,
    /// Who wrote it.
    pub user_id: UserId,
    /// One to five.
    pub stars: u8,
    /// In the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it was written.
    pub written_at: DateTime<Utc>,
    /// When it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<DateTime<Utc>>,
}
