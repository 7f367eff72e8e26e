//! The read models in Redis.
//!
//! A [`Session`](session::Session) is a pair of connections and the cache of hot views that lives and dies with them;
//! the [`Link`] replaces a lost one. Every read takes the live session, resolves the generation pointer once, and fails
//! within the time that [`Settings`] allow.
//!
//! On Redis Cluster each node would have its own session, and the pipelines over all partitions ([`lists`],
//! [`counters`]) would be split by node; no command here touches keys of two slots.

mod cache;
mod completeness;
mod counters;
mod link;
mod listeners;
mod lists;
mod logs;
mod session;
mod view_key;
mod views;
mod waiters;

use std::time::Duration;

use events::Context;

pub use cache::View;
pub use completeness::Progress;
pub use counters::{Leaders, ScoreBoard};
pub use link::Link;
pub use listeners::Grown;
pub use lists::{Bound, Direction, Member, Members, Range};
pub use logs::{Entry, EntryId, Log, Tail};
pub use views::{Fresh, Present, Waiting};

/// How Redis is reached, and what the process may hold.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server; its URL may carry a password and is never logged.
    pub url: String,
    /// What all keys begin with.
    pub prefix: String,
    /// Connecting and any single answer take no longer.
    pub timeout: Duration,
    /// Bytes of hot views kept in process.
    pub cache_bytes: u64,
    /// Requests that may wait for a version at a time.
    pub max_waiting: usize,
}

/// Why Redis gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedisReadError {
    /// It cannot be reached, or does not answer in time.
    #[error("Redis does not answer: {0}")]
    Unavailable(String),
    /// The context has no generation yet.
    #[error("the read models of {0} are not built yet")]
    NotBuilt(Context),
    /// Something that is read over, or that was not found, may be missing: a partition has not caught up since it was emptied.
    #[error("the read models of {} are being filled again", .0.context)]
    Incomplete(Progress),
    /// The generation that a cursor names is not the one that is read any more.
    #[error("generation {0} is not read any more")]
    GenerationGone(u32),
    /// More requests wait for a version than may.
    #[error("too many requests wait for a version")]
    TooManyWaiting,
    /// What lies in Redis is not what the contract says.
    #[error("unexpected content in Redis: {0}")]
    Malformed(String),
}

impl From<::redis::RedisError> for RedisReadError {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
