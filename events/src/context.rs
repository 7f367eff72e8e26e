//! Bounded contexts.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bounded context. Each has its own Postgres schema, its own topic and its own streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// Accounts.
    Users,
    /// Catalogue and stock.
    Products,
    /// Orders and returns.
    Orders,
    /// What was asked of payment providers, and what they answered.
    Payments,
}

impl Context {
    /// Every context, in a fixed order.
    pub const ALL: [Self; 4] = [Self::Users, Self::Products, Self::Orders, Self::Payments];

    /// The name used in schemas, topics, metrics and paths.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Payments => "payments",
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no context: expected users, products, orders or payments")]
pub struct UnknownContext(pub String);

impl FromStr for Context {
    type Err = UnknownContext;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|context| context.name() == text).ok_or_else(|| UnknownContext(text.to_owned()))
    }
}
