//! Topics and keys of one test, and events to put in.

use std::{
    env,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Context, Currency, DomainEvent, Envelope, EventId, MinorUnits, OrderEvent, ProductId, Quantity, RecordedEvent, ReturnId,
    StreamId, UserId,
    orders::{Fulfilment, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderReturned, OrderShipped, ReturnedLine},
    topics,
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use read_model::{Generation, Slot};
use uuid::Uuid;

/// Few, so that streams share partitions.
pub(crate) const PARTITIONS: u32 = 3;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct World {
    pub(crate) prefix: String,
    pub(crate) brokers: String,
    pub(crate) redis_url: String,
    producer: ThreadedProducer<DefaultProducerContext>,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

/// Waits for a condition; `what` is what did not happen.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `eval \"$(deploy/backends env)\"`, or `make test`"))
}

impl World {
    pub(crate) fn new() -> Self {
        let prefix = format!("projector-it-{}", Uuid::now_v7().simple());
        let (brokers, redis_url) = (setting("ORDERFLOW_TEST_KAFKA"), setting("ORDERFLOW_TEST_REDIS"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let names = Context::ALL.map(|context| topics::events(&prefix, context));
        let partitions = i32::try_from(PARTITIONS).unwrap();
        let new: Vec<_> = names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
        for created in runtime.block_on(admin.create_topics(&new, &AdminOptions::new())).unwrap() {
            created.unwrap();
        }
        let producer =
            config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").set("linger.ms", "1").create().unwrap();
        Self { prefix, brokers, redis_url, producer, admin, runtime }
    }

    pub(crate) fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    pub(crate) fn redis(&self) -> redis::Connection {
        redis::Client::open(self.redis_url.as_str()).unwrap().get_connection().unwrap()
    }

    pub(crate) fn slot(&self, context: Context, stream: StreamId) -> Slot {
        generation().slot_of(&self.prefix, context, stream)
    }

    /// Every key of this test.
    pub(crate) fn keys(&self) -> Vec<String> {
        redis::cmd("KEYS").arg(format!("{}:*", self.prefix)).query(&mut self.redis()).unwrap()
    }

    pub(crate) fn write(&self, context: Context, events: &[RecordedEvent]) {
        for event in events {
            self.write_raw(context, &event.stream_id.to_string(), headers_of(event, context), event.data.get().as_bytes());
        }
        self.flush();
    }

    /// Writes orders' events in a transaction that is aborted once `seen` is true.
    pub(crate) fn write_and_abort(&self, events: &[RecordedEvent], seen: impl FnMut() -> bool) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("transactional.id", &self.prefix).set("partitioner", "murmur2_random");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        let topic = topics::events(&self.prefix, Context::Orders);
        for event in events {
            let key = event.stream_id.to_string();
            let record = BaseRecord::to(&topic).key(&key).payload(event.data.get());
            producer.send(record.headers(headers_of(event, Context::Orders))).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        eventually("what is in the transaction is seen", seen);
        producer.abort_transaction(PATIENCE).unwrap();
    }

    pub(crate) fn write_raw(&self, context: Context, key: &str, headers: OwnedHeaders, value: &[u8]) {
        let topic = topics::events(&self.prefix, context);
        let record = BaseRecord::to(&topic).key(key).payload(value).headers(headers);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Gives a topic more partitions; who has written to it before does not know for a while.
    pub(crate) fn grow(&self, context: Context, partitions: u32) {
        let topic = topics::events(&self.prefix, context);
        let new = NewPartitions::new(&topic, usize::try_from(partitions).unwrap());
        for grown in self.runtime.block_on(self.admin.create_partitions([&new], &AdminOptions::new())).unwrap() {
            grown.unwrap();
        }
    }

    /// Writes as somebody who has just begun.
    pub(crate) fn write_anew(&self, context: Context, events: &[RecordedEvent]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("partitioner", "murmur2_random").set("linger.ms", "1");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        let topic = topics::events(&self.prefix, context);
        for event in events {
            let key = event.stream_id.to_string();
            let record = BaseRecord::to(&topic).key(&key).payload(event.data.get());
            producer.send(record.headers(headers_of(event, context))).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Deletes what a context's topic has, as its retention does: the log goes on where it is.
    pub(crate) fn delete_records(&self, context: Context) {
        let mut all = TopicPartitionList::new();
        for partition in 0..i32::try_from(PARTITIONS).unwrap() {
            all.add_partition_offset(&topics::events(&self.prefix, context), partition, Offset::End).unwrap();
        }
        let deleted = self.runtime.block_on(self.admin.delete_records(&all, &AdminOptions::new())).unwrap();
        deleted.elements().iter().for_each(|partition| partition.error().unwrap());
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mut names = Context::ALL.map(|context| topics::events(&self.prefix, context)).to_vec();
        names.push(topics::dead_letters(&self.prefix));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = self.runtime.block_on(self.admin.delete_topics(&names, &AdminOptions::new()));
        let keys = self.keys();
        if !keys.is_empty() {
            let _: Result<u64, _> = redis::cmd("UNLINK").arg(keys).query(&mut self.redis());
        }
    }
}

fn headers_of(event: &RecordedEvent, context: Context) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    event.envelope().write_headers(context, |key, value| {
        headers = std::mem::take(&mut headers).insert(Header { key, value: Some(value) });
    });
    headers
}

pub(crate) fn generation() -> Generation {
    Generation { number: 1, partitions: PARTITIONS, projection: 1 }
}

/// An event as it was recorded.
pub(crate) fn recorded<E: DomainEvent>(stream: StreamId, version: u64, event: &E) -> RecordedEvent {
    let occurred_at: DateTime<Utc> = "2010-12-01T20:00:00Z".parse().unwrap();
    let occurred_at = occurred_at + TimeDelta::hours(i64::try_from(version).unwrap());
    RecordedEvent {
        id: EventId(Uuid::now_v7()),
        stream_id: stream,
        event_type: event.event_type().to_owned(),
        version,
        lane: 1,
        seq: version,
        occurred_at,
        recorded_at: Utc::now(),
        correlation_id: Uuid::now_v7(),
        causation_id: None,
        traceparent: None,
        data: serde_json::value::RawValue::from_string(String::from_utf8(event.encode().unwrap()).unwrap()).unwrap(),
    }
}

/// The life of an order, with a return at the end.
pub(crate) fn order(number: u64) -> Vec<RecordedEvent> {
    let stream = Uuid::now_v7();
    let product = |of: u64| ProductId(Uuid::from_u128(u128::from(of % 7) + 1));
    let line = |line: u16, product_id| OrderLine {
        line,
        product_id,
        product_version: 1,
        quantity: Quantity::new(4).unwrap(),
        unit_price: MinorUnits::new(100 + number % 50).unwrap(),
    };
    let price = 100 + number % 50;
    let placed = OrderPlaced {
        user_id: (!number.is_multiple_of(4)).then(|| UserId(Uuid::from_u128(u128::from(number % 5) + 1))),
        fulfilment: Fulfilment::External,
        currency: Currency::GBP,
        lines: vec![line(1, product(number)), line(2, product(number + 3))],
        total: MinorUnits::new(8 * price).unwrap(),
        payment_method: None,
    };
    let back = MinorUnits::new(2 * price).unwrap();
    let returned = OrderReturned {
        return_id: ReturnId(Uuid::now_v7()),
        lines: vec![ReturnedLine { line: 1, quantity: Quantity::new(2).unwrap(), refund: back }],
        refund: back,
        reason: None,
    };
    let life: [OrderEvent; 5] = [
        placed.into(),
        OrderConfirmed {}.into(),
        OrderShipped { carrier: None, tracking: None }.into(),
        OrderDelivered {}.into(),
        returned.into(),
    ];
    life.iter().zip(1..).map(|(event, version)| recorded(stream, version, event)).collect()
}

/// Some orders, one event of each after the other.
pub(crate) fn interleaved(orders: &[Vec<RecordedEvent>]) -> Vec<RecordedEvent> {
    let longest = orders.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|step| orders.iter().filter_map(move |order| order.get(step).cloned())).collect()
}

/// The headers of an event under another type.
pub(crate) fn headers_as(event: &RecordedEvent, event_type: &str) -> OwnedHeaders {
    let envelope = Envelope { event_type: event_type.into(), ..event.envelope() };
    let mut headers = OwnedHeaders::new();
    envelope.write_headers(Context::Orders, |key, value| {
        headers = std::mem::take(&mut headers).insert(Header { key, value: Some(value) });
    });
    headers
}
