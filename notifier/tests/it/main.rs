//! The ledger and the mailboxes on a real Postgres, delivering to real servers.

#![expect(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod events;
mod handling;
mod mailboxes;
mod panics;
mod receiver;
mod world;
