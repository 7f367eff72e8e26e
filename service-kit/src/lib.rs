//! What every service of orderflow shares, and no domain: settings, telemetry, authentication,
//! routes, problems, health, shutdown, and how services find and call each other.
//!
//! `examples/greeter.rs` is a complete service:
//!
#![doc = "```no_run"]
#![doc = include_str!("../examples/greeter.rs")]
#![doc = "```"]

pub mod auth;
pub mod breaker;
pub mod config;
pub mod exit;
pub mod health;
pub mod instances;
pub mod json;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod registry;
pub mod routes;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
