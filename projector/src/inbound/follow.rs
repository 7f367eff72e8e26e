//! Following the generations' pointers: which generation each partition's worker feeds, and which are fed beside it.

use std::{collections::HashMap, sync::Arc};

use events::Context;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::KafkaResult};

use super::{
    aside::Aside,
    group::{Fed, Group, Running},
    source::Source,
};
use crate::application::generations::{Feeds, feeds};

impl Group {
    /// Looks where the pointers are, and feeds what they say. Without Redis all stays as it is.
    pub(super) async fn follow(&mut self) -> KafkaResult<()> {
        let Ok(pointers) = self.shared.store.pointers().await else { return Ok(()) };
        for (context, topic) in self.settings.contexts.clone() {
            let Some(shape) = self.settings.shapes.get(context) else { continue };
            let Some(pointers) = pointers.get(&context).filter(|pointers| pointers.live.is_some()) else {
                // Emptied: the workers of what was read restore its pointer, and nothing else is left.
                continue;
            };
            let feeds = feeds(pointers, shape);
            // Before another worker feeds the same generation.
            self.close_asides(context, &feeds).await;
            self.feed_first(context, &topic, &feeds).await?;
            self.feed_aside(context, &topic, &feeds).await?;
            self.feeds.insert(context, feeds);
        }
        Ok(())
    }

    /// Has each partition's worker feed the first generation: another worker, from that generation's checkpoint on.
    async fn feed_first(&mut self, context: Context, topic: &str, feeds: &Feeds) -> KafkaResult<()> {
        let held: Vec<i32> = self.held(topic);
        for partition in held {
            let key = (topic.to_owned(), partition);
            let Some(fed) = self.workers.get_mut(&key) else { continue };
            let is_fed = fed.running.as_ref().map(|running| running.generation) == feeds.first;
            if is_fed && !fed.running.as_ref().is_some_and(Running::is_over) {
                continue;
            }
            let mut source = Arc::clone(&fed.source);
            if let Some(running) = fed.running.take() {
                running.end(topic, partition).await;
            }
            if source.is_lost() {
                source = self.assign_anew(topic, partition)?;
            }
            let running =
                feeds.first.and_then(|generation| self.begin(context, topic, partition, generation, Arc::clone(&source), None));
            self.workers.insert(key, Fed { source, running });
        }
        Ok(())
    }

    /// Takes a partition that librdkafka has given up back to its beginning; the worker goes on to its checkpoint from there.
    fn assign_anew(&self, topic: &str, partition: i32) -> KafkaResult<Arc<Source>> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        self.consumer.incremental_unassign(&list)?;
        let source = Source::split(&self.consumer, topic, partition)?;
        self.consumer.incremental_assign(&list)?;
        Ok(Arc::new(source))
    }

    async fn close_asides(&mut self, context: Context, feeds: &Feeds) {
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.asides)
            .into_iter()
            .partition(|((of, generation), _)| *of != context || feeds.aside.contains(generation));
        self.asides = kept;
        for aside in gone.into_values() {
            aside.close().await;
        }
    }

    async fn feed_aside(&mut self, context: Context, topic: &str, feeds: &Feeds) -> KafkaResult<()> {
        let held = self.held(topic);
        for generation in &feeds.aside {
            let aside = match self.asides.remove(&(context, *generation)) {
                Some(aside) => aside,
                None => Aside::open(&self.settings, self.callbacks(), (context, topic.to_owned(), *generation))?,
            };
            let aside = self.asides.entry((context, *generation)).or_insert(aside);
            aside.keep_to(&held, &self.shared, &self.partitions).await?;
        }
        Ok(())
    }

    fn held(&self, topic: &str) -> Vec<i32> {
        self.workers.keys().filter(|(of, _)| of == topic).map(|(_, partition)| *partition).collect()
    }
}
