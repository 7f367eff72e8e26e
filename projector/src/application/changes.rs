//! What one chunk of events changes: everything that is written to Redis in one transaction.

use events::StreamId;
use read_model::{Filling, keys::Parked};
use uuid::Uuid;

use super::audit::orphans::Orphan;
use crate::projections::{Counter, IndexName};

/// What becomes of the slot's being filled from the event store.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Nothing.
    #[default]
    Unchanged,
    /// It is so far.
    At(Filling),
    /// It is over.
    Over,
}

/// The writes of one chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The next offset to read.
    pub offset: i64,
    /// Events that the slot has applied in all.
    pub events: u64,
    /// Milliseconds: recording time of the last event.
    pub at: i64,
    /// The offset from which on the slot is complete; none once it is.
    pub goal: Option<i64>,
    /// How far the slot is filled from the event store.
    pub filling: Fill,
    /// Views in their stored form.
    pub views: Vec<(StreamId, Vec<u8>)>,
    /// Views that go: of streams that the event store does not have.
    pub dropped: Vec<StreamId>,
    /// Index entries that ended.
    pub removed: Vec<(IndexName, String)>,
    /// Index entries that began.
    pub added: Vec<(IndexName, String)>,
    /// What counters move by; never zero.
    pub moves: Vec<(Counter, i64)>,
    /// What these counters become; zero is no counter, so that the order of chunks leaves no trace.
    pub totals: Vec<(Counter, i64)>,
    /// Unique values given up: hash, value, and the stream that gave it up. Another's claim to the value stays.
    pub released: Vec<(&'static str, String, StreamId)>,
    /// Unique values owned: hash, value, and the owner.
    pub claimed: Vec<(&'static str, String, StreamId)>,
    /// What no view has put where it is.
    pub orphans: Vec<Orphan>,
    /// Streams that others had passed on, and that are here now.
    pub handed_over: Vec<StreamId>,
    /// Streams whose unique values are to be claimed once the slot is filled, and those whose values now are.
    pub to_claim: Vec<StreamId>,
    /// See `to_claim`.
    pub have_claimed: Vec<StreamId>,
    /// Streams parked, or parked further.
    pub parked: Vec<(StreamId, Parked)>,
    /// Streams that are not parked any more.
    pub unparked: Vec<StreamId>,
    /// Answers to operators: request id and JSON.
    pub answers: Vec<(Uuid, Vec<u8>)>,
    /// What operators did, for the ring of operations: field and value.
    pub operations: Vec<(String, Vec<u8>)>,
    /// For the change log, each event in the order it was applied: stream, version and type.
    pub log: Vec<(StreamId, u64, &'static str)>,
}
