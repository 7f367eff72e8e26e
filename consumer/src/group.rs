//! The consumer group: which partitions this process has, and a worker for each.
//!
//! The callbacks only pass on what happened; partitions are assigned and given up here, when their workers have ended. Kafka
//! waits for that.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use events::Context;
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{Handler, Settings, Status, metrics, partition::Worker};

/// Why reading can't go on in this process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client can't be made, or is not usable any more.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A record came where none should; it would be missing where it belongs.
    #[error("a record came past its partition's queue")]
    Astray,
}

/// What happened to the group.
enum GroupEvent {
    Assigned(Vec<(String, i32)>),
    Revoked(Vec<(String, i32)>),
}

/// Receives librdkafka's callbacks.
pub(crate) struct GroupContext {
    events: mpsc::UnboundedSender<GroupEvent>,
    closing: AtomicBool,
    status: Status,
    contexts: HashMap<String, Context>,
}

impl ClientContext for GroupContext {
    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is no error; its worker gets to know of it as well.
        if !matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            tracing::warn!(%error, reason, "kafka");
        }
    }

    fn stats(&self, statistics: Statistics) {
        for (topic, statistics) in &statistics.topics {
            let Some(context) = self.contexts.get(topic) else { continue };
            for (partition, statistics) in &statistics.partitions {
                if let Some(status) = self.status.get(*context, *partition) {
                    status.observe_end(statistics.hi_offset);
                }
            }
        }
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            // The workers have ended; only the group has to be told.
            if let Err(error) = give_up(consumer, partitions) {
                tracing::warn!(%error, "leaving the group");
            }
            return;
        }
        let named = partitions.elements().iter().map(|one| (one.topic().to_owned(), one.partition())).collect();
        let event = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => GroupEvent::Assigned(named),
            _ => GroupEvent::Revoked(named),
        };
        // Nobody listens when the process ends; then nobody waits for an answer either.
        let _ = self.events.send(event);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(%error, "offsets were not committed: their records may come again");
        }
    }
}

fn subscribe<C: Consumer<GroupContext>>(consumer: &C, contexts: &HashMap<String, Context>) -> KafkaResult<()> {
    let topics: Vec<&str> = contexts.keys().map(String::as_str).collect();
    consumer.subscribe(&topics)
}

