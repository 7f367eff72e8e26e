//! The auditor: looks at streams without end, and compares the event store's with what Redis has of them.
//!
//! It reads the store, not the topic: "the view is the fold of the topic" holds for a topic with a record too many, too.
//! It only suspects. The worker that owns the partition looks again, between two chunks, when nothing moves, and it alone
//! counts a divergence and repairs it (`worker/repair.rs`). So the auditor may read while events are on their way.
//!
//! What a view lacks may be on its way too. It is handed over when it is still lacking after a while, when the partition
//! has nothing left to read, and when a later event of the same lane is in its view: the relay publishes a lane in order,
//! so what is lacking was published before. Without such an event only much more time tells.
//!
//! What lies in a list for a stream that never belonged there is in no stream's history, so lists are walked through, too.

pub mod brake;
pub mod examine;
pub mod orphans;
mod sample;
mod suspects;
mod walk;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use events::{Context, StreamId};
use read_model::{Generation, Slot, StoredView};
use tokio_util::sync::CancellationToken;

use super::{
    generations,
    shapes::Shapes,
    status::{PartitionStatus, Partitions},
};
use crate::{
    outbound::{command_service::CommandService, redis::RedisStore},
    projections::{Projection, projection_of},
};
use examine::{ExamineError, Kind, Sides, Verdict};
use sample::Sample;
pub use suspects::{Suspect, Suspects};
use walk::Walk;

/// At most this part of the time goes into audits, however long a stream is.
const BUSY: u32 = 5;

/// Streams that are looked at again later, at most; more lacking ones than that are met again anyhow.
const LATE: usize = 1_000;

/// Later events of a lane that are looked for in their views.
const WITNESSES: usize = 20;

/// Without a witness, how many times as long it takes until what is lacking counts as lost.
const UNWITNESSED: u32 = 10;

/// One turn of so many goes to a walk through lists and owners.
const WALK: u32 = 4;

/// How often it looks which generations are read.
const FOLLOW: Duration = Duration::from_secs(1);

/// The pause after a failure: of the command service, or of Redis.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// How the auditor works.
#[derive(Debug, Clone, Copy)]
pub struct AuditSettings {
    /// The time between two streams, at least.
    pub pause: Duration,
    /// How long a view may lack events before it counts.
    pub behind: Duration,
}

/// See the module.
pub struct Auditor {
    store: Arc<RedisStore>,
    commands: Arc<CommandService>,
    partitions: Partitions,
    shapes: Shapes,
    /// The generations that are read, of those contexts where this process feeds them.
    live: HashMap<Context, Generation>,
    followed: Option<Instant>,
    settings: AuditSettings,
    sample: Sample,
    walk: Walk,
    turns: u32,
    late: VecDeque<Late>,
}

/// A view that lacked something when it was seen.
struct Late {
    context: Context,
    stream: StreamId,
    version: u64,
    since: Instant,
}

impl Auditor {
    /// An auditor of the read models that are read, as far as this process feeds them (as `shapes` says) and `partitions` are
    /// its own.
    #[must_use]
    pub fn new(
        store: Arc<RedisStore>,
        commands: Arc<CommandService>,
        partitions: Partitions,
        shapes: Shapes,
        settings: AuditSettings,
    ) -> Self {
        let sample = Sample::new(shapes.all().into_keys().collect());
        let (live, followed, late) = (HashMap::new(), None, VecDeque::new());
        let (walk, turns) = (Walk::default(), 0);
        Self { store, commands, partitions, shapes, live, followed, settings, sample, walk, turns, late }
    }

