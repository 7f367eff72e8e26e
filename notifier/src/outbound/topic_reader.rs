//! Reading topics from a time on, apart from the consumer group, for explaining: nothing is committed anywhere. Blocks.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use events::{Context, Envelope, Event, topics};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};

/// How long a question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long nothing may come before the brokers count as gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Where the topics are.
#[derive(Debug, Clone)]
pub struct TopicReader {
    /// `host:port,host:port`.
    pub brokers: String,
    /// What topic names begin with.
    pub prefix: String,
}

impl TopicReader {
    /// Gives `each` the events of a context that were published from `from` on, each partition's in order, up to where the
    /// topic ends now, or until it says no. What can't be read is passed over.
    pub fn read(
        &self,
        context: Context,
        from: DateTime<Utc>,
        mut each: impl FnMut(Envelope<'static>, Event) -> bool,
    ) -> KafkaResult<()> {
        let consumer = self.consumer()?;
        let topic = topics::events(&self.prefix, context);
        let mut open = begin(&consumer, &topic, from)?;
        let mut heard = Instant::now();
        while !open.is_empty() {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if message.offset() < open.get(&message.partition()).copied().unwrap_or_default() {
                        if consumer::read(context, &message).is_ok_and(|(envelope, event)| !each(envelope, event)) {
                            return Ok(());
                        }
                    } else {
                        open.remove(&message.partition());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    open.remove(&partition);
                }
                Some(Err(error)) if heard.elapsed() > SILENCE => return Err(error),
                None if heard.elapsed() > SILENCE => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(())
    }

    fn consumer(&self) -> KafkaResult<BaseConsumer> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "orderflow-notifier-reader")
            // It takes no part in a group; librdkafka wants a name all the same.
            .set("group.id", "orderflow-notifier-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "8192")
            .create()
    }
}

/// Assigns all partitions from that time on, and says where those that have anything end.
fn begin(consumer: &BaseConsumer, topic: &str, from: DateTime<Utc>) -> KafkaResult<HashMap<i32, i64>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
    let mut times = TopicPartitionList::new();
    for partition in partitions {
        times.add_partition_offset(topic, partition, Offset::Offset(from.timestamp_millis().max(0)))?;
    }
    let offsets = consumer.offsets_for_times(times, TIMEOUT)?;
    let (mut assignment, mut ends) = (TopicPartitionList::new(), HashMap::new());
    for element in offsets.elements() {
        // Without an offset nothing is as young as that.
        let Offset::Offset(offset) = element.offset() else { continue };
        let (_, end) = consumer.fetch_watermarks(topic, element.partition(), TIMEOUT)?;
        if offset < end {
            assignment.add_partition_offset(topic, element.partition(), Offset::Offset(offset))?;
            ends.insert(element.partition(), end);
        }
    }
    consumer.assign(&assignment)?;
    Ok(ends)
}
