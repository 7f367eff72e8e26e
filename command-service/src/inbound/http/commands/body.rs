//! What every command's body has beside its own fields.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A body as it is sent; made by [`body!`].
pub trait Body: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {
    /// Whether it makes an aggregate: then the id is in the body, or up to us.
    const CREATES: bool;

    /// The id that the caller gives to what is made.
    fn given_id(&self) -> Option<Uuid>;

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

        body!(impl $name, false, |_| None, |body| body.0.occurred_at);
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

        body!(impl $name, false, |_| None, |body| body.occurred_at);
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

        body!(impl $name, true, |body| body.id, |body| body.occurred_at);
    };
    (impl $name:ident, $creates:literal, $given_id:expr, $occurred_at:expr) => {
        impl $crate::inbound::http::commands::body::Body for $name {
            const CREATES: bool = $creates;

            fn given_id(&self) -> Option<::uuid::Uuid> {
                let given: fn(&Self) -> Option<::uuid::Uuid> = $given_id;
                given(self)
            }

            fn occurred_at(&self) -> Option<::chrono::DateTime<::chrono::Utc>> {
                let occurred: fn(&Self) -> Option<::chrono::DateTime<::chrono::Utc>> = $occurred_at;
                occurred(self)
            }
        }
    };
}

pub(super) use body;
