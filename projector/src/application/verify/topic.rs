//! The records of a topic, counted: each version of each stream once, in order.

use std::{collections::HashMap, time::Instant};

use events::{Context, StreamId, partition::partition_of, topics};
use rdkafka::error::{KafkaError, KafkaResult};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{ContextReport, Message, PATIENCE, Progress, Verification, VerifyError};
use crate::outbound::topic_reader::{Follows, Sequence, Then, TopicReader};

/// Records between two messages of progress.
const TOLD: u64 = 10_000;

/// Findings of one kind that are told one by one.
const SAMPLES: usize = 5;

/// What a topic has.
#[derive(Debug, Default, Serialize)]
pub struct KafkaReport {
    /// Committed records.
    pub records: u64,
    /// Versions that are there more than once: each time too many.
    pub duplicates: u64,
    /// Versions that the store has and the topic lacks.
    pub gaps: u64,
    /// Versions that the topic does not have any more: the log of their partition no longer begins at its beginning.
    pub deleted: u64,
    /// Versions that came after later ones of their stream.
    pub out_of_order: u64,
    /// Records of streams that the store does not have, and records that are no events.
    pub unknown: u64,
    #[serde(skip)]
    samples: Vec<String>,
}

impl KafkaReport {
    fn sample(&mut self, what: &str, found: u64, text: impl FnOnce() -> String) {
        if found <= u64::try_from(SAMPLES).unwrap_or(u64::MAX) {
            self.samples.push(format!("{what}: {}", text()));
        }
    }
}

impl Verification {
    /// Reads a context's topic. `versions`: what the store had of each stream.
    pub(super) async fn topic(
        &self,
        context: Context,
        versions: HashMap<StreamId, u64>,
        report: &mut ContextReport,
        told: &mpsc::Sender<Message>,
    ) -> Result<KafkaReport, VerifyError> {
        let (brokers, topic, told) = (self.brokers.clone(), topics::events(&self.topic_prefix, context), told.clone());
        let reading = tokio::task::spawn_blocking(move || read(&brokers, topic, context, &versions, &told));
        let (mut kafka, strangers) = reading.await.unwrap_or(Err(KafkaError::Canceled))?;
        for (stream, records) in strangers {
            // Or it is newer than the reading of the store.
            if self.commands.page(context, stream, 0, 1).await?.is_none() {
                kafka.unknown += records;
                let unknown = kafka.unknown;
                kafka.sample("kafka, of no stream of the store", unknown, || stream.to_string());
            }
        }
        for sample in std::mem::take(&mut kafka.samples) {
            report.sample(|| sample);
        }
        Ok(kafka)
    }
}

/// What the topic has, and the records of each stream that the store did not have when it was read.
type Read = (KafkaReport, HashMap<StreamId, u64>);

fn read(
    brokers: &str,
    topic: String,
    context: Context,
    versions: &HashMap<StreamId, u64>,
    told: &mpsc::Sender<Message>,
) -> KafkaResult<Read> {
    let reader = TopicReader::new(brokers, topic)?;
    let extent = reader.extent()?;
    let of = u64::try_from(extent.records).unwrap_or_default();
    let is_cut = |stream: StreamId| {
        !extent.cut.is_empty() && extent.cut.contains(&partition_of(stream.to_string().as_bytes(), extent.partitions))
    };
    let sequence = std::cell::RefCell::new(Sequence::default());
    let (mut kafka, mut strangers) = (KafkaReport::default(), HashMap::<StreamId, u64>::new());
    let mut deadline = None;
    reader.read_all(
        |place, envelope| {
            kafka.records += 1;
            if kafka.records.is_multiple_of(TOLD) {
                let progress = Progress { context, phase: "kafka", done: kafka.records, of };
                if told.blocking_send(Message::Progress(progress)).is_err() {
                    return Then::Stop;
                }
            }
            let Ok(envelope) = envelope else {
                kafka.unknown += 1;
                let unknown = kafka.unknown;
                kafka.sample("kafka, no event", unknown, || format!("partition {}, offset {}", place.partition, place.offset));
                return Then::Continue;
            };
            let (stream, version) = (envelope.stream_id, envelope.version);
            if !versions.contains_key(&stream) {
                *strangers.entry(stream).or_default() += 1;
            }
            let text = || format!("{context}/{stream} version {version}, partition {}, offset {}", place.partition, place.offset);
            if version > 1 && sequence.borrow().last(stream) == 0 && is_cut(stream) {
                kafka.deleted += version - 1;
                sequence.borrow_mut().skip(stream, version - 1);
            }
            match sequence.borrow_mut().note(stream, version) {
                Follows::InOrder | Follows::AfterGap => {}
                Follows::Late => {
                    kafka.out_of_order += 1;
                    let number = kafka.out_of_order;
                    kafka.sample("kafka, out of order", number, text);
                }
                Follows::Again => {
                    kafka.duplicates += 1;
                    let number = kafka.duplicates;
                    kafka.sample("kafka, a second time", number, text);
                }
            }
            Then::Continue
        },
        || {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            let sequence = sequence.borrow();
            let is_there = |stream, version| match sequence.last(stream) {
                0 => is_cut(stream),
                last => last >= version,
            };
            let is_all = versions.iter().all(|(stream, version)| is_there(*stream, *version));
            if is_all || Instant::now() >= deadline { Then::Stop } else { Then::Continue }
        },
    )?;
    count_gaps(&mut kafka, context, &sequence.into_inner(), versions, is_cut);
    Ok((kafka, strangers))
}

/// Counts what the store has and the topic lacks.
fn count_gaps(
    kafka: &mut KafkaReport,
    context: Context,
    sequence: &Sequence,
    versions: &HashMap<StreamId, u64>,
    is_cut: impl Fn(StreamId) -> bool,
) {
    for (stream, version) in sequence.missing().filter(|(stream, _)| versions.contains_key(stream)) {
        kafka.gaps += 1;
        let number = kafka.gaps;
        kafka.sample("kafka, missing", number, || format!("{context}/{stream} version {version}"));
    }
    for (stream, version) in versions {
        let last = sequence.last(*stream);
        if last == 0 && is_cut(*stream) {
            kafka.deleted += version;
        } else if last < *version {
            kafka.gaps += version - last;
            let number = kafka.gaps;
            kafka.sample("kafka, missing", number, || format!("{context}/{stream} versions {} to {version}", last + 1));
        }
    }
}
