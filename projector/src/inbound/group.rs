//! The consumer group: which partitions this process has, and a worker for each.
//!
//! Rebalancing is cooperative: a partition that stays with its process is not interrupted, and keeps its cache of views.
//! The callbacks only pass on what happened; partitions are assigned and given up here, when their checkpoints are known
//! and their workers have ended. Kafka waits for that, and polling goes on meanwhile.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::Context;
use futures::future::join_all;
use rdkafka::{
    ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use read_model::{Generation, Slot};
use service_kit::shutdown::Shutdown;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{aside::Aside, source::Source};
use crate::{
    application::{
        generations::Feeds,
        shapes::Shapes,
        status::Partitions,
        worker::{self, Assignment, Shared},
    },
    failpoints,
    outbound::redis::SlotState,
};

/// How often polling looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

/// How long an assignment waits for checkpoints. A worker that was given none waits on its own, and then goes there.
const CHECKPOINTS: Duration = Duration::from_secs(2);

/// How often a process looks which generations it has to feed.
const FOLLOW: Duration = Duration::from_secs(1);

/// What the group consists of.
#[derive(Clone)]
pub struct GroupSettings {
    /// `host:port,host:port`.
    pub brokers: String,
    /// The group's name.
    pub group_id: String,
    /// Static membership: a process that comes back in time under the same name gets its partitions back at once.
    pub instance_id: Option<String>,
    /// How long a silent process keeps its partitions.
    pub session_timeout: Duration,
    /// The contexts that are read, and their topics.
    pub contexts: Vec<(Context, String)>,
    /// What their read models have to be.
    pub shapes: Shapes,
}

pub(super) enum GroupEvent {
    Assigned(Vec<(String, i32)>),
    Revoked(Vec<(String, i32)>),
    Failed(String),
}

/// Receives librdkafka's callbacks.
pub struct GroupContext {
    events: mpsc::UnboundedSender<GroupEvent>,
    closing: AtomicBool,
    partitions: Partitions,
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
                let status = u32::try_from(*partition).ok().and_then(|partition| self.partitions.get(*context, partition));
                if let Some(status) = status {
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
}

fn subscribe(consumer: &BaseConsumer<GroupContext>, settings: &GroupSettings) -> KafkaResult<()> {
    let topics: Vec<&str> = settings.contexts.iter().map(|(_, topic)| topic.as_str()).collect();
    consumer.subscribe(&topics)
}

fn give_up(consumer: &BaseConsumer<GroupContext>, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

/// This process's membership in the group.
pub struct Group {
    pub(super) consumer: Arc<BaseConsumer<GroupContext>>,
    sender: mpsc::UnboundedSender<GroupEvent>,
    events: mpsc::UnboundedReceiver<GroupEvent>,
    poller: std::thread::JoinHandle<()>,
    stop_polling: Arc<AtomicBool>,
    pub(super) settings: GroupSettings,
    pub(super) shared: Arc<Shared>,
    pub(super) partitions: Partitions,
    pub(super) feeds: HashMap<Context, Feeds>,
    pub(super) workers: HashMap<(String, i32), Fed>,
    pub(super) asides: HashMap<(Context, Generation), Aside>,
    /// Whether the group has to be rebalanced once this process has what it is given first.
    rejoins: bool,
}

/// A partition that this process has, and the worker on it, if there is a generation to feed.
pub(super) struct Fed {
    pub(super) source: Arc<Source>,
    pub(super) running: Option<Running>,
}

/// A worker.
pub(super) struct Running {
    pub(super) generation: Generation,
    pub(super) stop: CancellationToken,
    pub(super) worker: JoinHandle<()>,
}

impl Running {
    /// Whether it has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        self.worker.is_finished()
    }

    /// Ends it, and waits for that.
    pub(super) async fn end(self, topic: &str, partition: i32) {
        self.stop.cancel();
        if let Err(error) = self.worker.await {
            tracing::error!(kafka.topic = topic, kafka.partition = partition, %error, "a worker failed");
        }
    }
}

impl Group {
    /// Joins the group.
    pub fn join(
        settings: GroupSettings,
        shared: Arc<Shared>,
        partitions: Partitions,
        feeds: HashMap<Context, Feeds>,
    ) -> KafkaResult<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let context = GroupContext {
            events: sender.clone(),
            closing: AtomicBool::new(false),
            partitions: partitions.clone(),
            contexts: settings.contexts.iter().map(|(context, topic)| (topic.clone(), *context)).collect(),
        };
        let consumer: BaseConsumer<GroupContext> = client_config(&settings).create_with_context(context)?;
        subscribe(&consumer, &settings)?;
        let consumer = Arc::new(consumer);
        let stop_polling = Arc::new(AtomicBool::new(false));
        let poller = poller(&consumer, &stop_polling)?;
        let (workers, asides) = (HashMap::new(), HashMap::new());
        let rejoins = settings.instance_id.is_some();
        Ok(Self { consumer, sender, events, poller, stop_polling, settings, shared, partitions, feeds, workers, asides, rejoins })
    }

    /// The callbacks of a consumer outside of the group.
    pub(super) fn callbacks(&self) -> GroupContext {
        GroupContext {
            events: self.sender.clone(),
            closing: AtomicBool::new(false),
            partitions: Partitions::default(),
            contexts: HashMap::new(),
        }
    }

    /// Serves the group until shutdown begins, then ends the workers and leaves.
    pub async fn run(mut self, shutdown: &Shutdown) {
        let stop = shutdown.token();
        let mut looks = tokio::time::interval(FOLLOW);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = stop.cancelled() => None,
                _ = looks.tick() => {
                    if let Err(error) = self.follow().await {
                        shutdown.fail("kafka", error);
                    }
                    continue;
                }
            };
            match event {
                Some(GroupEvent::Assigned(partitions)) => {
                    if let Err(error) = self.assign(partitions).await {
                        shutdown.fail("kafka", error);
                    }
                }
                Some(GroupEvent::Revoked(partitions)) => {
                    if let Err(error) = self.revoke(partitions).await {
                        shutdown.fail("kafka", error);
                    }
                }
                Some(GroupEvent::Failed(cause)) => shutdown.fail("kafka", cause),
                None => break,
            }
        }
        self.leave().await;
    }

    async fn assign(&mut self, partitions: Vec<(String, i32)>) -> KafkaResult<()> {
        let mut found = Vec::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            let settings = self.settings.contexts.iter().find(|(_, name)| *name == topic);
            let (Some((context, ..)), Ok(number)) = (settings, u32::try_from(partition)) else { continue };
            let source = Source::split(&self.consumer, &topic, partition)?;
            let generation = self.feeds.get(context).and_then(|feeds| feeds.first);
            found.push((*context, topic, partition, number, generation, source));
        }
        let shared = &self.shared;
        let states = join_all(found.iter().map(|(context, _, _, number, generation, _)| async {
            let slot = Slot::new(shared.store.prefix(), (*generation)?, *context, *number);
            let state = tokio::time::timeout(CHECKPOINTS, shared.store.slot_state(&slot)).await;
            state.ok().and_then(Result::ok)
        }))
        .await;
        let mut assigned = TopicPartitionList::with_capacity(found.len());
        for ((_, topic, partition, ..), state) in found.iter().zip(&states) {
            assigned.add_partition_offset(topic, *partition, start(state.as_ref()))?;
        }
        if std::mem::take(&mut self.rejoins) {
            // A cooperative rebalance ends with a second round, in which those who gave up partitions join again and others get
            // them. A static member that comes back gets what it has without any round, and can't know whether its predecessor
            // died between the two: nobody would have what that gave up. So it asks for a round, which moves nothing when
            // nothing is amiss: librdkafka joins again to apply a subscription that comes in the middle of an assignment.
            subscribe(&self.consumer, &self.settings)?;
        }
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&assigned)?,
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&assigned)?,
        }
        tracing::info!(partitions = found.len(), "partitions assigned");
        for ((context, topic, partition, _, generation, source), start) in found.into_iter().zip(states) {
            let source = Arc::new(source);
            let running =
                generation.and_then(|generation| self.begin(context, &topic, partition, generation, Arc::clone(&source), start));
            self.workers.insert((topic, partition), Fed { source, running });
        }
        Ok(())
    }

    /// A worker that feeds a generation from a partition: from `start` on, or from where Redis says.
    pub(super) fn begin(
        &self,
        context: Context,
        topic: &str,
        partition: i32,
        generation: Generation,
        source: Arc<Source>,
        start: Option<SlotState>,
    ) -> Option<Running> {
        // A partition that came later than the generation has no slot in it.
        let number = u32::try_from(partition).ok().filter(|number| *number < generation.partitions)?;
        let stop = CancellationToken::new();
        let assignment = Assignment {
            context,
            topic: topic.to_owned(),
            partition: number,
            generation,
            source,
            aside_of: None,
            start,
            status: self.partitions.add(context, number),
            stop: stop.clone(),
        };
        let worker = tokio::spawn(worker::run(Arc::clone(&self.shared), assignment));
        Some(Running { generation, stop, worker })
    }

    async fn revoke(&mut self, partitions: Vec<(String, i32)>) -> KafkaResult<()> {
        let mut revoked = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in &partitions {
            revoked.add_partition(topic, *partition);
        }
        self.end_workers(&partitions).await;
        tracing::info!(partitions = partitions.len(), "partitions revoked");
        give_up(&self.consumer, &revoked)?;
        failpoints::after_revoke();
        Ok(())
    }

    async fn end_workers(&mut self, partitions: &[(String, i32)]) {
        let ending: Vec<_> = partitions.iter().filter_map(|key| Some((key, self.workers.remove(key)?))).collect();
        for (_, fed) in &ending {
            fed.running.iter().for_each(|running| running.stop.cancel());
        }
        for ((topic, partition), fed) in ending {
            let Some((context, ..)) = self.settings.contexts.iter().find(|(_, name)| name == topic) else { continue };
            let asides = self.asides.iter_mut().filter(|((of, _), _)| of == context);
            for (_, aside) in asides {
                if let Err(error) = aside.end(&[*partition]).await {
                    tracing::warn!(%error, "a generation beside the first");
                }
            }
            if let Some(running) = fed.running {
                running.end(topic, *partition).await;
            }
            if let Ok(number) = u32::try_from(*partition) {
                self.partitions.remove(*context, number);
            }
        }
    }

    async fn leave(mut self) {
        let partitions: Vec<_> = self.workers.keys().cloned().collect();
        self.end_workers(&partitions).await;
        for aside in std::mem::take(&mut self.asides).into_values() {
            aside.close().await;
        }
        self.consumer.context().closing.store(true, Ordering::Release);
        self.stop_polling.store(true, Ordering::Release);
        let (consumer, poller) = (self.consumer, self.poller);
        // Dropping the consumer commits what was stored, leaves the group, and blocks until that is done.
        let left = tokio::task::spawn_blocking(move || {
            let _ = poller.join();
            drop(consumer);
        });
        if left.await.is_err() {
            tracing::warn!("leaving the group failed");
        }
    }
}

