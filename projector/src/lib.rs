//! The read side's writer: Kafka → Redis read models.
//!
//! `projections/` are pure folds; `application/` is what happens to a partition's events; `inbound/` is the consumer group;
//! `outbound/` is Redis, the command service's HTTP API and the dead-letter topic. `main.rs` wires them.

pub mod application;
pub mod config;
mod failpoints;
pub mod inbound;
pub mod metrics;
pub mod outbound;
pub mod projections;
