//! Sagas in a real Postgres. Every test has a database of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod effects;
mod hearing;
mod operating;
mod timers;
mod world;
