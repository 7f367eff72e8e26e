//! The operator's command line: one module a verb, and what they share.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to whoever runs it")]

pub mod api;
pub mod audit;
pub mod demo;
pub mod dlq;
pub mod import;
pub mod journey;
pub mod log_level;
pub mod notifications;
pub mod rebuild;
pub mod saga;
pub mod services;
pub mod text;
pub mod token;
pub mod verify;
pub mod wait;
