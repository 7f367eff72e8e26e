//! Adapters of what the service needs: Postgres keeps the events, Kafka carries them, peers run other contexts.

pub mod kafka;
pub mod peers;
pub mod postgres;
