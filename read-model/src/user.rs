//! The view of a user.

use chrono::{DateTime, Utc};
use events::UserId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the owners hash ([`crate::Slot::owners`]) from canonical e-mail addresses of active users to their ids.
pub const EMAIL_OWNERS: &str = "email";

/// Whether an account is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserStatus {
    /// Open.
    Active,
    /// Closed.
    Deactivated,
}

/// A user as clients see it. Its owner is the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// The user.
    pub id: UserId,
    /// The version of the last event in the view.
    pub version: u64,
    /// Whether the account is open.
    pub status: UserStatus,
    /// The name; null when it was erased.
    pub name: Option<String>,
    /// The e-mail address; null when it was erased.
    pub email: Option<String>,
    /// When the default payment method was set; absent when there is none. What it is, the view does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_method_set_at: Option<DateTime<Utc>>,
    /// When the account was opened.
    pub registered_at: DateTime<Utc>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivated_at: Option<DateTime<Utc>>,
}
