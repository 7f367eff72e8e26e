//! Kafka: the consumer group, and one source of records a partition. HTTP: what operators ask.

mod aside;
mod follow;
pub mod group;
pub mod http;
pub mod inspect;
pub mod source;
pub mod topics;
