//! Orders that fulfil themselves: the order saga as a process manager. Orders' events come in, commands and payments go out.

pub mod application;
pub mod config;
pub mod domain;
pub mod inbound;
pub mod metrics;
pub mod outbound;
