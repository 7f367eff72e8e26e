//! One partition: takes what waits, folds it, writes it, and starts over at the checkpoint when something else wrote.

mod begin;
mod careful;
mod filling;
mod fold;
mod give_way;
mod hand_over;
mod inherit;
mod interrupted;
mod meters;
mod orphans;
mod rebuild;
mod recount;
mod redrive;
mod repair;
mod write;

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use events::{Context, StreamId};
use rdkafka::Message;
use read_model::{Filling, Generation, Slot, keys::Parked};
use service_kit::trace::SpanKind;
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    audit::brake::Brake,
    cache::ViewCache,
    counters::CounterCache,
    filling::Fillings,
    patience::Patience,
    status::{PartitionStatus, Partitions},
};
use crate::{
    inbound::source::{Source, Taken},
    outbound::{
        command_service::CommandService,
        dead_letters::DeadLetters,
        redis::{RedisStore, SlotState, SlotWriter},
    },
    projections::{KeyRing, Projection, projection_of},
};
use careful::Wary;
use fold::Folding;
use interrupted::Interrupted;
use meters::Meters;
use recount::Recounting;

/// How often a worker that has nothing to do looks whether Redis still has what it wrote.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// The pause before a fenced worker starts over: it may have met another that is as sure of itself.
const FENCED_PAUSE: Duration = Duration::from_millis(100);

/// What all workers share.
pub struct Shared {
    /// The read models.
    pub store: Arc<RedisStore>,
    /// Histories and keys.
    pub commands: Arc<CommandService>,
    /// The event store, for slots that the topic can't fill.
    pub fillings: Fillings,
    /// Where events go that can't be handled.
    pub letters: DeadLetters,
    /// The Kafka cluster that offsets belong to.
    pub cluster: String,
    /// The consumer group.
    pub group: Arc<str>,
    /// Bounds.
    pub limits: Limits,
    /// How many chunks are worked on at a time.
    pub turns: Arc<Semaphore>,
    /// The same for workers beside the first.
    pub turns_aside: Arc<Semaphore>,
    /// This run of this process.
    pub run: Uuid,
    /// Keeps repairs from becoming the harm.
    pub brake: Brake,
    /// Whoever handles a record that may end the process is alone in that.
    pub alone: Arc<Mutex<()>>,
}

/// Bounds of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events of one chunk.
    pub chunk_events: usize,
    /// Bytes of one chunk's events, exceeded by one event at most.
    pub chunk_bytes: usize,
    /// Views kept in memory.
    pub cached_views: NonZeroUsize,
    /// Bytes of views kept in memory.
    pub cached_bytes: usize,
    /// The time between two recounts of an idle partition's counters; none: never.
    pub recount: Option<Duration>,
    /// Streams of a partition that may be parked and not discarded; past that the partition stands still.
    pub parked_streams: usize,
}

/// A partition given to this process.
pub struct Assignment {
    /// The context whose events it has.
    pub context: Context,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The generation that it feeds.
    pub generation: Generation,
    /// Its records, from the offset of `start` on.
    pub source: Arc<Source>,
    /// The partitions that have to be kept up to date first; none for a worker that is one of them.
    pub aside_of: Option<Partitions>,
    /// What the slot held when the partition was assigned; none when Redis did not answer.
    pub start: Option<SlotState>,
    /// Where the worker says how it is doing.
    pub status: Arc<PartitionStatus>,
    /// Cancelled when the partition is given up.
    pub stop: CancellationToken,
}

/// Works on a partition until it is given up.
pub async fn run(shared: Arc<Shared>, assignment: Assignment) {
    projection_of!(assignment.context, P => Worker::<P>::run(shared, assignment).await);
}

struct Worker<P: Projection> {
    shared: Arc<Shared>,
    context: Context,
    topic: String,
    partition: u32,
    generation: Generation,
    slot: Slot,
    writer: SlotWriter,
    status: Arc<PartitionStatus>,
    patience: Patience,
    span: tracing::Span,
    meters: Meters,
    cache: ViewCache<P>,
    counters: CounterCache,
    keys: KeyRing,
    parked: HashMap<StreamId, Parked>,
    recounting: Recounting,
    wary: Wary,
    /// The revision left in Redis; none for an empty slot.
    rev: Option<u64>,
    /// The next offset to read. Redis has held it: if it no longer does, it was set back.
    offset: i64,
    /// When requests of operators were last looked for.
    looked: Option<Instant>,
    /// When streams that others had passed on were last looked for.
    took_in: Option<std::time::Instant>,
    /// How often it has given way to what is read.
    stood_still: u32,
    /// Events applied in all, and when the last one was recorded.
    progress: (u64, i64),
    /// The offset from which on the slot is complete; none once it is.
    goal: Option<i64>,
    /// How far the slot is filled from the event store, as Redis has it; none when the topic is read.
    filling: Option<Filling>,
    aside_of: Option<Partitions>,
}

