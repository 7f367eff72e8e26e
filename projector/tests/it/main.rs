//! The real projector against real Kafka and Redis. Every test has topics, keys and processes of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod history;
mod oracle;
mod poison;
mod process;
mod redrive;
mod users;
mod world;
