//! The records of one partition, in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, base_consumer::PartitionQueue},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::BorrowedMessage,
};
use tokio::sync::Notify;

use super::group::GroupContext;

/// How long a seek or a question to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One partition's queue. librdkafka fills it up to its bounds and then fetches no more of this partition, so a worker
/// that waits holds nobody up.
pub struct Source {
    consumer: Arc<BaseConsumer<GroupContext>>,
    queue: PartitionQueue<GroupContext>,
    filled: Arc<Notify>,
    topic: String,
    partition: i32,
    lost: AtomicBool,
}

/// Some records that were waiting.
pub struct Taken<'s> {
    /// In the order of the partition; perhaps none.
    pub messages: Vec<BorrowedMessage<'s>>,
    /// Whether these were all that the topic has.
    pub at_end: bool,
}

/// The offset to read next is not in the log.
#[derive(Debug, thiserror::Error)]
#[error("Kafka no longer has the offset to read next: {0}")]
pub struct OffsetLost(KafkaError);

impl Source {
    /// Takes the partition's records out of the consumer's common queue. To be called before the partition is assigned:
    /// librdkafka keeps a queue that was split off before apart from the beginning.
    pub fn split(consumer: &Arc<BaseConsumer<GroupContext>>, topic: &str, partition: i32) -> KafkaResult<Self> {
        let mut queue = consumer
            .split_partition_queue(topic, partition)
            .ok_or_else(|| KafkaError::Subscription(format!("no queue for {topic}/{partition}")))?;
        let filled = Arc::new(Notify::new());
        let wake = Arc::clone(&filled);
        queue.set_nonempty_callback(move || wake.notify_one());
        Ok(Self {
            consumer: Arc::clone(consumer),
            queue,
            filled,
            topic: topic.to_owned(),
            partition,
            lost: AtomicBool::new(false),
        })
    }

    /// Returns when records may be waiting.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Lets the next [`Self::filled`] return at once.
    pub fn refill(&self) {
        self.filled.notify_one();
    }

    /// Takes what is waiting, at most `most` records and little more than `bytes` bytes. Never waits for more to come.
    pub fn take(&self, most: usize, bytes: usize) -> Result<Taken<'_>, OffsetLost> {
        let mut taken = Taken { messages: Vec::new(), at_end: false };
        let mut size = 0;
        while taken.messages.len() < most && size < bytes {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    size += message.payload().map_or(0, <[u8]>::len);
                    taken.messages.push(message);
                    taken.at_end = false;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => taken.at_end = true,
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                        self.lose();
                        return Err(OffsetLost(error));
                    }
                    // librdkafka goes on by itself.
                    _ => tracing::warn!(kafka.topic = self.topic, kafka.partition = self.partition, %error, "fetching fails"),
                },
            }
        }
        Ok(taken)
    }

    /// Notes that reading was begun outside of the log: librdkafka has given the partition up then, and can't be moved
    /// elsewhere.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether it has to be split off and assigned anew.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Goes to an offset. What was fetched before is not returned any more.
    pub async fn seek(&self, offset: i64) -> KafkaResult<()> {
        self.blocking(move |consumer, topic, partition| consumer.seek(topic, partition, Offset::Offset(offset), TIMEOUT)).await
    }

    /// The first offset in the log, and the one after the last.
    pub async fn watermarks(&self) -> KafkaResult<(i64, i64)> {
        self.blocking(|consumer, topic, partition| consumer.fetch_watermarks(topic, partition, TIMEOUT)).await
    }

    /// The offset that the group has committed, if any: what Redis has held at some time, whatever it holds now.
    pub async fn committed(&self) -> KafkaResult<Option<i64>> {
        self.blocking(|consumer, topic, partition| {
            let mut asked = TopicPartitionList::with_capacity(1);
            asked.add_partition(topic, partition);
            let committed = consumer.committed_offsets(asked, TIMEOUT)?;
            Ok(committed.find_partition(topic, partition).and_then(|found| found.offset().to_raw()).filter(|offset| *offset >= 0))
        })
        .await
    }

    /// Notes the offset to read next for the next commit. Nobody starts there: it is for tools that show lag.
    pub fn store(&self, offset: i64) {
        // librdkafka wants the offset of the last record, and commits the one after it.
        if let Err(error) = self.consumer.store_offset(&self.topic, self.partition, offset - 1) {
            tracing::debug!(kafka.topic = self.topic, kafka.partition = self.partition, %error, "offset not stored");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&BaseConsumer<GroupContext>, &str, i32) -> KafkaResult<T> + Send + 'static,
    ) -> KafkaResult<T> {
        let (consumer, topic, partition) = (Arc::clone(&self.consumer), self.topic.clone(), self.partition);
        let asked = tokio::task::spawn_blocking(move || ask(&consumer, &topic, partition)).await;
        asked.unwrap_or(Err(KafkaError::Canceled))
    }
}
