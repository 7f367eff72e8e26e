//! Topics of one test, events to put in, and a handler that notes what it is given.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use consumer::{Error, Handler, Position, Received, Settings, Status};
use events::{Context, DecodeError, DomainEvent, Envelope, EventId, OrderEvent, orders::OrderConfirmed, topics};
use rdkafka::{
    ClientConfig, ClientContext, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    types::RDKafkaRespErr,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Few, so that members share them.
pub(crate) const PARTITIONS: i32 = 4;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Topics of one test.
pub(crate) struct World {
    pub(crate) prefix: String,
    pub(crate) brokers: String,
    admin: AdminClient<DefaultClientContext>,
    producer: ThreadedProducer<DefaultProducerContext>,
}

/// A record as it is to be written.
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) version: u64,
    pub(crate) event_type: &'static str,
    pub(crate) data: &'static [u8],
}

/// A record of an event that can be read.
pub(crate) fn confirmed(partition: i32, version: u64) -> Record {
    Record { partition, version, event_type: OrderEvent::from(OrderConfirmed {}).event_type(), data: b"{}" }
}

impl World {
    pub(crate) async fn new() -> Self {
        let brokers = std::env::var("ORDERFLOW_TEST_KAFKA").expect("ORDERFLOW_TEST_KAFKA: run `make test`");
        let prefix = format!("consumer-it-{}", Uuid::now_v7().simple());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let topic = topics::events(&prefix, Context::Orders);
        let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
        admin.create_topics([&new], &AdminOptions::new()).await.unwrap().into_iter().for_each(|created| drop(created.unwrap()));
        let producer = config.set("enable.idempotence", "true").set("linger.ms", "1").create().unwrap();
        Self { prefix, brokers, admin, producer }
    }

    fn topic(&self) -> String {
        topics::events(&self.prefix, Context::Orders)
    }

    /// Writes records, and returns when the broker has them.
    pub(crate) fn write(&self, records: impl IntoIterator<Item = Record>) {
        self.send(&self.producer, records);
    }

    fn send(&self, producer: &ThreadedProducer<DefaultProducerContext>, records: impl IntoIterator<Item = Record>) {
        let topic = self.topic();
        for record in records {
            let key = Uuid::from_u128(record.partition.unsigned_abs().into()).to_string();
            let base = BaseRecord::to(&topic).partition(record.partition).key(&key).payload(record.data);
            producer.send(base.headers(headers(&record))).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Writes records in a transaction, and aborts it.
    pub(crate) fn write_and_abort(&self, records: impl IntoIterator<Item = Record>) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("transactional.id", &self.prefix);
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        self.send(&producer, records);
        producer.abort_transaction(PATIENCE).unwrap();
    }

    /// A member of the test's group, that gives its records to `handler`.
    pub(crate) fn member(&self, handler: &Arc<Notes>) -> Member {
        self.begin(None, handler)
    }

    /// A static member of it.
    pub(crate) fn static_member(&self, instance: &str, handler: &Arc<Notes>) -> Member {
        self.begin(Some(instance.to_owned()), handler)
    }

    fn begin(&self, instance_id: Option<String>, handler: &Arc<Notes>) -> Member {
        let settings = Settings {
            brokers: self.brokers.clone(),
            client_id: "consumer-it".to_owned(),
            group_id: self.prefix.clone(),
            instance_id,
            session_timeout: Duration::from_secs(10),
            topic_prefix: self.prefix.clone(),
            contexts: vec![Context::Orders],
            batch: 7,
        };
        let (stop, status) = (CancellationToken::new(), Status::default());
        let running = tokio::spawn(consumer::run(settings, Arc::clone(handler), stop.clone(), status.clone()));
        Member { stop, status, running }
    }

    /// A static member that takes what it is given, and dies when it is to give something up: it never answers that.
    pub(crate) fn dying(&self, instance: &str) -> Arc<BaseConsumer<Dying>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.prefix)
            .set("group.instance.id", instance)
            .set("session.timeout.ms", "60000")
            .set("partition.assignment.strategy", "cooperative-sticky");
        let member: Arc<BaseConsumer<Dying>> = Arc::new(config.create_with_context(Dying::default()).unwrap());
        member.subscribe(&[&self.topic()]).unwrap();
        let polled = Arc::clone(&member);
        std::thread::spawn(move || {
            while !polled.context().is_dead() {
                drop(polled.poll(Duration::from_millis(20)));
            }
            // Dropped, it would answer. It goes on to beat its heart until somebody comes under its name.
            std::mem::forget(polled);
        });
        member
    }

    /// Where the group would go on in each partition.
    pub(crate) fn committed(&self) -> BTreeMap<i32, i64> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", &self.prefix);
        let consumer: BaseConsumer = config.create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&self.topic(), 0, PARTITIONS - 1);
        let committed = consumer.committed_offsets(asked, PATIENCE).unwrap();
        let offsets = committed.elements();
        offsets.iter().filter_map(|one| Some((one.partition(), one.offset().to_raw().filter(|offset| *offset >= 0)?))).collect()
    }

    pub(crate) async fn end(self) {
        let _ = self.admin.delete_topics(&[&self.topic()], &AdminOptions::new()).await;
    }
}

