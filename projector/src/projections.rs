//! The read models: pure folds from events to views, and what a view puts into indexes and counters.
//!
//! One file a projection. Nothing here does I/O, reads a clock or knows Redis; every match over events is exhaustive, so
//! that a new event breaks the build where it is not handled.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod derived;
pub mod keyring;
pub mod order;
pub mod payment;
pub mod product;
pub mod user;

use chrono::{DateTime, Utc};
use events::{DomainEvent, Envelope, StreamId};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub use derived::{Counter, IndexEntry, IndexName};
pub use keyring::KeyRing;
pub use order::OrderProjection;
pub use payment::PaymentProjection;
pub use product::ProductProjection;
pub use user::UserProjection;

/// One context's read model.
pub trait Projection: Send + Sync + 'static {
    /// The document that is kept for each stream.
    type View: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What it is folded from.
    type Event: DomainEvent;

    /// Rises when the same events would give other views, entries or counters: a new generation has to be built then.
    const VERSION: u32;

    /// The list that every view is in, where views add to counters: it is what counters are recounted by.
    const COUNTED_BY: Option<&'static str> = None;

    /// The members of the view that hold personal data: operators are not shown them.
    const PERSONAL: &'static [&'static str] = &[];

    /// The view after the event. An event that can't have happened to this view is refused, and the view comes back.
    fn apply(view: Option<Self::View>, event: &Self::Event, meta: &Meta, keys: &KeyRing) -> Folded<Self::View>;

    /// The version of the last event in the view.
    fn version(view: &Self::View) -> u64;

    /// The user that the view belongs to.
    fn owner(view: &Self::View) -> Option<Uuid>;

    /// The entries of the view in sorted lists.
    fn index_entries(view: &Self::View) -> Vec<IndexEntry>;

    /// What the view adds to counters.
    fn contribution(_view: &Self::View) -> Vec<(Counter, i64)> {
        Vec::new()
    }

    /// The unique value that the view owns, and the name of the hash that says so.
    fn owned(_view: &Self::View) -> Option<(&'static str, String)> {
        None
    }

    /// The keys that personal data in the event is encrypted under.
    fn key_ids(_event: &Self::Event, _wanted: &mut Vec<Uuid>) {}

    /// About how many bytes the view takes in memory.
    fn size(view: &Self::View) -> usize;
}

/// What a fold needs to know of an event beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The aggregate it happened to.
    pub stream: StreamId,
    /// The position in the stream.
    pub version: u64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

impl From<&Envelope<'_>> for Meta {
    fn from(envelope: &Envelope<'_>) -> Self {
        Self { stream: envelope.stream_id, version: envelope.version, occurred_at: envelope.occurred_at }
    }
}

/// The next view, or the refusal. Boxed: a refusal is rare, and a view is large.
pub type Folded<V> = Result<V, Box<Refused<V>>>;

/// An event that can't have happened to the view, and the view as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused<V> {
    /// The view, unchanged.
    pub view: Option<V>,
    /// Why.
    pub cause: &'static str,
}

pub(crate) fn refused<V>(view: impl Into<Option<V>>, cause: &'static str) -> Folded<V> {
    Err(Box::new(Refused { view: view.into(), cause }))
}

pub(crate) fn existing<V>(view: Option<V>) -> Folded<V> {
    view.ok_or_else(|| Box::new(Refused { view: None, cause: "the stream does not begin with this event" }))
}

/// Something done with a context's projection, under the name that is given to it: the one list of them.
macro_rules! projection_of {
    ($context:expr, $projection:ident => $done:expr) => {
        match $context {
            ::events::Context::Users => {
                type $projection = $crate::projections::UserProjection;
                $done
            }
            ::events::Context::Products => {
                type $projection = $crate::projections::ProductProjection;
                $done
            }
            ::events::Context::Orders => {
                type $projection = $crate::projections::OrderProjection;
                $done
            }
            ::events::Context::Payments => {
                type $projection = $crate::projections::PaymentProjection;
                $done
            }
        }
    };
}
pub(crate) use projection_of;

/// The version of a context's projection.
#[must_use]
pub const fn version(context: events::Context) -> u32 {
    projection_of!(context, P => P::VERSION)
}
