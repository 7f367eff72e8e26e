//! What happens to generations without an operator: a read model that does not fit is built anew and replaced, one that
//! was replaced is given up after its time, and what was given up is deleted. Every process does it; pointers are compared
//! and set, so it happens once.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use events::Context;
use read_model::Pointers;
use tokio_util::sync::CancellationToken;

use super::{
    generations::{self, Shape},
    rebuilding::to_do,
    shapes::Shapes,
    status::Partitions,
};
use crate::outbound::redis::{RedisStore, RedisStoreError};

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// How long the keys of a generation that was given up stay: longer than any request or worker that has not heard of it.
const GRACE_MS: i64 = 10_000;

/// How long a topic must have fewer partitions than what is read was built from: another process may only have noticed
/// earlier that there are more. A topic made anew has fewer for good.
const FEWER: Duration = Duration::from_secs(30);

/// The pause between two steps of deleting, of a thousand keys each at most: others are served in between.
const DELETE_PAUSE: Duration = Duration::from_millis(10);

/// Looks after the generations.
pub struct Conductor {
    /// The read models.
    pub store: Arc<RedisStore>,
    /// What each read model has to be.
    pub shapes: Shapes,
    /// The partitions of this process, which say when a read model can't be fed any more.
    pub partitions: Partitions,
    /// How long a generation that was replaced is kept.
    pub keep: Duration,
}

impl Conductor {
    /// Looks after them until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut fewer = HashMap::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            // Without Redis there is nothing to conduct; the workers say so.
            if let Some(Err(error)) = stop.run_until_cancelled(self.look(&mut fewer)).await {
                tracing::debug!(%error, "generations");
            }
        }
    }

    /// `fewer`: since when topics have fewer partitions than what is read.
    async fn look(&self, fewer: &mut HashMap<Context, Instant>) -> Result<(), RedisStoreError> {
        for (context, pointers) in self.store.pointers().await? {
            self.tell(context, &pointers).await?;
            let Some(shape) = self.shapes.get(context) else { continue };
            if pointers.live.is_none_or(|live| live.partitions <= shape.partitions) {
                fewer.remove(&context);
            } else if fewer.entry(context).or_insert_with(Instant::now).elapsed() < FEWER {
                continue;
            }
            if let Some(next) = self.next(context, &pointers, shape).await?
                && self.store.move_pointers(context, &pointers, &next).await?
            {
                tracing::info!(%context, from = ?pointers, to = ?next, "generations moved");
            }
            for (number, since) in &pointers.dropped {
                if now() - since > GRACE_MS {
                    self.delete(context, &pointers, *number).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells metrics how far a build is.
    async fn tell(&self, context: Context, pointers: &Pointers) -> Result<(), RedisStoreError> {
        let (mut done, mut remaining) = (0, Some(0));
        if let Some(building) = &pointers.building {
            let positions = self.store.positions(context, building.generation).await?;
            let live = match pointers.live {
                Some(live) => self.store.positions(context, live).await?,
                None => Vec::new(),
            };
            done = positions.iter().flatten().map(|position| position.done).sum();
            remaining = to_do(&positions, &live);
        }
        let label = context.name();
        let active = if pointers.building.is_some() { 1.0 } else { 0.0 };
        metrics::gauge!("orderflow_rebuild_active", "context" => label).set(active);
        metrics::gauge!("orderflow_rebuild_done_records", "context" => label).set(figure(done));
        if let Some(remaining) = remaining {
            metrics::gauge!("orderflow_rebuild_remaining_records", "context" => label).set(figure(remaining));
        }
        Ok(())
    }

    /// Where the pointers should be instead.
    async fn next(&self, context: Context, pointers: &Pointers, shape: Shape) -> Result<Option<Pointers>, RedisStoreError> {
        let Some(live) = pointers.live else { return Ok(None) };
        let build = |cause| generations::build(pointers, shape, Some(cause), now());
        let next = match (generations::outgrown(pointers, shape), self.partitions.misfit(context, live.number)) {
            (Some(cause), _) => build(cause),
            // A log that the checkpoint is no part of need not be all there is, wherever it begins.
            (None, Some(cause)) => build(cause).and_then(|next| generations::from_store(pointers, next)),
            (None, None) => Ok(pointers.clone()),
        };
        if let Some(next) = next.ok().filter(|next| next != pointers) {
            return Ok(Some(next));
        }
        if let Some(building) = pointers.building.as_ref().filter(|building| building.cause.is_some() && !building.paused) {
            let positions = self.store.positions(context, building.generation).await?;
            return Ok(generations::switch(pointers, now()).ok().filter(|_| generations::is_complete(&positions)));
        }
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let is_over = pointers.previous.as_ref().is_some_and(|previous| now() - previous.since > keep);
        Ok(generations::finish(pointers, now()).ok().filter(|_| is_over))
    }

    /// Deletes what a generation has; its pointer goes when nothing was there any more, from the beginning to the end.
    async fn delete(&self, context: Context, pointers: &Pointers, number: u32) -> Result<(), RedisStoreError> {
        let (mut cursor, mut deleted) = (0, 0);
        loop {
            let (next, found) = self.store.delete_some(context, number, cursor).await?;
            deleted += found;
            if next == 0 {
                break;
            }
            cursor = next;
            tokio::time::sleep(DELETE_PAUSE).await;
        }
        tracing::info!(%context, generation = number, keys = deleted, "deleted what was given up");
        if deleted == 0 {
            let mut next = pointers.clone();
            next.dropped.remove(&number);
            self.store.move_pointers(context, pointers, &next).await?;
        }
        Ok(())
    }
}

/// Exact as far as anybody reads it.
fn figure(records: i64) -> f64 {
    u32::try_from(records.max(0)).map_or(f64::from(u32::MAX), f64::from)
}

fn now() -> i64 {
    Utc::now().timestamp_millis()
}
