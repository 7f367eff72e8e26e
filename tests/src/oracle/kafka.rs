//! The topics, by a plain consumer that reads what is committed: Postgres' events, byte for byte, each as often as promised.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};
use uuid::Uuid;

use super::{Delivery, murmur2::partition_of, postgres::Stored};
use crate::{
    context::Context,
    planter::PLANTED,
    stack::{PARTITIONS, Stack},
};

/// How long a partition may take to tell its end.
const READ: Duration = Duration::from_secs(90);

/// A record.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) headers: BTreeMap<String, String>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (String::from_utf8_lossy(&self.key), String::from_utf8_lossy(&self.value));
        write!(f, "record {}/{} {key} {value} {:?}", self.partition, self.offset, self.headers)
    }
}

impl Record {
    /// Whether the test itself put it there.
    pub(super) fn is_planted(&self) -> bool {
        self.headers.contains_key(PLANTED)
    }

    /// Which event it says to be.
    fn place(&self) -> Option<(Uuid, u64)> {
        Some((self.headers.get("ce_subject")?.parse().ok()?, self.headers.get("ce_version")?.parse().ok()?))
    }
}

/// All committed records of a context, by partition and offset.
pub(super) async fn read(stack: &Stack, context: Context) -> Vec<Record> {
    let (brokers, topic) = (stack.topics.brokers.clone(), stack.topics.events(context));
    tokio::task::spawn_blocking(move || read_topic(&brokers, &topic)).await.expect("the topic is read")
}

/// Reads a topic from its beginning to its end.
pub(super) fn read_topic(brokers: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "system-tests-oracle")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "20")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), READ).expect("the brokers answer");
    let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&assignment).expect("an assignment");
    let (mut records, mut open) = (Vec::new(), partitions.into_iter().collect::<HashSet<_>>());
    while !open.is_empty() {
        match consumer.poll(READ) {
            Some(Ok(message)) => {
                let headers = message.headers().into_iter().flat_map(Headers::iter);
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                records.push(Record {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key().unwrap_or_default().to_vec(),
                    value: message.payload().unwrap_or_default().to_vec(),
                    headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
                });
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => panic!("{topic}: {error}"),
            None => panic!("{topic}: the partitions {open:?} do not end: a transaction hangs"),
        }
    }
    records.sort_unstable_by_key(|record| (record.partition, record.offset));
    records
}

/// How many different events there are.
pub(super) fn distinct(records: &[Record]) -> usize {
    records.iter().filter(|record| !record.is_planted()).filter_map(Record::place).collect::<HashSet<_>>().len()
}

/// Compares a context's topic with its store.
pub(super) fn check(context: Context, stored: &[Stored], records: &[Record], delivery: Delivery, findings: &mut Vec<String>) {
    let events: HashMap<(Uuid, u64), &Stored> = stored.iter().map(|event| ((event.stream, event.version), event)).collect();
    let mut seen: HashSet<(Uuid, u64)> = HashSet::new();
    let (mut versions, mut seqs): (HashMap<Uuid, u64>, HashMap<(i16, i32), u64>) = (HashMap::new(), HashMap::new());
    for record in records.iter().filter(|record| !record.is_planted()) {
        let Some(event) = record.place().and_then(|place| events.get(&place)) else {
            findings.push(format!("kafka {context}: a record of no stored event: {record:?}"));
            continue;
        };
        compare(context, event, record, findings);
        if !seen.insert((event.stream, event.version)) {
            if delivery == Delivery::Exactly {
                findings.push(format!("kafka {context}: a second time: {record:?}"));
            }
            continue;
        }
        let version = versions.entry(event.stream).or_default();
        if event.version != *version + 1 {
            findings.push(format!("kafka {context}: after version {version} of its stream comes {record:?}"));
        }
        *version = event.version;
        let seq = seqs.entry((event.lane, record.partition)).or_default();
        if event.seq <= *seq {
            findings.push(format!("kafka {context}: after seq {seq} of its lane comes {record:?}"));
        }
        *seq = event.seq;
    }
    for event in stored.iter().filter(|event| !seen.contains(&(event.stream, event.version))) {
        findings.push(format!("kafka {context}: missing: {event:?}"));
    }
}

fn compare(context: Context, event: &Stored, record: &Record, findings: &mut Vec<String>) {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut headers: BTreeMap<String, String> = [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", event.id.to_string()),
        ("ce_type", event.event_type.clone()),
        ("ce_source", format!("/orderflow/{context}")),
        ("ce_subject", event.stream.to_string()),
        ("ce_time", time(event.occurred_at)),
        ("ce_recordedat", time(event.recorded_at)),
        ("ce_version", event.version.to_string()),
        ("ce_lane", event.lane.to_string()),
        ("ce_seq", event.seq.to_string()),
        ("ce_correlationid", event.correlation.to_string()),
        ("content-type", "application/json".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    headers.extend(event.causation.map(|causation| ("ce_causationid".to_owned(), causation.to_string())));
    headers.extend(event.traceparent.clone().map(|trace| ("traceparent".to_owned(), trace)));
    if headers != record.headers {
        findings.push(format!("kafka {context}: headers {:?} where {headers:?} are right", record.headers));
    }
    if record.key != event.stream.to_string().as_bytes() || record.value != event.data.as_bytes() {
        findings.push(format!("kafka {context}: key or value differ: {record:?} for {event:?}"));
    }
    if record.partition != partition_of(&record.key, PARTITIONS) {
        findings.push(format!("kafka {context}: in another partition than its key's: {record:?}"));
    }
}
