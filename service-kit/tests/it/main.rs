//! Service-kit as its users meet it: a real server on loopback, and a real process.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod bodies;
mod described;
mod guard;
mod harness;
mod lifecycle;
mod observability;
mod process;
