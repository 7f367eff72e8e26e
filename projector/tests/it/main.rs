//! The real projector against real Kafka and Redis. Every test has topics, keys and processes of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod complete;
mod faults;
mod history;
mod oracle;
mod poison;
mod process;
mod rebuild;
mod redrive;
mod store;
mod streams;
mod users;
mod world;
