//! Fulfilment against what it works with: a real Postgres, in which every test has a database of its own, and a real provider.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod effects;
mod hearing;
mod operating;
mod provider;
mod timers;
mod world;