fn headers(record: &Record) -> OwnedHeaders {
    let envelope = Envelope {
        id: EventId(Uuid::now_v7()),
        stream_id: Uuid::from_u128(record.partition.unsigned_abs().into()),
        event_type: record.event_type.into(),
        version: record.version,
        lane: 1,
        seq: record.version,
        occurred_at: Utc::now(),
        recorded_at: Utc::now(),
        correlation_id: Uuid::now_v7(),
        causation_id: None,
        traceparent: None,
    };
    let mut headers = OwnedHeaders::new();
    envelope.write_headers(Context::Orders, |key, value| {
        headers = std::mem::take(&mut headers).insert(Header { key, value: Some(value) });
    });
    headers
}

/// A member of a group.
pub(crate) struct Member {
    pub(crate) status: Status,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

impl Member {
    /// Tells it to end, and waits for that.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

/// What [`World::dying`] is told by its group.
#[derive(Default)]
pub(crate) struct Dying {
    assigned: AtomicUsize,
    dead: AtomicBool,
}

impl Dying {
    /// Partitions it was given.
    pub(crate) fn assigned(&self) -> usize {
        self.assigned.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

impl ClientContext for Dying {}

impl ConsumerContext for Dying {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            consumer.incremental_assign(partitions).unwrap();
            self.assigned.fetch_add(partitions.count(), Ordering::SeqCst);
        } else {
            self.dead.store(true, Ordering::SeqCst);
        }
    }
}

/// A handler that notes what it has handled: partition, offset and the event's version.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) handled: Mutex<Vec<(i32, i64, u64)>>,
    pub(crate) unreadable: Mutex<Vec<(Position, Option<Vec<u8>>)>>,
    /// Records of this partition are not handled while it is set.
    pub(crate) failing: Mutex<Option<(i32, Failure)>>,
    /// Whether it has met one of those.
    pub(crate) has_failed: AtomicBool,
}

/// How a handler does not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Error,
    Panic,
    /// It is at work for ever.
    Hang,
}

/// A failure that is meant.
#[derive(Debug, thiserror::Error)]
#[error("as the test wants it")]
pub(crate) struct Wanted;

impl Notes {
    pub(crate) fn failing(partition: i32, failure: Failure) -> Arc<Self> {
        Arc::new(Self { failing: Mutex::new(Some((partition, failure))), ..Self::default() })
    }

    /// The versions that were handled of a partition, in that order.
    pub(crate) fn versions(&self, partition: i32) -> Vec<u64> {
        self.handled.lock().unwrap().iter().filter(|(of, ..)| *of == partition).map(|(.., version)| *version).collect()
    }
}

impl Handler for Notes {
    type Error = Wanted;

    async fn handle(&self, partition: &[Received]) -> Result<(), Wanted> {
        let failing = *self.failing.lock().unwrap();
        let wanted = failing.filter(|(of, _)| *of == partition[0].position.partition).map(|(_, failure)| failure);
        self.has_failed.fetch_or(wanted.is_some(), Ordering::SeqCst);
        match wanted {
            None => {}
            Some(Failure::Error) => return Err(Wanted),
            Some(Failure::Panic) => panic!("as the test wants it"),
            Some(Failure::Hang) => std::future::pending().await,
        }
        let noted = partition.iter().map(|one| (one.position.partition, one.position.offset, one.envelope.version));
        self.handled.lock().unwrap().extend(noted);
        Ok(())
    }

    async fn unreadable(&self, position: &Position, key: Option<&[u8]>, _: &DecodeError) -> Result<(), Wanted> {
        self.unreadable.lock().unwrap().push((position.clone(), key.map(<[u8]>::to_vec)));
        Ok(())
    }
}

/// Waits for a condition; `what` is what did not happen.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
