//! Making the topics, and checking those that exist.

use events::{Context, topics};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::warn;

use super::{KafkaSettings, REQUEST_TIMEOUT};

/// Why the topics are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// Kafka failed.
    #[error("Kafka can't be reached: {0}")]
    Kafka(#[from] KafkaError),
    /// The topic could not be made.
    #[error("the topic {topic} could not be made: {code}")]
    Create {
        /// The topic.
        topic: String,
        /// Kafka's reason.
        code: RDKafkaErrorCode,
    },
    /// The topic exists with another number of partitions, and keys would go to other ones.
    #[error(
        "the topic {topic} has {found} partitions, not {expected}: set TOPIC_PARTITIONS to what it has, or make a new topic under another TOPIC_PREFIX"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// What it has.
        found: usize,
        /// What is configured.
        expected: i32,
    },
    /// The topic would lose events that are needed.
    #[error("the topic {topic} has cleanup.policy={found}, not {expected}")]
    CleanupPolicy {
        /// The topic.
        topic: String,
        /// What it has.
        found: String,
        /// What it must have.
        expected: &'static str,
    },
}

struct Wanted {
    name: String,
    partitions: i32,
    cleanup: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

/// Kept for ever: every read model can be rebuilt from it.
const FOR_EVER: &[(&str, &str)] = &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];
/// Compacted early, in small segments: reading it must stay quick.
const CURSORS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("delete.retention.ms", "60000"),
];

/// Makes the topics of contexts with so many relay groups each, where they are missing, and checks the others.
pub async fn ensure(settings: &KafkaSettings, contexts: &[(Context, u16)]) -> Result<(), TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings.client().create()?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT));
    let wanted = wanted(settings, contexts);
    let new = wanted.iter().map(|topic| {
        let replication = TopicReplication::Fixed(settings.replication);
        topic
            .settings
            .iter()
            .fold(NewTopic::new(&topic.name, topic.partitions, replication), |new, (key, value)| new.set(key, value))
    });
    for result in admin.create_topics(&new.collect::<Vec<_>>(), &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicError::Create { topic, code }),
        }
    }
    let mut partitions = Vec::new();
    for topic in &wanted {
        partitions.push(partition_count(&admin, &topic.name).await?);
    }
    let resources: Vec<_> = wanted.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let described: Vec<_> = admin.describe_configs(&resources, &options).await?.into_iter().flatten().collect();
    for (topic, partitions) in wanted.iter().zip(partitions) {
        let specifier = OwnedResourceSpecifier::Topic(topic.name.clone());
        let config = described.iter().find(|resource| resource.specifier == specifier);
        topic.check(partitions, config.map_or(&[], |config| &config.entries))?;
    }
    Ok(())
}

fn wanted(settings: &KafkaSettings, contexts: &[(Context, u16)]) -> Vec<Wanted> {
    let mut wanted = vec![Wanted {
        name: topics::dead_letters(&settings.prefix),
        partitions: settings.partitions,
        cleanup: "delete",
        settings: FOR_EVER,
    }];
    for (context, relay_groups) in contexts {
        wanted.push(Wanted {
            name: topics::events(&settings.prefix, *context),
            partitions: settings.partitions,
            cleanup: "delete",
            settings: FOR_EVER,
        });
        wanted.push(Wanted {
            name: topics::relay_cursors(&settings.prefix, *context),
            partitions: i32::from(*relay_groups),
            cleanup: "compact",
            settings: CURSORS,
        });
    }
    wanted
}

impl Wanted {
    /// Compares it with what there is.
    fn check(&self, partitions: usize, entries: &[ConfigEntry]) -> Result<(), TopicError> {
        let topic = &self.name;
        if i32::try_from(partitions) != Ok(self.partitions) {
            return Err(TopicError::Partitions { topic: topic.clone(), found: partitions, expected: self.partitions });
        }
        let value = |name: &str| entries.iter().find(|entry| entry.name == name)?.value.as_deref();
        let found = value("cleanup.policy").unwrap_or_default();
        if found != self.cleanup {
            return Err(TopicError::CleanupPolicy { topic: topic.clone(), found: found.to_owned(), expected: self.cleanup });
        }
        let retention = value("retention.ms").unwrap_or("-1");
        if self.cleanup == "delete" && retention != "-1" {
            warn!(
                topic,
                retention.ms = retention,
                "old events of this topic are deleted: read models are rebuilt from the store"
            );
        }
        Ok(())
    }
}

/// A topic just made is not known to every broker at once.
async fn partition_count(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<usize, TopicError> {
    for _ in 0..20 {
        let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        match metadata.topics().first().map_or(0, |topic| topic.partitions().len()) {
            0 => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            partitions => return Ok(partitions),
        }
    }
    Ok(0)
}
