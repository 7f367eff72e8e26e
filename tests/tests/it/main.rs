//! The whole system, with faults. Every test has services, a database, topics and Redis keys of its own.

#![expect(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod apart;
mod audit;
mod chaos;
mod dashboards;
mod disk;
mod dlq;
mod examples;
mod fulfilment;
mod gateway;
mod happy;
mod import;
mod journey;
mod lanes;
mod live;
mod metrics;
mod notifier;
mod oracle;
mod parking;
mod parted;
mod payments;
mod projector;
mod readme;
mod rebuild;
mod redis;
mod registry;
mod relay;
mod restore;
mod runbooks;
mod services;
mod shutdown;
mod store;
mod traces;
mod verify;
