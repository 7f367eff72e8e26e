//! The query service against a real Redis (`ORDERFLOW_TEST_REDIS`), with read models written by the contract.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "a failed test shows its seed")]

mod access;
mod answers;
mod caching;
mod faults;
mod harness;
mod lists;
mod live;
mod live_changes;
mod live_faults;
mod measure;
mod openapi;
mod process;
mod rebuilding;
mod services;
mod stats;
mod waiting;
