//! What happens to a partition's events between Kafka and Redis.

pub mod changes;
pub mod chunk;
pub mod cache;
pub mod status;
pub mod patience;
pub mod letters;
pub mod worker;
