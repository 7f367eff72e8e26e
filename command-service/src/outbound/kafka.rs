//! Kafka: the topics, and the publisher that the relay writes through.

pub mod cursor;
pub mod publisher;
pub mod topics;

use std::time::Duration;

use rdkafka::ClientConfig;

/// How long a request to the broker may take before the relay starts over.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Where Kafka is, and how topics are named there.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// Bootstrap servers, comma-separated.
    pub brokers: String,
    /// The first part of every topic's name.
    pub prefix: String,
    /// Partitions of an events topic.
    pub partitions: i32,
    /// Copies of each partition.
    pub replication: i32,
}

impl KafkaSettings {
    /// A client's configuration, without what only one kind of client has.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", "orderflow-command-service");
        // A broker that is away for a moment is tried again soon.
        config.set("reconnect.backoff.max.ms", "1000");
        config
    }
}
