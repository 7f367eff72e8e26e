//! What every command's body has beside its own fields.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A body as it is sent; made by [`body!`].
pub trait Body: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {
    /// Whether it makes an aggregate: then the id is in the body, or up to us.
    const CREATES: bool = false;

    /// The id that the caller gives to what is made.
    fn given_id(&self) -> Option<Uuid> {
        None
    }

    /// When it happened, if the caller says so.
    fn occurred_at(&self) -> Option<DateTime<Utc>>;
}

/// A body without content of its own.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {
    /// When it happened, if not now: for staff and services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) occurred_at: Option<DateTime<Utc>>,
}

/// A body with the fields of a command. `creates` gives it an `id`, every one has `occurred_at`, and nothing unknown is taken.
macro_rules! body {
    ($(#[$meta:meta])* pub struct $name:ident {}) => {
        #[derive(Debug, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(transparent)]
        pub struct $name($crate::inbound::http::commands::body::Empty);

        impl $crate::inbound::http::commands::body::Body for $name {
            fn occurred_at(&self) -> Option<::chrono::DateTime<::chrono::Utc>> {
                self.0.occurred_at
            }
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        #[derive(Debug, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($fields)*
            /// When it happened, if not now: for staff and services.
            occurred_at: Option<::chrono::DateTime<::chrono::Utc>>,
        }

        impl $crate::inbound::http::commands::body::Body for $name {
            fn occurred_at(&self) -> Option<::chrono::DateTime<::chrono::Utc>> {
                self.occurred_at
            }
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident creates { $($fields:tt)* }) => {
        #[derive(Debug, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        $(#[$meta])*
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Chosen by the caller; made here unless given.
            id: Option<::uuid::Uuid>,
            $($fields)*
            /// When it happened, if not now: for staff and services.
            occurred_at: Option<::chrono::DateTime<::chrono::Utc>>,
        }

        impl $crate::inbound::http::commands::body::Body for $name {
            const CREATES: bool = true;

            fn given_id(&self) -> Option<::uuid::Uuid> {
                self.id
            }

            fn occurred_at(&self) -> Option<::chrono::DateTime<::chrono::Utc>> {
                self.occurred_at
            }
        }
    };
}

pub(super) use body;
