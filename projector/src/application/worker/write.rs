//! What a worker writes: dead letters, and then changes that were folded on the revision that it left.

use super::{Interrupted, Worker};
use crate::{
    application::{
        changes::{Changes, Fill},
        chunk::Kept,
        letters::DeadLetter,
    },
    failpoints,
    outbound::redis::{Applied, Step},
    projections::Projection,
};

impl<P: Projection> Worker<P> {
    /// Sends dead letters. Beside the first worker nothing is sent again: it has sent the same.
    pub(super) async fn send(&self, letters: &[DeadLetter]) -> Result<(), Interrupted> {
        if letters.is_empty() || self.aside_of.is_some() {
            return Ok(());
        }
        self.patience.until_done("dead letters", || self.shared.letters.send(letters)).await?;
        self.meters.dead_letters.increment(u64::try_from(letters.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Writes changes that were folded on the revision that this worker left, and remembers what Redis has now.
    pub(super) async fn write(&mut self, mut changes: Changes, kept: Vec<Kept<P>>) -> Result<(), Interrupted> {
        self.total(&mut changes).await?;
        changes.goal = self.goal.filter(|goal| self.filling.is_some() || changes.offset < *goal);
        failpoints::before_apply();
        if self.aside_of.is_none()
            && let Some(delay) = failpoints::slow_first()
        {
            tokio::time::sleep(delay).await;
        }
        self.put(&changes, self.rev.unwrap_or(0) + 1).await?;
        failpoints::after_apply();
        if !(changes.parked.is_empty() && changes.unparked.is_empty()) {
            self.parked.extend(changes.parked);
            changes.unparked.iter().for_each(|stream| drop(self.parked.remove(stream)));
            self.count_parked();
        }
        for (counter, total) in changes.totals {
            self.counters.put(counter, total);
        }
        for (stream, view) in kept {
            self.cache.put(stream, view);
        }
        self.status.moved(changes.offset, changes.at);
        Ok(())
    }

    /// Writes changes if the slot is as this worker left it, and knows the slot at revision `to` then.
    pub(super) async fn put(&mut self, changes: &Changes, to: u64) -> Result<(), Interrupted> {
        let step = Step { from: self.rev, to };
        let writing = || self.writer.apply(step, &self.shared.cluster, changes);
        match self.patience.until_done("redis", writing).await? {
            Applied::Written => {}
            Applied::Fenced => return Err(Interrupted::Fenced),
        }
        if self.goal.is_some() && changes.goal.is_none() {
            tracing::info!(parent: &self.span, kafka.offset = changes.offset, events = changes.events, "complete");
        }
        self.rev = Some(to);
        self.progress = (changes.events, changes.at);
        self.offset = changes.offset;
        self.goal = changes.goal;
        match &changes.filling {
            Fill::Unchanged => {}
            Fill::At(filling) => self.filling = Some(filling.clone()),
            Fill::Over => self.filling = None,
        }
        Ok(())
    }
}
