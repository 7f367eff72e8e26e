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
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Users, Self::Products, Self::Orders];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