/// Where reading begins: the topic's beginning for an empty slot, and for one that is filled otherwise first.
pub(super) fn start(state: Option<&SlotState>) -> Offset {
    let checkpoint = state.and_then(|state| state.checkpoint.as_ref()).filter(|checkpoint| checkpoint.filling.is_none());
    checkpoint.map_or(Offset::Beginning, |checkpoint| Offset::Offset(checkpoint.offset))
}

/// A thread that serves a consumer's callbacks until it is told to stop.
pub(super) fn poller(
    consumer: &Arc<BaseConsumer<GroupContext>>,
    stop: &Arc<AtomicBool>,
) -> KafkaResult<std::thread::JoinHandle<()>> {
    let (consumer, stop) = (Arc::clone(consumer), Arc::clone(stop));
    let polling = move || poll(&consumer, &stop, &consumer.context().events);
    let thread = std::thread::Builder::new().name("kafka-poll".to_owned());
    thread.spawn(polling).map_err(|error| KafkaError::ClientCreation(error.to_string()))
}

/// Serves callbacks. Records come through the partitions' own queues, and none through here.
fn poll(consumer: &BaseConsumer<GroupContext>, stop: &AtomicBool, events: &mpsc::UnboundedSender<GroupEvent>) {
    while !stop.load(Ordering::Acquire) {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(_)) => {
                // It would be missing where it belongs. The next start begins at the checkpoint, where nothing is.
                let _ = events.send(GroupEvent::Failed("a record came past its partition's queue".to_owned()));
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                let _ = events.send(GroupEvent::Failed(code.to_string()));
            }
            Some(Err(error)) => tracing::warn!(%error, "kafka"),
        }
    }
}

