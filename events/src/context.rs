//! Bounded contexts.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DecodeError, DomainEvent, OrderEvent, PaymentEvent, ProductEvent, UserEvent};

/// The one list of contexts: what each is called, and what can happen in it.
macro_rules! contexts {
    ($($(#[$doc:meta])* $context:ident = $name:literal, $event:ty;)+) => {
        /// A bounded context. Each has its own Postgres schema, its own topic and its own streams.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Context {
            $($(#[$doc])* $context,)+
        }

        impl Context {
            /// Every context, in a fixed order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$context),+];

            /// The name used in schemas, topics, metrics and paths.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$context => $name,)+
                }
            }

            /// `ce_source` of its events.
            #[must_use]
            pub const fn source(self) -> &'static str {
                match self {
                    $(Self::$context => concat!("/orderflow/", $name),)+
                }
            }

            /// Every type of its events that can be read, old versions too.
            #[must_use]
            pub const fn types(self) -> &'static [&'static str] {
                match self {
                    $(Self::$context => <$event as DomainEvent>::TYPES,)+
                }
            }

            /// The JSON Schema of each of these types.
            #[must_use]
            pub fn schemas(self) -> Vec<(&'static str, schemars::Schema)> {
                match self {
                    $(Self::$context => <$event as DomainEvent>::schemas(),)+
                }
            }
        }

        /// An event of any context.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $context($event),)+
        }

        impl Event {
            /// Reads an event of a context, of any version ever published.
            pub fn decode(context: Context, event_type: &str, data: &[u8]) -> Result<Self, DecodeError> {
                match context {
                    $(Context::$context => <$event as DomainEvent>::decode(event_type, data).map(Self::$context),)+
                }
            }

            /// The context that it belongs to.
            #[must_use]
            pub const fn context(&self) -> Context {
                match self {
                    $(Self::$context(_) => Context::$context,)+
                }
            }

            /// The type name of the current version.
            #[must_use]
            pub fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$context(event) => event.event_type(),)+
                }
            }

            /// Its JSON.
            pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self {
                    $(Self::$context(event) => event.encode(),)+
                }
            }
        }

        $(impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self::$context(event)
            }
        })+
    };
}

contexts! {
    /// Accounts.
    Users = "users", UserEvent;
    /// Catalogue and stock.
    Products = "products", ProductEvent;
    /// Orders and returns.
    Orders = "orders", OrderEvent;
    /// What was asked of payment providers, and what they answered.
    Payments = "payments", PaymentEvent;
}

impl Context {
    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name of one of its aggregates: the first part of its events' types.
    #[must_use]
    pub fn singular(self) -> &'static str {
        self.name().trim_end_matches('s')
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no context: expected one of {names}", names = Context::ALL.map(Context::name).join(", "))]
pub struct UnknownContext(pub String);

impl FromStr for Context {
    type Err = UnknownContext;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|context| context.name() == text).ok_or_else(|| UnknownContext(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_and_in_its_place() {
        for (place, context) in Context::ALL.into_iter().enumerate() {
            assert_eq!((context.name().parse(), context.index()), (Ok(context), place));
            assert_eq!(serde_json::to_value(context).unwrap(), context.name());
            assert!(context.types().iter().all(|name| name.starts_with(context.singular())));
        }
        let unknown = "nonsense".parse::<Context>().unwrap_err().to_string();
        assert!(unknown.starts_with("`nonsense` is no context: expected one of users, products, orders, payments"), "{unknown}");
    }
}
