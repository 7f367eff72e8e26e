//! The relay's producer: a batch of events and the cursor after it, in one Kafka transaction.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use events::{Context, RecordedEvent, topics};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{KafkaSettings, REQUEST_TIMEOUT, cursor::Cursor};
use crate::failpoint::crash_point;

/// The pause between two looks for delivery reports. The crate's `poll` with a timeout burns what is left of the last
/// millisecond, which at a high rate is most of a core.
const LOOK: Duration = Duration::from_micros(500);

/// How the relay publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Events and cursor in one transaction.
    ExactlyOnce,
    /// Events first, the cursor when they have arrived: quicker, and after a crash the last events come again.
    AtLeastOnce,
}

/// What a failed publication means for the relay.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The batch is not visible and may be published again by the same producer.
    #[error("the batch was not published: {0}")]
    Aborted(#[source] KafkaError),
    /// The producer is of no more use: another one has taken over, or nothing is known of the batch. Only the cursor
    /// in Kafka tells what was published.
    #[error("the producer is of no more use: {0}")]
    Lost(#[source] KafkaError),
}

/// A relay group's producers. All calls block.
///
/// Transactions take turns between two of them: the broker answers a commit before its markers are written, and refuses
/// the same producer's next transaction until they are, which librdkafka then tries again 20 ms later. What the second one
/// sends stands behind the first one's in every partition, and its transaction begins only when the first one's is certain
/// to be committed, so that the order is kept, and no cursor overtakes another.
pub struct Publisher {
    producers: Vec<BaseProducer<PublisherContext>>,
    turn: AtomicUsize,
    delivery: Delivery,
    context: Context,
    topic: String,
    cursor_topic: String,
    group: i32,
}

struct PublisherContext {
    failed: AtomicBool,
}

impl ClientContext for PublisherContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                warn!(facility, message, "librdkafka");
            }
            _ => debug!(facility, message, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        warn!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for PublisherContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

impl Publisher {
    /// New producers, which fence whoever published for this group before.
    pub fn open(settings: &KafkaSettings, context: Context, group: u16, delivery: Delivery) -> Result<Self, KafkaError> {
        let name = format!("{}.{context}.relay.{group}", settings.prefix);
        let producers = match delivery {
            Delivery::ExactlyOnce => {
                let transactional_ids = [name.clone(), format!("{name}.second")];
                let producers = transactional_ids.map(|id| config(settings).set("transactional.id", id).clone());
                producers.iter().map(producer).collect::<Result<Vec<_>, _>>()?
            }
            Delivery::AtLeastOnce => vec![producer(&config(settings))?],
        };
        if delivery == Delivery::ExactlyOnce {
            for producer in &producers {
                producer.init_transactions(REQUEST_TIMEOUT)?;
            }
        }
        Ok(Self {
            producers,
            turn: AtomicUsize::new(0),
            delivery,
            context,
            topic: topics::events(&settings.prefix, context),
            cursor_topic: topics::relay_cursors(&settings.prefix, context),
            group: i32::from(group),
        })
    }

    /// Whose turn it is.
    fn producer(&self) -> &BaseProducer<PublisherContext> {
        &self.producers[self.turn.load(Ordering::Relaxed) % self.producers.len()]
    }

    /// The topic that events go to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Publishes the events in the order given and, with them or after them, the cursor.
    pub fn publish(&self, events: &[RecordedEvent<String>], cursor: &Cursor) -> Result<(), PublishError> {
        match self.delivery {
            Delivery::ExactlyOnce => self.publish_in_transaction(events, cursor),
            Delivery::AtLeastOnce => self.publish_and_flush(events, cursor),
        }
    }

    fn publish_in_transaction(&self, events: &[RecordedEvent<String>], cursor: &Cursor) -> Result<(), PublishError> {
        self.producer().begin_transaction().map_err(PublishError::Lost)?;
        let sent = self.send_all(events).and_then(|()| {
            crash_point("relay-sent");
            self.send_cursor(cursor)
        });
        let committed = sent.and_then(|()| self.drain()).and_then(|()| self.producer().commit_transaction(REQUEST_TIMEOUT));
        let Err(error) = committed else {
            crash_point("relay-committed");
            self.turn.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        // Only an error that asks for an abort leaves no doubt; after any other the cursor in Kafka must be read. Records whose
        // fate is not known have sequence numbers that the broker may have seen or not: what the same producer sends next
        // would be refused or, worse, taken for a repetition.
        let abortable = match &error {
            KafkaError::Transaction(transaction) => transaction.txn_requires_abort(),
            KafkaError::Flush(_) => false,
            _ => true,
        };
        if abortable && self.abort().is_ok() { Err(PublishError::Aborted(error)) } else { Err(PublishError::Lost(error)) }
    }

    fn publish_and_flush(&self, events: &[RecordedEvent<String>], cursor: &Cursor) -> Result<(), PublishError> {
        self.producer().context().failed.store(false, Ordering::Relaxed);
        self.send_all(events).and_then(|()| self.flush()).map_err(PublishError::Lost)?;
        crash_point("relay-sent");
        // The cursor is not waited for: a lost one only makes the last events come again.
        self.send_cursor(cursor).map_err(PublishError::Lost)?;
        crash_point("relay-committed");
        Ok(())
    }

    fn flush(&self) -> Result<(), KafkaError> {
        self.drain()?;
        if self.producer().context().failed.load(Ordering::Relaxed) {
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
        }
        Ok(())
    }

    /// Aborts the transaction once the fate of all records is known. Nothing is purged: that leaves a gap in the sequence
    /// numbers, which the broker refuses, and each refusal costs as long as a drain may take.
    fn abort(&self) -> Result<(), KafkaError> {
        self.drain()?;
        self.producer().abort_transaction(REQUEST_TIMEOUT)
    }

    /// Waits until the fate of every record sent is known. The crate's own flush does so too, but looks only every 100 ms.
    fn drain(&self) -> Result<(), KafkaError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while self.producer().in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            self.look();
        }
        Ok(())
    }

    /// Takes the delivery reports that are there, and pauses when there are none.
    fn look(&self) {
        let before = self.producer().in_flight_count();
        self.producer().poll(Duration::ZERO);
        if self.producer().in_flight_count() == before {
            std::thread::sleep(LOOK);
        }
    }

    fn send_all(&self, events: &[RecordedEvent<String>]) -> Result<(), KafkaError> {
        let mut buffer = Uuid::encode_buffer();
        for event in events {
            let mut headers = Some(OwnedHeaders::new_with_capacity(14));
            event.envelope().write_headers(self.context, |key, value| {
                headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
            });
            let key: &str = event.stream_id.hyphenated().encode_lower(&mut buffer);
            let record = BaseRecord::to(&self.topic)
                .key(key)
                .payload(event.data.as_str())
                .timestamp(event.recorded_at.timestamp_millis())
                .headers(headers.unwrap_or_default());
            self.send(record)?;
        }
        Ok(())
    }

    fn send_cursor(&self, cursor: &Cursor) -> Result<(), KafkaError> {
        let json = cursor.to_json();
        self.send(BaseRecord::to(&self.cursor_topic).partition(self.group).key(Cursor::KEY).payload(&json))
    }

    /// Hands a record to librdkafka, waiting while its queue is full.
    fn send(&self, record: BaseRecord<'_, str, str, ()>) -> Result<(), KafkaError> {
        let mut record = record;
        loop {
            match self.producer().send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.look();
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

fn config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = settings.client();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // As every other client hashes, so that consumers can compute a key's partition.
        .set("partitioner", "murmur2_random")
        .set("compression.type", "lz4")
        // A batch is sent as a whole and flushed: waiting for more would only add to the latency.
        .set("linger.ms", "0")
        .set("batch.num.messages", "20000")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("message.max.bytes", "2000000")
        .set("delivery.timeout.ms", "30000")
        .set("transaction.timeout.ms", "30000");
    config
}

fn producer(config: &ClientConfig) -> Result<BaseProducer<PublisherContext>, KafkaError> {
    config.create_with_context(PublisherContext { failed: AtomicBool::new(false) })
}