fn give_up<C: Consumer<GroupContext>>(consumer: &C, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

/// Reads until `stop` is cancelled, then lets handlers that are at work finish, commits and leaves the group. Every record is
/// handled at least once, those of a partition in their order; one that a handler fails at is handled again until it
/// succeeds. `status` tells how that goes.
pub async fn run<H: Handler>(settings: Settings, handler: Arc<H>, stop: CancellationToken, status: Status) -> Result<(), Error> {
    let mut group = Group::join(settings, handler, status)?;
    let outcome = group.serve(&stop).await;
    group.leave().await;
    outcome
}

/// This process's membership in the group.
struct Group<H> {
    name: Arc<str>,
    consumer: Arc<StreamConsumer<GroupContext>>,
    events: mpsc::UnboundedReceiver<GroupEvent>,
    contexts: HashMap<String, Context>,
    handler: Arc<H>,
    status: Status,
    batch: usize,
    workers: HashMap<(String, i32), Running>,
    /// Whether the group has to be rebalanced once this process has what it is given first.
    rejoins: bool,
}

struct Running {
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl<H: Handler> Group<H> {
    fn join(settings: Settings, handler: Arc<H>, status: Status) -> Result<Self, Error> {
        let (sender, events) = mpsc::unbounded_channel();
        let contexts: HashMap<String, Context> = settings.topics().collect();
        let callbacks =
            GroupContext { events: sender, closing: AtomicBool::new(false), status: status.clone(), contexts: contexts.clone() };
        let consumer: StreamConsumer<GroupContext> = settings.client().create_with_context(callbacks)?;
        contexts.values().for_each(|context| metrics::begin(*context));
        subscribe(&consumer, &contexts)?;
        let consumer = Arc::new(consumer);
        let (name, batch) = (settings.group_id.into(), settings.batch.max(1));
        let rejoins = settings.instance_id.is_some();
        Ok(Self { name, consumer, events, contexts, handler, status, batch, workers: HashMap::new(), rejoins })
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let consumer = Arc::clone(&self.consumer);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                event = self.events.recv() => match event {
                    Some(GroupEvent::Assigned(partitions)) => self.assign(partitions)?,
                    Some(GroupEvent::Revoked(partitions)) => self.revoke(partitions).await?,
                    None => return Ok(()),
                },
                // Callbacks are served by this; records come through the partitions' own queues.
                polled = consumer.recv() => match polled {
                    Ok(_) => return Err(Error::Astray),
                    Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
                    Err(error) => tracing::warn!(%error, "kafka"),
                },
            }
        }
    }

    fn assign(&mut self, partitions: Vec<(String, i32)>) -> Result<(), Error> {
        let mut assigned = TopicPartitionList::with_capacity(partitions.len());
        let mut workers = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            let Some(context) = self.contexts.get(&topic).copied() else { continue };
            // Before the partition is assigned: librdkafka keeps a queue that was split off before apart from the beginning.
            let queue = self.consumer.split_partition_queue(&topic, partition);
            let queue = queue.ok_or_else(|| KafkaError::Subscription(format!("no queue for {topic}/{partition}")))?;
            // Without an offset it begins where the group has committed.
            assigned.add_partition(&topic, partition);
            workers.push(Worker {
                handler: Arc::clone(&self.handler),
                consumer: Arc::clone(&self.consumer),
                queue,
                context,
                topic,
                partition,
                group: Arc::clone(&self.name),
                batch: self.batch,
                status: self.status.add(context, partition),
                stop: CancellationToken::new(),
            });
        }
        if std::mem::take(&mut self.rejoins) {
            // A cooperative rebalance ends with a second round, in which those who gave up partitions join again and others get
            // them. A static member that comes back gets what it has without any round, and can't know whether its predecessor
            // died between the two: nobody would have what that gave up. So it asks for a round, which moves nothing when
            // nothing is amiss: librdkafka joins again to apply a subscription that comes in the middle of an assignment.
            subscribe(&*self.consumer, &self.contexts)?;
        }
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&assigned)?,
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&assigned)?,
        }
        tracing::info!(partitions = workers.len(), "partitions assigned");
        self.status.joined();
        for worker in workers {
            let (key, stop) = ((worker.topic.clone(), worker.partition), worker.stop.clone());
            self.workers.insert(key, Running { stop, worker: tokio::spawn(worker.run()) });
        }
        Ok(())
    }

    async fn revoke(&mut self, partitions: Vec<(String, i32)>) -> Result<(), Error> {
        let mut revoked = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in &partitions {
            revoked.add_partition(topic, *partition);
        }
        self.end(&partitions).await;
        tracing::info!(partitions = partitions.len(), "partitions revoked");
        Ok(give_up(&*self.consumer, &revoked)?)
    }

    /// Ends workers, all at once, and waits for that.
    async fn end(&mut self, partitions: &[(String, i32)]) {
        let ending: Vec<_> = partitions.iter().filter_map(|key| Some((key, self.workers.remove(key)?))).collect();
        for (_, running) in &ending {
            running.stop.cancel();
        }
        for ((topic, partition), running) in ending {
            if let Err(error) = running.worker.await {
                tracing::error!(kafka.topic = topic, kafka.partition = partition, %error, "a worker failed");
            }
            if let Some(context) = self.contexts.get(topic) {
                self.status.remove(*context, *partition);
            }
        }
    }

    async fn leave(mut self) {
        let partitions: Vec<_> = self.workers.keys().cloned().collect();
        self.end(&partitions).await;
        let consumer = self.consumer;
        consumer.context().closing.store(true, Ordering::Release);
        // Dropping the last of it leaves the group, and blocks until that is done.
        if tokio::task::spawn_blocking(move || drop(consumer)).await.is_err() {
            tracing::warn!("leaving the group failed");
        }
    }
}
