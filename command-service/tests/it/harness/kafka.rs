//! Topics for one test, and a plain consumer that knows nothing of the service.

use std::{collections::HashMap, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{PATIENCE, database::is_left_over};

const PREFIX: &str = "orderflow-cs-";

static SWEPT: OnceCell<()> = OnceCell::const_new();

pub(crate) fn brokers() -> String {
    std::env::var("ORDERFLOW_TEST_KAFKA").expect("ORDERFLOW_TEST_KAFKA: run `make test`, or `deploy/backends up`")
}

/// A topic prefix; its topics go with it.
pub(crate) struct Topics {
    pub(crate) prefix: String,
}

/// A published event, as its headers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) version: u64,
    pub(crate) lane: u16,
    pub(crate) seq: u64,
    pub(crate) data: String,
}

impl Topics {
    pub(crate) async fn new() -> Self {
        let sweep = || tokio::task::spawn_blocking(|| delete(|topic| is_left_over(topic, PREFIX)));
        SWEPT.get_or_init(async || sweep().await.unwrap()).await;
        Self { prefix: format!("{PREFIX}{}-{:08x}", std::process::id(), Uuid::new_v4().as_fields().0) }
    }

    pub(crate) fn events(&self, context: &str) -> String {
        format!("{}.{context}.v1", self.prefix)
    }

    /// All that a `read_committed` consumer sees of a context now, by partition and offset.
    pub(crate) async fn read(&self, context: &str) -> Vec<Published> {
        let topic = self.events(context);
        tokio::task::spawn_blocking(move || read_all(&topic)).await.unwrap()
    }

    /// Reads a context until this many events are there, or more.
    pub(crate) async fn read_until(&self, context: &str, count: usize) -> Vec<Published> {
        let started = std::time::Instant::now();
        loop {
            let found = self.read(context).await;
            if found.len() >= count {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "{} of {count} events of {context} are published", found.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        let prefix = format!("{}.", self.prefix);
        drop(std::thread::spawn(move || delete(|topic| topic.starts_with(&prefix))).join());
    }
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

fn delete(which: impl Fn(&str) -> bool) {
    let admin = admin();
    let metadata = admin.inner().fetch_metadata(None, PATIENCE).unwrap();
    let names: Vec<_> = metadata.topics().iter().map(|topic| topic.name()).filter(|name| which(name)).collect();
    if !names.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Another run may delete them too.
        drop(runtime.block_on(admin.delete_topics(&names, &AdminOptions::new())));
    }
}

fn read_all(topic: &str) -> Vec<Published> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", "orderflow-tests")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut found, mut ended) = (Vec::new(), HashMap::new());
    let started = std::time::Instant::now();
    while ended.len() < partitions.len() {
        assert!(started.elapsed() < PATIENCE, "the end of {topic} is not reached: {ended:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => found.push(published(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition, ())),
            Some(Err(error)) => panic!("{error}"),
        }
    }
    found.sort_by_key(|event| (event.partition, event.offset));
    found
}

fn published(message: &impl Message) -> Published {
    let headers: HashMap<&str, &str> = message
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key, std::str::from_utf8(header.value.unwrap()).unwrap()))
        .collect();
    Published {
        partition: message.partition(),
        offset: message.offset(),
        key: std::str::from_utf8(message.key().unwrap()).unwrap().parse().unwrap(),
        event_id: headers["ce_id"].parse().unwrap(),
        event_type: headers["ce_type"].to_owned(),
        version: headers["ce_version"].parse().unwrap(),
        lane: headers["ce_lane"].parse().unwrap(),
        seq: headers["ce_seq"].parse().unwrap(),
        data: String::from_utf8(message.payload().unwrap().to_vec()).unwrap(),
    }
}
