//! The bounded contexts, under the names that schemas, topics and keys carry.

use std::fmt;

/// A bounded context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// People.
    Users,
    /// Catalogue and stock.
    Products,
    /// Orders.
    Orders,
    /// Payments.
    Payments,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Users, Self::Products, Self::Orders, Self::Payments];

    /// The name.
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