pub(super) fn client_config(settings: &GroupSettings) -> ClientConfig {
    let session = settings.session_timeout.as_millis();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "orderflow-projector")
        .set("group.id", &settings.group_id)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", (session / 3).to_string())
        // A record is a fact of the store from the moment that it is written: the relay's transaction only keeps others from
        // seeing it twice, and a worker knows what it has seen. So nobody waits here for the end of a transaction.
        .set("isolation.level", "read_uncommitted")
        .set("allow.auto.create.topics", "false")
        // How soon new partitions of a topic are noticed, and given to somebody.
        .set("topic.metadata.refresh.interval.ms", "5000")
        // A checkpoint outside of the log is an error, never a silent jump.
        .set("auto.offset.reset", "error")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "1000")
        .set("enable.partition.eof", "true")
        .set("statistics.interval.ms", "1000")
        // The broker answers at the first byte. While it waits, a partition that has only now room in its queue is not part
        // of the question, so the wait bounds how long such a partition stands still.
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5")
        // Bounds for each partition's queue, a few chunks; a message takes about half a kilobyte beside its bytes.
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "256")
        .set("fetch.message.max.bytes", "131072")
        .set("fetch.max.bytes", "2097152");
    if let Some(instance) = &settings.instance_id {
        config.set("group.instance.id", instance);
    }
    config
}
