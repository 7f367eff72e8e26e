//! A generation that is fed beside the first: a consumer of its own for the same partitions, outside of the group.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use events::Context;
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use read_model::{Generation, Slot};
use tokio_util::sync::CancellationToken;

use super::{
    group::{GroupContext, GroupSettings, Running, client_config, poller, start},
    source::Source,
};
use crate::application::{
    status::{PartitionStatus, Partitions},
    worker::{self, Assignment, Shared},
};

/// The workers that feed one generation of a context beside the first.
pub(super) struct Aside {
    context: Context,
    topic: String,
    generation: Generation,
    consumer: Arc<BaseConsumer<GroupContext>>,
    poller: std::thread::JoinHandle<()>,
    stop_polling: Arc<AtomicBool>,
    running: HashMap<i32, Running>,
}

impl Aside {
    pub(super) fn open(
        settings: &GroupSettings,
        callbacks: GroupContext,
        (context, topic, generation): (Context, String, Generation),
    ) -> KafkaResult<Self> {
        let mut config = client_config(settings);
        config.remove("group.instance.id");
        // Offsets are committed for lag tools, and this is no lag.
        config.set("enable.auto.commit", "false").set("client.id", "orderflow-projector-aside");
        let consumer: Arc<BaseConsumer<GroupContext>> = Arc::new(config.create_with_context(callbacks)?);
        let stop_polling = Arc::new(AtomicBool::new(false));
        let poller = poller(&consumer, &stop_polling)?;
        tracing::info!(%context, generation = generation.number, "a generation is fed beside the first");
        Ok(Self { context, topic, generation, consumer, poller, stop_polling, running: HashMap::new() })
    }

    /// Feeds exactly these partitions from now on.
    pub(super) async fn keep_to(&mut self, partitions: &[i32], shared: &Arc<Shared>, first: &Partitions) -> KafkaResult<()> {
        let gone: Vec<i32> = self.running.keys().copied().filter(|partition| !partitions.contains(partition)).collect();
        self.end(&gone).await?;
        for partition in partitions {
            if self.running.get(partition).is_some_and(Running::is_over) {
                self.end(&[*partition]).await?;
            }
            if !self.running.contains_key(partition) {
                self.begin(*partition, shared, first).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, partition: i32, shared: &Arc<Shared>, first: &Partitions) -> KafkaResult<()> {
        let Some(number) = u32::try_from(partition).ok().filter(|number| *number < self.generation.partitions) else {
            return Ok(());
        };
        let source = Source::split(&self.consumer, &self.topic, partition)?;
        let slot = Slot::new(shared.store.prefix(), self.generation, self.context, number);
        // Without an answer there is time: the next look begins it.
        let Ok(state) = shared.store.slot_state(&slot).await else { return Ok(()) };
        let mut assigned = TopicPartitionList::with_capacity(1);
        assigned.add_partition_offset(&self.topic, partition, start(Some(&state)))?;
        self.consumer.incremental_assign(&assigned)?;
        let stop = CancellationToken::new();
        let assignment = Assignment {
            context: self.context,
            topic: self.topic.clone(),
            partition: number,
            generation: self.generation,
            source: Arc::new(source),
            aside_of: Some(first.clone()),
            start: Some(state),
            status: PartitionStatus::aside(self.context, number),
            stop: stop.clone(),
        };
        let worker = tokio::spawn(worker::run(Arc::clone(shared), assignment));
        self.running.insert(partition, Running { generation: self.generation, stop, worker });
        Ok(())
    }

    /// Ends the workers of these partitions.
    pub(super) async fn end(&mut self, partitions: &[i32]) -> KafkaResult<()> {
        let mut ended = TopicPartitionList::new();
        for partition in partitions {
            if let Some(running) = self.running.remove(partition) {
                running.end(&self.topic, *partition).await;
                ended.add_partition(&self.topic, *partition);
            }
        }
        if ended.count() > 0 { self.consumer.incremental_unassign(&ended) } else { Ok(()) }
    }

    /// Ends all.
    pub(super) async fn close(mut self) {
        let partitions: Vec<i32> = self.running.keys().copied().collect();
        if let Err(error) = self.end(&partitions).await {
            tracing::warn!(%error, "a generation beside the first");
        }
        tracing::info!(context = %self.context, generation = self.generation.number, "a generation is not fed any more");
        self.stop_polling.store(true, Ordering::Release);
        let (consumer, poller) = (self.consumer, self.poller);
        // Dropping a consumer blocks.
        let closed = tokio::task::spawn_blocking(move || {
            let _ = poller.join();
            drop(consumer);
        });
        if closed.await.is_err() {
            tracing::warn!("closing a consumer failed");
        }
    }
}
