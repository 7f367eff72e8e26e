//! Where a session begins: at the checkpoint in Redis, with what has to come before the slot is complete.

use std::sync::Arc;

use chrono::Utc;
use read_model::{Filling, Origin};

use super::{Interrupted, Worker};
use crate::{
    application::changes::{Changes, Fill},
    failpoints,
    inbound::source::Source,
    outbound::redis::{Checkpoint, Goal, SlotState},
    projections::Projection,
};

impl<P: Projection> Worker<P> {
    pub(super) async fn begin(&mut self, source: &Source, start: Option<SlotState>) -> Result<(), Interrupted> {
        self.cache.clear();
        self.counters.clear();
        let in_place = start.is_some();
        let (shared, slot) = (Arc::clone(&self.shared), self.slot.clone());
        let state = match start {
            Some(state) => state,
            None => self.patience.until_done("redis", || shared.store.slot_state(&slot)).await?,
        };
        self.filling = None;
        self.parked = state.parked.into_iter().collect();
        self.rev = state.checkpoint.as_ref().map(|checkpoint| checkpoint.rev);
        self.progress = state.checkpoint.as_ref().map_or((0, 0), |checkpoint| (checkpoint.events, checkpoint.at));
        let offset = state.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.offset);
        self.status.set_at_end(false);
        if let Some(checkpoint) = &state.checkpoint
            && checkpoint.cluster != shared.cluster
        {
            return Err(Interrupted::Misfit(format!(
                "the checkpoint belongs to Kafka cluster {}, and this is {}",
                checkpoint.cluster, shared.cluster
            )));
        }
        let is_empty = state.checkpoint.is_none();
        let origin = if is_empty { self.check_generation().await? } else { Origin::default() };
        if is_empty && let Some(delay) = failpoints::slow_begin() {
            tokio::time::sleep(delay).await;
        }
        let (low, high) = self.patience.until_done("kafka", || source.watermarks()).await?;
        let checkpoint = state.checkpoint.as_ref();
        let filling = self.to_fill(checkpoint, origin, (low, high)).await?;
        let is_outside = !(low..=high).contains(&offset);
        // One that is filled was begun at the beginning of the log, unless that is only found out now.
        let is_lost = is_outside && in_place && checkpoint.is_some_and(|checkpoint| checkpoint.filling.is_none());
        if is_lost {
            source.lose();
        }
        if is_outside && filling.is_none() {
            // If it was set back, readers have to know what it lacks.
            self.aim(source, checkpoint, high).await?;
            return Err(Interrupted::Misfit(format!("offset {offset} is to be read next, and the log has {low} to {high}")));
        }
        self.status.set_misfit(None);
        self.status.set_trouble(None);
        match filling {
            Some(filling) => {
                self.aim_at_lanes(checkpoint, filling).await?;
                if is_lost {
                    // Whoever began this worker assigns the partition anew.
                    return Err(Interrupted::Stopped);
                }
            }
            None => {
                if !in_place {
                    self.patience.until_done("kafka", || source.seek(offset)).await?;
                }
                self.aim(source, checkpoint, high).await?;
            }
        }
        if is_empty {
            // Once more, as the slot has a revision now: had Redis been emptied since the pointers were put there, nobody
            // would have been fenced, and nobody would put them there again.
            self.check_generation().await?;
        }
        self.offset = offset;
        self.status.moved(offset, self.progress.1);
        self.count_parked();
        self.suspect(state.starts);
        tracing::debug!(parent: &self.span, kafka.offset = offset, redis.rev = self.rev, kafka.goal = self.goal, "begins");
        Ok(())
    }

    /// Finds out whether the slot has everything, and writes down what it lacks before anything else, so that readers know
    /// what its silence is worth.
    async fn aim(&mut self, source: &Source, checkpoint: Option<&Checkpoint>, high: i64) -> Result<(), Interrupted> {
        let offset = checkpoint.map_or(0, |checkpoint| checkpoint.offset);
        let said = checkpoint.map_or(Goal::Unsaid, |checkpoint| checkpoint.goal);
        self.goal = match said {
            Goal::Unsaid => Some(high),
            Goal::At(goal) => Some(goal),
            Goal::Reached if offset < high && self.has_been_at(source).await > offset => {
                tracing::warn!(parent: &self.span, kafka.offset = offset, "Redis was set back: it lacks what it had");
                Some(high)
            }
            Goal::Reached => None,
        }
        .filter(|goal| offset < *goal);
        let is_said = match said {
            Goal::Unsaid => false,
            Goal::At(goal) => self.goal == Some(goal),
            Goal::Reached => self.goal.is_none(),
        };
        if is_said {
            return Ok(());
        }
        let changes = self.nothing(offset, self.goal);
        self.put(&changes, self.far_revision()).await
    }

    /// Writes down that the slot is filled from the event store, unless that is there.
    async fn aim_at_lanes(&mut self, checkpoint: Option<&Checkpoint>, filling: Filling) -> Result<(), Interrupted> {
        self.goal = Some(filling.offset);
        if checkpoint.is_some_and(|checkpoint| checkpoint.filling.as_ref() == Some(&filling)) {
            self.filling = Some(filling);
            return Ok(());
        }
        tracing::warn!(parent: &self.span, kafka.goal = self.goal, "the slot is filled from the event store");
        let offset = checkpoint.map_or(0, |checkpoint| checkpoint.offset);
        let changes = Changes { filling: Fill::At(filling), ..self.nothing(offset, self.goal) };
        self.put(&changes, self.far_revision()).await
    }

    /// Far from any revision that another line of this slot's history has reached: a worker that sleeps with a revision
    /// from before Redis was emptied or set back does not find it again.
    fn far_revision(&self) -> u64 {
        let now = u64::try_from(Utc::now().timestamp_millis()).unwrap_or(0);
        now.max(self.rev.unwrap_or(0) + 1)
    }

    /// The offset that Redis has held at some time, as this worker or the group knows.
    async fn has_been_at(&self, source: &Source) -> i64 {
        match self.offset {
            // Only a better guess: without an answer the slot passes for what it says it is.
            0 => source.committed().await.ok().flatten().unwrap_or(0),
            offset => offset,
        }
    }

    /// Notes that the slot has all that there is.
    pub(super) async fn complete(&mut self) -> Result<(), Interrupted> {
        if self.goal.is_none() {
            return Ok(());
        }
        let changes = self.nothing(self.offset, None);
        self.put(&changes, self.rev.unwrap_or(0) + 1).await
    }

    /// No change but of the goal.
    pub(super) fn nothing(&self, offset: i64, goal: Option<i64>) -> Changes {
        Changes { offset, events: self.progress.0, at: self.progress.1, goal, ..Changes::default() }
    }

    /// Where the slot was emptied, the pointers may have been too, or the generation was given up. Tells where an empty one
    /// begins.
    async fn check_generation(&self) -> Result<Origin, Interrupted> {
        let (store, ours) = (&self.shared.store, self.generation);
        if self.aside_of.is_none() {
            self.patience.until_done("redis", || store.generation(self.context, ours)).await?;
        }
        let pointers = self.patience.until_done("redis", || store.pointers()).await?;
        // Whoever began this worker ends it as well, when it hears of that.
        let pointers = pointers.get(&self.context).filter(|pointers| pointers.has(ours)).ok_or(Interrupted::Stopped)?;
        let building = pointers.building.as_ref().filter(|building| building.generation == ours);
        Ok(building.map(|building| building.origin).unwrap_or_default())
    }
}
