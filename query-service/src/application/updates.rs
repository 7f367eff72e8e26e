//! Live updates: streams of what changes, as it changes.
//!
//! [`OrderUpdates`] follows one view. It is woken as waiting reads are, by Redis announcing the write, and always sends
//! the view as it is: there is no log to fall behind.
//!
//! [`ChangeUpdates`] follows the change logs. One task a process ([`Feed`]) reads them, only while somebody listens, and
//! hands each change to the streams that want it. A stream that joins or falls behind reads on from its own position
//! until it meets the feed.

mod changes;
mod feed;
mod filter;
mod order;
mod position;

use std::sync::Arc;

use bytes::Bytes;

pub use changes::ChangeUpdates;
pub use feed::{ChangeJson, Feed};
pub use filter::{Filter, UnknownType};
pub use order::{OrderPosition, OrderUpdates};
pub use position::Positions;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Where a stream that ended after this goes on: opaque to clients, letters, digits, `-` and `_` only.
    pub id: Arc<str>,
    /// What happened.
    pub what: What,
}

/// What an [`Update`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The view as it is now: its JSON.
    View(Bytes),
    /// A change: the JSON of context, id, version and type.
    Change(Bytes),
    /// What came before may not have been told completely: whoever keeps a copy reads it anew.
    Reset(Cause),
    /// Nothing; but the stream may go on from here.
    Nothing,
}

/// Why a stream could not go on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Another generation of the read models is read.
    Rebuilt,
    /// The position was trimmed away, or Redis was emptied or restored.
    Lost,
}

impl Cause {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rebuilt => "rebuilt",
            Self::Lost => "lost",
        }
    }
}

/// A stream of updates.
pub trait Updates: Send + 'static {
    /// The next update; none when the stream is at its end. May be dropped and asked again: nothing is lost.
    fn next(&mut self) -> impl Future<Output = Option<Update>> + Send;
}
