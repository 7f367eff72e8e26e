//! Streams whose events came in a partition that is not theirs: when a topic gets more partitions, what it had stays where
//! it is, and for some minutes a relay may go on with the number that it knew.
//!
//! Only the owner of a slot writes to it. So who meets such an event passes the stream on to the slot where readers look for
//! it, and the owner there folds it from the event store. It is passed on before the checkpoint passes the event.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::StreamId;

use super::{Interrupted, Worker};
use crate::{application::audit::Suspect, projections::Projection};

/// How often a worker looks whether streams were passed on to it.
const LOOK: Duration = Duration::from_secs(1);

/// Streams that are taken at a time.
const SOME: usize = 100;

impl<P: Projection> Worker<P> {
    /// Whether a stream's view belongs into another slot.
    pub(super) fn is_elsewhere(&self, stream: StreamId) -> bool {
        self.generation.partition_of(stream) != self.partition
    }

    /// Passes streams on to the slots of their views.
    pub(super) async fn hand_over(&self, mut streams: Vec<StreamId>) -> Result<(), Interrupted> {
        streams.sort_unstable();
        streams.dedup();
        if streams.is_empty() {
            return Ok(());
        }
        let store = Arc::clone(&self.shared.store);
        let handing = || store.hand_over(self.context, self.generation, &streams);
        Ok(self.patience.until_done("redis", handing).await?)
    }

    /// Takes in what was passed on to this slot; looks no more than once a second.
    pub(super) async fn take_in(&mut self) -> Result<(), Interrupted> {
        if self.took_in.is_some_and(|last| last.elapsed() < LOOK) {
            return Ok(());
        }
        let (shared, slot) = (Arc::clone(&self.shared), self.slot.clone());
        loop {
            // A Redis that is down is met by the next chunk.
            let Ok(streams) = shared.store.handed_over(&slot, SOME).await else { break };
            if streams.is_empty() {
                break;
            }
            for stream in streams {
                if self.patience.stop().is_cancelled() {
                    return Err(Interrupted::Stopped);
                }
                self.take_in_one(stream).await?;
            }
        }
        self.took_in = Some(Instant::now());
        Ok(())
    }

    async fn take_in_one(&mut self, stream: StreamId) -> Result<(), Interrupted> {
        let version = self.views(&[stream]).await?.first().and_then(Option::as_ref).map_or(0, P::version);
        let suspect = Suspect { stream, generation: self.generation.number, behind_at: Some(version) };
        let judged = self.patience.until_done("command service", || self.judge(suspect)).await?;
        let mut changes = match &judged {
            Some((kind, examination)) => {
                let mut changes = self.difference(stream, *kind, examination)?;
                let events = examination.truth.events.iter().filter(|(of, _)| *of > version);
                changes.log.extend(events.map(|(version, event_type)| (stream, *version, *event_type)));
                changes
            }
            // It is here already, or it is parked.
            None => self.nothing(self.offset, self.goal),
        };
        changes.handed_over.push(stream);
        self.cache.take(stream);
        self.write(changes, Vec::new()).await
    }
}
