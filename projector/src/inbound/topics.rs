//! What the projector has to know of Kafka before it begins: the cluster, and how many partitions each topic has.

use std::{sync::Arc, time::Duration};

use events::{Context, topics};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio_util::sync::CancellationToken;

use crate::application::shapes::Shapes;

/// How long a question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often the partitions are counted.
const WATCH: Duration = Duration::from_secs(5);

/// Partitions of the dead-letter topic: enough to keep streams apart; it is never busy.
const DEAD_LETTER_PARTITIONS: i32 = 12;

/// What is known of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id, without which offsets mean nothing.
    pub id: String,
    /// The partitions of each context's topic.
    pub partitions: Vec<(Context, u32)>,
}

/// Why the cluster is not ready.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// No answer.
    #[error("no answer from the brokers: {0}")]
    Kafka(#[from] KafkaError),
    /// The brokers don't say which cluster they are.
    #[error("the brokers don't tell the cluster's id")]
    NoClusterId,
    /// The command service creates topics when it starts.
    #[error("the topic {0} does not exist (the command service creates it)")]
    Missing(String),
    /// The dead-letter topic can't be made.
    #[error("the topic {topic} can't be created: {code}")]
    Create {
        /// The topic.
        topic: String,
        /// What the brokers say.
        code: RDKafkaErrorCode,
    },
}

/// A client for questions only. It joins no group.
pub struct Topics {
    client: BaseConsumer,
    admin: AdminClient<DefaultClientContext>,
    prefix: String,
}

impl Topics {
    /// A client of these brokers.
    pub fn new(brokers: &str, prefix: &str) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("client.id", "orderflow-projector-questions");
        Ok(Self {
            admin: config.create()?,
            client: config.set("allow.auto.create.topics", "false").create()?,
            prefix: prefix.to_owned(),
        })
    }

    /// Cluster id and partition counts. Blocks.
    pub fn cluster(&self) -> Result<Cluster, TopicsError> {
        let mut partitions = Vec::with_capacity(Context::ALL.len());
        for context in Context::ALL {
            partitions.push((context, self.partitions(&topics::events(&self.prefix, context))?));
        }
        let id = self.client.client().fetch_cluster_id(TIMEOUT).ok_or(TopicsError::NoClusterId)?;
        Ok(Cluster { id, partitions })
    }

    /// Looks until `stop` is cancelled whether a topic has got more partitions, and notes it.
    pub async fn watch(self: Arc<Self>, shapes: Shapes, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(WATCH)).await.is_some() {
            let asking = Arc::clone(&self);
            // Without an answer nothing has changed; readiness says that there is none.
            let Ok(Ok(cluster)) = tokio::task::spawn_blocking(move || asking.cluster()).await else { continue };
            for (context, partitions) in cluster.partitions {
                shapes.set_partitions(context, partitions);
            }
        }
    }

    /// Whether the brokers answer. Blocks.
    pub fn ping(&self) -> Result<(), TopicsError> {
        self.client.fetch_metadata(Some(&topics::events(&self.prefix, Context::Orders)), TIMEOUT)?;
        Ok(())
    }

    /// Makes the dead-letter topic if there is none.
    pub async fn create_dead_letters(&self, replication: i32) -> Result<(), TopicsError> {
        let topic = topics::dead_letters(&self.prefix);
        let new = NewTopic::new(&topic, DEAD_LETTER_PARTITIONS, TopicReplication::Fixed(replication)).set("retention.ms", "-1");
        let created = self.admin.create_topics([&new], &AdminOptions::new().request_timeout(Some(TIMEOUT))).await?;
        match created.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(TopicsError::Create { topic, code }),
            _ => Ok(()),
        }
    }

    fn partitions(&self, topic: &str) -> Result<u32, TopicsError> {
        let metadata = self.client.fetch_metadata(Some(topic), TIMEOUT)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        match u32::try_from(partitions) {
            Ok(partitions) if partitions > 0 => Ok(partitions),
            _ => Err(TopicsError::Missing(topic.to_owned())),
        }
    }
}
