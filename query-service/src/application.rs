//! What the queries mean: freshness, ownership, pages, statistics. Knows no HTTP.

pub mod cursor;
pub mod lists;
pub mod ranking;
pub mod reading;
pub mod services;
pub mod stats;
pub mod updates;

use read_model::keys::Parked;

use crate::outbound::redis::RedisReadError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such view, or it is not the caller's.
    #[error("no such view")]
    Missing,
    /// The view did not reach the version in time.
    #[error("the view is at version {version}, not at {min_version}")]
    Behind {
        /// Where it is; 0 when there is none.
        version: u64,
        /// What was asked for.
        min_version: u64,
    },
    /// The view will not reach the version until its stream is redriven.
    #[error("the view's stream is parked at version {}", parked.version)]
    Parked {
        /// The version of the view; 0 when there is none.
        version: u64,
        /// What was asked for.
        min_version: u64,
        /// Why it is parked.
        parked: Box<Parked>,
    },
    /// The text is no cursor of this list.
    #[error("not a cursor of this list")]
    BadCursor,
    /// The text is no id of an event of this stream.
    #[error("not an id of this stream of updates")]
    BadEventId,
    /// As many streams are open as may be, or the process is about to end.
    #[error("no stream of updates can be opened now")]
    NoMoreStreams,
    /// Redis has no answer.
    #[error(transparent)]
    Redis(#[from] RedisReadError),
}
