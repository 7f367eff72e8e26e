//! Handlers against a real Kafka. Every test has topics and a group of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod delivery;
mod group;
mod world;
