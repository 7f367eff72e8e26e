//! Typed ids. All are UUIDs; those that orderflow makes itself are version 7, so that they are close together in indexes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a stream: the aggregate's id, whatever its context.
pub type StreamId = Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A user: the stream id in the `users` context.
    UserId
);
id!(
    /// A product: the stream id in the `products` context.
    ProductId
);
id!(
    /// An order: the stream id in the `orders` context.
    OrderId
);
id!(
    /// A reservation of stock, chosen by whoever reserves, and used once.
    ReservationId
);
id!(
    /// One return of goods, chosen by whoever reports it.
    ReturnId
);
id!(
    /// A payment: the stream id in the `payments` context.
    PaymentId
);
id!(
    /// One try to get a payment authorised, chosen by whoever asks the provider, and used once.
    AttemptId
);
id!(
    /// One capture of authorised money, chosen by whoever asks for it, and used once.
    CaptureId
);
id!(
    /// One try to give an authorisation back, chosen by whoever asks for it, and used once.
    VoidId
);
id!(
    /// One refund of captured money, chosen by whoever asks for it, and used once.
    RefundId
);
id!(
    /// One event, unique over all contexts.
    EventId
);
