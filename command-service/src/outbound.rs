//! Adapters of what the service needs: Postgres keeps the events, Kafka carries them.

pub mod kafka;
pub mod postgres;
