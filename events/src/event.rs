//! What every context's events have in common: a stable type name, their JSON, and upcasting at decoding.
//!
//! A published shape never changes. A new shape is a new version with its own type name; the old version's struct stays,
//! with a `From` that lifts it one step, and is listed under `upcasts` of the context's enum. Old bytes are lifted when
//! they are decoded and nowhere else: the rest of the code knows the current version only.

use serde::de::DeserializeOwned;

use crate::Context;

/// Why an event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// This build does not know the type.
    #[error("unknown event type `{event_type}` in context {context}")]
    UnknownType {
        /// The type that was met.
        event_type: String,
        /// The context that it was met in.
        context: Context,
    },
    /// The bytes don't fit the type.
    #[error("the data of an `{event_type}` event can't be read: {source}")]
    Malformed {
        /// The type that was met.
        event_type: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A header of the envelope is missing or can't be read.
    #[error("the header `{0}` is missing or malformed")]
    Header(&'static str),
}

/// One context's events.
pub trait DomainEvent: Clone + Sized + Send + Sync + 'static {
    /// The context that the events belong to.
    const CONTEXT: Context;

    /// Every type that can be read, old versions too.
    const TYPES: &'static [&'static str];

    /// The versioned type name, such as `order.placed.v1`.
    fn event_type(&self) -> &'static str;

    /// The event's JSON: what Postgres stores and Kafka carries, byte for byte.
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;

    /// Reads an event of any version ever published, lifted to the current one.
    fn decode(event_type: &str, data: &[u8]) -> Result<Self, DecodeError>;

    /// The JSON Schema of each current type.
    fn schemas() -> Vec<(&'static str, schemars::Schema)>;
}

pub(crate) fn from_json<T: DeserializeOwned>(event_type: &'static str, data: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(data).map_err(|source| DecodeError::Malformed { event_type, source })
}

/// Declares a context's event enum, its type names and its upcasts.
macro_rules! events {
    (
        $(#[$doc:meta])*
        $name:ident in $context:expr;
        current { $($(#[$variant_doc:meta])* $variant:ident($data:ty) = $event_type:literal,)+ }
        upcasts { $($old_type:literal: $old:ty $(, then $step:ty)* ; $target:ident,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant($data),)+ }

        impl $crate::event::DomainEvent for $name {
            const CONTEXT: $crate::Context = $context;
            const TYPES: &'static [&'static str] = &[$($event_type,)+ $($old_type,)*];

            fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $event_type,)+ }
            }

            fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self { $(Self::$variant(data) => serde_json::to_vec(data),)+ }
            }

            fn decode(event_type: &str, data: &[u8]) -> Result<Self, $crate::DecodeError> {
                match event_type {
                    $($event_type => $crate::event::from_json($event_type, data).map(Self::$variant),)+
                    $($old_type => {
                        let lifted = $crate::event::from_json::<$old>($old_type, data)?;
                        $(let lifted = <$step>::from(lifted);)*
                        Ok(Self::$target(lifted.into()))
                    })*
                    unknown => Err($crate::DecodeError::UnknownType {
                        event_type: unknown.to_owned(),
                        context: $context,
                    }),
                }
            }

            fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($event_type, schemars::schema_for!($data)),)+ $(($old_type, schemars::schema_for!($old)),)*]
            }
        }

        $(impl From<$data> for $name {
            fn from(data: $data) -> Self {
                Self::$variant(data)
            }
        })+
    };
}
pub(crate) use events;