impl<P: Projection> Worker<P> {
    async fn run(shared: Arc<Shared>, assignment: Assignment) {
        let Assignment { context, topic, partition, generation, source, aside_of, mut start, status, stop } = assignment;
        let span = tracing::info_span!("partition", kafka.topic = topic, kafka.partition = partition);
        let slot = Slot::new(shared.store.prefix(), generation, context, partition);
        let mut worker = Self {
            context,
            partition,
            generation,
            writer: shared.store.writer(slot.clone()),
            slot,
            patience: Patience::new(Arc::clone(&status), stop.clone(), span.clone()),
            meters: Meters::new(context, aside_of.as_ref().map(|_| generation.number)),
            cache: ViewCache::new(shared.limits.cached_views, shared.limits.cached_bytes),
            counters: CounterCache::default(),
            keys: KeyRing::default(),
            parked: HashMap::new(),
            // What a worker beside the first has is recounted when it is read.
            recounting: Recounting::new(shared.limits.recount.filter(|_| aside_of.is_none())),
            wary: Wary::default(),
            rev: None,
            offset: 0,
            looked: None,
            took_in: None,
            stood_still: 0,
            progress: (0, 0),
            goal: None,
            filling: None,
            aside_of,
            shared,
            topic,
            status,
            span,
        };
        loop {
            match worker.session(&source, start.take()).await {
                Interrupted::Stopped => return worker.withdraw().await,
                Interrupted::Fenced => {
                    worker.withdraw().await;
                    worker.meters.restarts.increment(1);
                    tracing::warn!(parent: &worker.span, redis.rev = worker.rev, "fenced: starts over at the checkpoint in Redis");
                    tokio::time::sleep(FENCED_PAUSE).await;
                }
                // The next session begins where the topic goes on.
                Interrupted::Filled => worker.withdraw().await,
                Interrupted::Misfit(cause) => {
                    tracing::warn!(parent: &worker.span, cause, "the read model can't be fed any more, and is rebuilt");
                    worker.status.set_trouble(Some(format!("{cause}: it is being rebuilt")));
                    worker.status.set_misfit(Some((generation.number, cause)));
                    return stop.cancelled().await;
                }
                Interrupted::Broken(cause) => {
                    tracing::error!(parent: &worker.span, cause, "the partition stands still until the process is restarted");
                    worker.status.set_trouble(Some(cause));
                    return stop.cancelled().await;
                }
            }
        }
    }

    /// Begins at the checkpoint, and goes on until something is in the way.
    async fn session(&mut self, source: &Source, start: Option<SlotState>) -> Interrupted {
        if let Err(interrupted) = self.begin(source, start).await {
            return interrupted;
        }
        if let Some(filling) = self.filling.clone() {
            return self.fill(source, filling).await.err().unwrap_or(Interrupted::Filled);
        }
        loop {
            if let Err(interrupted) = self.turn(source).await {
                return interrupted;
            }
        }
    }

    /// Does what operators ask for and handles what waits, or waits.
    async fn turn(&mut self, source: &Source) -> Result<(), Interrupted> {
        if self.patience.stop().is_cancelled() {
            return Err(Interrupted::Stopped);
        }
        self.serve().await?;
        self.give_way().await?;
        self.take_in().await?;
        if let Some(suspect) = self.status.suspects().take() {
            // After a switch some may be left that are suspected of what is not read any more.
            let is_ours = suspect.generation == self.generation.number;
            return if is_ours { self.try_suspect(suspect).await } else { Ok(()) };
        }
        if let Some(orphan) = self.status.suspects().take_orphan(self.generation.number) {
            return self.try_orphan(orphan).await;
        }
        if self.recounting.is_due() {
            return self.recount(source).await;
        }
        if self.is_flooded() {
            return self.idle(source).await;
        }
        let limits = self.shared.limits;
        let most = if self.wary.careful > 0 { 1 } else { limits.chunk_events };
        let taken = source.take(most, limits.chunk_bytes)?;
        if taken.messages.is_empty() {
            if taken.at_end {
                self.status.set_at_end(true);
                self.complete().await?;
            }
            return self.idle(source).await;
        }
        self.status.set_at_end(false);
        self.handle_warily(source, &taken).await?;
        self.status.set_at_end(taken.at_end);
        Ok(())
    }

    /// Whose turns it takes.
    fn turns(&self) -> &Arc<Semaphore> {
        if self.aside_of.is_some() { &self.shared.turns_aside } else { &self.shared.turns }
    }

    async fn idle(&mut self, source: &Source) -> Result<(), Interrupted> {
        let status = Arc::clone(&self.status);
        tokio::select! {
            () = source.filled(), if !self.wary.was_flooded => Ok(()),
            () = status.suspects().came() => Ok(()),
            () = self.patience.stop().cancelled() => Err(Interrupted::Stopped),
            () = tokio::time::sleep(IDLE_CHECK) => match self.writer.revision().await {
                Ok(rev) if rev != self.rev => Err(Interrupted::Fenced),
                Ok(_) => self.recount_idly(source).await,
                // A Redis that is down is met by the next chunk; until then there is nothing to wait for.
                Err(_) => Ok(()),
            },
        }
    }

    async fn handle(&mut self, source: &Source, taken: &Taken<'_>) -> Result<(), Interrupted> {
        let started = std::time::Instant::now();
        let messages = &taken.messages;
        let Folding { mut chunk, letters, duplicates, spans } = self.fold_chunk(messages).await?;
        let offset = messages.last().map_or(0, |message| message.offset() + 1);
        let (applied, decided) = (chunk.applied(), chunk.take_decided());
        // What fills a slot, or a generation that is not read, is news to nobody.
        let is_news = self.aside_of.is_none() && self.goal.is_none();
        let (changes, kept) = chunk.finish(offset, self.progress)?;
        self.send(&letters).await?;
        let mut writing = spans.part(SpanKind::Client, "EXEC");
        writing.set("db.system.name", "redis");
        writing.set("db.operation.name", "EXEC");
        self.write(changes, kept).await.inspect_err(|_| writing.fail("interrupted", "the chunk was not written"))?;
        drop(writing);
        spans.done();
        if is_news {
            self.meters.visible(&decided);
        }
        source.store(offset);
        if taken.at_end {
            self.complete().await?;
        }
        self.meters.chunk(messages.len(), applied, duplicates, started.elapsed());
        Ok(())
    }
}
