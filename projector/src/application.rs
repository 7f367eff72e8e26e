//! What happens to a partition's events between Kafka and Redis.

pub mod audit;
pub mod cache;
pub mod changes;
pub mod chunk;
pub mod compare;
pub mod conductor;
pub mod counters;
pub mod failure;
pub mod filling;
pub mod generations;
pub mod journey;
pub mod letters;
pub mod operating;
pub mod patience;
pub mod rebuilding;
pub mod redrive;
pub mod shapes;
pub mod starts;
pub mod status;
pub mod verify;
pub mod worker;
