//! Kafka as the measurements use it beside the services: topics, a producer, and reading a topic to its end.

mod arrivals;
mod records;

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use events::Context;
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use system_tests::servers::{Topics, shared};

pub(crate) use arrivals::Arrivals;
pub(crate) use records::Records;

/// What the services make unless told otherwise.
pub(crate) const PARTITIONS: i32 = 12;
/// How long a question to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one look for messages or delivery reports lasts.
const POLL: Duration = Duration::from_millis(1);
/// The pause while a partition has no leader.
const LEADERLESS: Duration = Duration::from_millis(50);
/// After so long without a message a topic is not coming to its end.
const SILENCE: Duration = Duration::from_secs(30);

/// A client's configuration.
#[must_use]
pub(crate) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", shared("ORDERFLOW_TEST_KAFKA"));
    config
}

/// Makes the topics with the events of every context.
pub(crate) async fn create(topics: &Topics) -> anyhow::Result<()> {
    let names = Context::ALL.map(|context| events::topics::events(&topics.prefix, context));
    let new = names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
    let admin: AdminClient<DefaultClientContext> = client().create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    for created in admin.create_topics(&new.collect::<Vec<_>>(), &options).await? {
        created.map_err(|(topic, code)| anyhow::anyhow!("the topic {topic} can't be made: {code}"))?;
    }
    Ok(())
}

/// The topic with the orders' events of a prefix.
#[must_use]
pub(crate) fn orders(topics: &Topics) -> String {
    events::topics::events(&topics.prefix, Context::Orders)
}

/// Where a partition ends. Just after a topic is made, its partitions may not have a leader yet.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> anyhow::Result<Offset> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, partition, TIMEOUT) {
            Ok((_, end)) => return Ok(Offset::Offset(end)),
            Err(error) if Instant::now() > deadline => bail!(error),
            Err(_) => std::thread::sleep(LEADERLESS),
        }
    }
}

/// Reads a topic from its beginning to its end, as a `read_committed` consumer, and counts. Blocks.
pub(crate) fn read_all(topic: &str, mut each: impl FnMut(&BorrowedMessage<'_>)) -> anyhow::Result<u64> {
    let consumer = consumer().set("enable.partition.eof", "true").create::<BaseConsumer<_>>()?;
    assign(&consumer, topic, |_| Ok(Offset::Beginning))?;
    let (mut count, mut ended) = (0, HashSet::new());
    while ended.len() < usize::try_from(PARTITIONS)? {
        match consumer.poll(SILENCE).context("the topic does not come to its end")? {
            Ok(message) => {
                each(&message);
                count += 1;
            }
            Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
            Err(error) => bail!(error),
        }
    }
    Ok(count)
}

/// A consumer's configuration.
fn consumer() -> ClientConfig {
    let mut config = client();
    config.set("group.id", "bench").set("enable.auto.commit", "false").set("isolation.level", "read_committed");
    config
}

fn assign(consumer: &BaseConsumer, topic: &str, offset: impl Fn(i32) -> anyhow::Result<Offset>) -> anyhow::Result<()> {
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, offset(partition)?)?;
    }
    Ok(consumer.assign(&assignment)?)
}

/// A producer as the relay has it, idempotent and with the relay's settings, but without transactions, and with the
/// `linger.ms` that serves throughput.
pub(crate) struct Sender {
    producer: BaseProducer<Failures>,
}

#[derive(Default)]
struct Failures {
    any: AtomicBool,
}

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.any.store(true, Ordering::Relaxed);
        }
    }
}

impl Sender {
    /// Connects, and learns the topic.
    pub(crate) fn open(topic: &str) -> anyhow::Result<Self> {
        let mut config = client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("batch.num.messages", "20000")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("message.max.bytes", "2000000");
        let producer: BaseProducer<_> = config.create_with_context(Failures::default())?;
        producer.client().fetch_metadata(Some(topic), TIMEOUT)?;
        Ok(Self { producer })
    }

    /// Hands a record over, waiting while the queue is full.
    pub(crate) fn send(&self, record: BaseRecord<'_, [u8], [u8]>) -> anyhow::Result<()> {
        let mut record = record;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(POLL);
                }
                Err((error, _)) => bail!(error),
            }
        }
    }

    /// Waits until all has arrived.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(POLL);
        }
        ensure!(!self.producer.context().any.load(Ordering::Relaxed), "a record did not arrive");
        Ok(())
    }
}

/// The key of a message, as the text that it is.
fn key<'m>(message: &'m BorrowedMessage<'_>) -> &'m [u8] {
    message.key().unwrap_or_default()
}
