//! Kafka: the consumer group, and one source of records a partition.

pub mod group;
pub mod source;
pub mod topics;
