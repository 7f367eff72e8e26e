//! The read side: HTTP reads from the read models in Redis.
//!
//! It never parses a view and never writes: what the projector stored goes out as it is.

pub mod application;
pub mod config;
pub mod inbound;
pub mod metrics;
pub mod outbound;
