//! The write side: takes commands over HTTP, decides them, stores the events in Postgres, and relays them to Kafka.

pub mod application;
pub mod config;
pub mod domain;
pub mod failpoint;
pub mod inbound;
pub mod metrics;
pub mod outbound;
pub mod service;