    /// Looks at one stream after the other until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        for context in self.shapes.all().into_keys() {
            audited(context, 0);
            for kind in Kind::ALL {
                divergent(context, kind, 0);
            }
        }
        let mut failures = 0_u32;
        loop {
            let started = Instant::now();
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                turned = self.turn() => match turned {
                    Ok(()) => {
                        failures = 0;
                        self.settings.pause.max(started.elapsed() * (BUSY - 1))
                    }
                    Err(error) => {
                        failures += 1;
                        if failures.is_power_of_two() {
                            tracing::warn!(failures, %error, "the auditor can't look");
                        }
                        AFTER_FAILURE.max(self.settings.pause)
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn turn(&mut self) -> Result<(), ExamineError> {
        self.follow().await?;
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(WALK) {
            return self.look_for_orphans().await;
        }
        if let Some(late) = self.late.pop_front_if(|late| late.since.elapsed() >= self.settings.behind) {
            return self.look(late.context, late.stream, Some(late)).await;
        }
        self.sample.fill(&self.commands, &self.store, &self.live).await?;
        while let Some((context, stream)) = self.sample.next() {
            if self.owner(context, stream).is_some() {
                return self.look(context, stream, None).await;
            }
        }
        Ok(())
    }

    /// Looks which generations are read; after a switch, what another lacked is forgotten.
    async fn follow(&mut self) -> Result<(), ExamineError> {
        if self.followed.is_some_and(|followed| followed.elapsed() < FOLLOW) {
            return Ok(());
        }
        let pointers = self.store.pointers().await?;
        self.followed = Some(Instant::now());
        for (context, shape) in &self.shapes.all() {
            let pointers = pointers.get(context);
            // What is built in place of a generation that does not fit any more is not read yet.
            let live = pointers
                .and_then(|pointers| pointers.live.filter(|live| generations::feeds(pointers, *shape).first == Some(*live)));
            let was = match live {
                Some(live) => self.live.insert(*context, live),
                None => self.live.remove(context),
            };
            if was != live {
                self.late.retain(|late| late.context != *context);
            }
        }
        Ok(())
    }

    /// The slot of a stream and its partition, if this process feeds it.
    fn owner(&self, context: Context, stream: StreamId) -> Option<(Generation, Slot, Arc<PartitionStatus>)> {
        let generation = *self.live.get(&context)?;
        let number = generation.partition_of(stream);
        let status = self.partitions.get(context, number)?;
        Some((generation, Slot::new(self.store.prefix(), generation, context, number), status))
    }

    async fn look_for_orphans(&mut self) -> Result<(), ExamineError> {
        for found in self.walk.step(&self.commands, &self.store, &self.live, &self.partitions).await? {
            if let Some(status) = self.partitions.get(found.context, found.partition) {
                status.suspects().offer_orphan(found.generation.number, found.orphan);
            }
        }
        Ok(())
    }

    async fn look(&mut self, context: Context, stream: StreamId, late: Option<Late>) -> Result<(), ExamineError> {
        projection_of!(context, P => self.look_at::<P>(context, stream, late).await)
    }

    async fn look_at<P: Projection>(
        &mut self,
        context: Context,
        stream: StreamId,
        late: Option<Late>,
    ) -> Result<(), ExamineError> {
        let Some((generation, slot, status)) = self.owner(context, stream) else { return Ok(()) };
        let suspected = |behind_at| status.suspects().offer(Suspect { stream, generation: generation.number, behind_at });
        let sides = Sides { commands: &self.commands, store: &self.store, context, slot: &slot };
        let verdict = sides.examine::<P>(stream).await?.verdict(stream)?;
        if late.is_none() {
            audited(context, 1);
        }
        match verdict {
            Verdict::Right | Verdict::Open => {}
            Verdict::Wrong(_) => suspected(None),
            Verdict::Lacking { version, next } => {
                // What moved meanwhile is seen anew.
                let since = late.filter(|late| late.version == version).map_or_else(Instant::now, |late| late.since);
                if status.is_settled() && self.is_overdue(since, context, next).await? {
                    suspected(Some(version));
                } else if self.late.len() < LATE {
                    self.late.push_back(Late { context, stream, version, since });
                }
            }
        }
        Ok(())
    }

    /// Whether an event that is lacking since then should have been applied.
    async fn is_overdue(&self, since: Instant, context: Context, next: (u16, u64)) -> Result<bool, ExamineError> {
        let waited = since.elapsed();
        if waited < self.settings.behind {
            return Ok(false);
        }
        Ok(waited >= self.settings.behind * UNWITNESSED || self.was_published(context, next).await?)
    }

    /// Whether a later event of the lane is in its view.
    async fn was_published(&self, context: Context, (lane, seq): (u16, u64)) -> Result<bool, ExamineError> {
        let Some(generation) = self.live.get(&context) else { return Ok(false) };
        for event in self.commands.feed(context, lane, seq, WITNESSES).await? {
            let slot = generation.slot_of(self.store.prefix(), context, event.stream_id);
            let stored = self.store.stored(&slot, event.stream_id).await?;
            let view = stored.as_deref().and_then(|bytes| StoredView::decode(bytes).ok());
            if view.is_some_and(|view| view.header.version >= event.version) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Counts audited streams.
fn audited(context: Context, streams: u64) {
    metrics::counter!("orderflow_audit_streams_total", "context" => context.name()).increment(streams);
}

/// Counts divergences: repaired ones, and beyond the brake those that were only found.
pub(crate) fn divergent(context: Context, kind: Kind, count: u64) {
    metrics::counter!("orderflow_audit_divergent_total", "context" => context.name(), "kind" => kind.name()).increment(count);
}
