//! How a service reads.

use std::time::Duration;

use events::{Context, topics};
use rdkafka::ClientConfig;

/// How a service reads.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port,host:port`.
    pub brokers: String,
    /// What brokers call this client in their logs and metrics.
    pub client_id: String,
    /// The group: its members share the partitions, and what it has committed is where it goes on.
    pub group_id: String,
    /// Static membership: a process that comes back in time under the same name gets its partitions back at once.
    pub instance_id: Option<String>,
    /// How long a silent process keeps its partitions.
    pub session_timeout: Duration,
    /// What topic names begin with.
    pub topic_prefix: String,
    /// Whose events are read.
    pub contexts: Vec<Context>,
    /// Records that a handler is given at a time, at most.
    pub batch: usize,
}

impl Settings {
    /// The contexts by their topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (String, Context)> {
        self.contexts.iter().map(|context| (topics::events(&self.topic_prefix, *context), *context))
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let session = self.session_timeout.as_millis();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("group.id", &self.group_id)
            // A partition that stays with its process is not interrupted.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 3).to_string())
            // The relay's transactions: what was aborted was never published.
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false")
            // How soon new topics and partitions are noticed, and given to somebody.
            .set("topic.metadata.refresh.interval.ms", "5000")
            // A group that has committed nothing begins where the topics do.
            .set("auto.offset.reset", "earliest")
            // Only what was handled is committed.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("statistics.interval.ms", "1000")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "5")
            // Bounds of what waits in memory for each partition.
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.message.max.bytes", "131072")
            .set("fetch.max.bytes", "2097152");
        if let Some(instance) = &self.instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }
}
