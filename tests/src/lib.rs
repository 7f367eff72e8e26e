//! Whole-system tests: the real programs against real Postgres, Kafka and Redis, with faults, and an oracle that decides.
//!
//! [`stack`] runs the services, [`load`] sends them commands through [`client`], which writes down in the [`ledger`] what
//! was acknowledged; [`oracle`] then looks for exactly that in the three servers. The oracle shares no code with the
//! services: a mistake in what they share would hide itself.

pub mod binaries;
pub mod chaos;
pub mod client;
pub mod collector;
pub mod context;
pub mod ledger;
pub mod load;
pub mod network;
pub mod oracle;
pub mod planter;
pub mod process;
pub mod proxy;
pub mod servers;
pub mod stack;
pub mod wait;

pub use client::{Answer, Client, Command};
pub use context::Context;
pub use ledger::Ledger;
pub use oracle::{Oracle, dead_letters};
pub use stack::{Plan, Stack};
