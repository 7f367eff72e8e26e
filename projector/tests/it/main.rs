//! The real projector against real Kafka and Redis. Every test has topics, keys and processes of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod compare;
mod complete;
mod critical_time;
mod faults;
mod grow;
mod history;
mod keep;
mod oracle;
mod poison;
mod process;
mod rebuild;
mod redrive;
mod store;
mod streams;
mod throttle;
mod users;
mod world;
mod writer;
