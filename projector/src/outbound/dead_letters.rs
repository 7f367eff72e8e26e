//! The dead-letter topic.

use std::time::Duration;

use futures::future::try_join_all;
use rdkafka::{
    ClientConfig,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};

use crate::application::letters::DeadLetter;

/// How long librdkafka tries before the worker hears of it, pauses and tries again.
const MESSAGE_TIMEOUT: &str = "10000";

/// Writes dead letters, each acknowledged by all in-sync replicas.
pub struct DeadLetters {
    producer: FutureProducer,
    topic: String,
}

impl DeadLetters {
    /// A producer for `topic`.
    pub fn new(brokers: &str, topic: String) -> Result<Self, KafkaError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "orderflow-projector-dead-letters")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // As every other client hashes, so that a stream's letters are in one partition.
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", MESSAGE_TIMEOUT)
            .set("queue.buffering.max.kbytes", "16384")
            .set("linger.ms", "1")
            .create()?;
        Ok(Self { producer, topic })
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Sends the letters in order, and returns when all are acknowledged.
    pub async fn send(&self, letters: &[DeadLetter]) -> Result<(), KafkaError> {
        // All are handed over before any is waited for, so that a stream's letters keep their order.
        let sending = letters.iter().map(|letter| async move {
            let record = FutureRecord { headers: Some(headers(letter)), ..record(&self.topic, letter) };
            self.producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)
        });
        try_join_all(sending).await.map(drop)
    }

    /// Waits for what is under way.
    pub fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        self.producer.flush(timeout)
    }
}

fn record<'a>(topic: &'a str, letter: &'a DeadLetter) -> FutureRecord<'a, [u8], [u8]> {
    let mut record = FutureRecord::to(topic);
    if let Some(key) = &letter.key {
        record = record.key(key.as_slice());
    }
    if let Some(value) = &letter.value {
        record = record.payload(value.as_slice());
    }
    record
}

fn headers(letter: &DeadLetter) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    for (key, value) in &letter.headers {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    for (key, value) in letter.cause_headers() {
        headers = headers.insert(Header { key, value: Some(&value) });
    }
    headers
}
