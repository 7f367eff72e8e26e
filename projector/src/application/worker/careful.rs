//! What a worker does about crash loops and floods of dead letters. See `application/starts.rs`.

use std::sync::Arc;

use rdkafka::Message;

use super::{Interrupted, Worker};
use crate::{
    application::{
        patience::Stopped,
        starts::{Handling, InHand, Starts},
    },
    inbound::source::{Source, Taken},
    projections::Projection,
};

/// What a worker has to beware of.
#[derive(Default)]
pub(super) struct Wary {
    /// Streams that are parked and were not discarded.
    pub(super) open: usize,
    /// Whether those were too many when last looked at.
    pub(super) was_flooded: bool,
    /// Records that are still to be handled one by one.
    pub(super) careful: usize,
    /// How the record in hand is to be handled.
    pub(super) handling: Handling,
    /// What was announced in the slot before; nothing when nothing is suspicious.
    starts: Starts,
    /// Whether an announcement of this session is in the slot.
    announced: bool,
    /// Whether this session has moved the checkpoint.
    has_moved: bool,
}

impl<P: Projection> Worker<P> {
    pub(super) fn count_parked(&mut self) {
        self.wary.open = self.parked.values().filter(|parked| parked.is_open()).count();
        self.status.set_parked(self.wary.open);
    }

    /// Learns from what was announced in the slot whether the last start here ended well.
    pub(super) fn suspect(&mut self, announced: Option<Starts>) {
        (self.wary.announced, self.wary.has_moved) = (false, false);
        let place = self.place();
        self.wary.starts = announced.filter(|starts| starts.offset == place && starts.starts > 0).unwrap_or_default();
        self.wary.careful = 0;
        if self.wary.starts.starts > 0 {
            self.wary.careful = self.shared.limits.chunk_events;
            tracing::warn!(
                parent: &self.span, kafka.offset = self.offset, starts = self.wary.starts.starts,
                "a process died at this checkpoint: the next records are handled one by one"
            );
        }
    }

    /// Handles records, in the way that the last start here asks for.
    pub(super) async fn handle_warily(&mut self, source: &Source, taken: &Taken<'_>) -> Result<(), Interrupted> {
        match taken.messages.as_slice() {
            [message] if self.wary.careful > 0 => {
                let starts = self.begin_alone(message.offset()).await?;
                let handled = self.handle_in_turn(source, taken).await;
                self.end_alone(starts, handled)?;
            }
            _ => {
                self.announce().await?;
                self.handle_in_turn(source, taken).await?;
            }
        }
        self.has_moved().await;
        Ok(())
    }

    /// The checkpoint has moved: what was announced before means nothing any more.
    pub(super) async fn has_moved(&mut self) {
        self.wary.has_moved = true;
        if self.wary.careful == 0 {
            self.withdraw().await;
        }
    }

    /// Where the slot is: its offset, or a number below all offsets for how far it is filled from the event store.
    fn place(&self) -> i64 {
        let filled = self.filling.as_ref().map(|filling| i64::try_from(filling.progress().0).unwrap_or(i64::MAX));
        filled.map_or(self.offset, |filled| -1 - filled)
    }

    async fn handle_in_turn(&mut self, source: &Source, taken: &Taken<'_>) -> Result<(), Interrupted> {
        self.patience.begin_turn(self.turns()).await;
        let handled = self.handle(source, taken).await;
        self.patience.end_turn();
        handled
    }

    /// Says in the slot that a process has begun here, before the first chunk of a session.
    pub(super) async fn announce(&mut self) -> Result<(), Interrupted> {
        if self.wary.announced || self.wary.has_moved {
            return Ok(());
        }
        let starts = Starts { offset: self.place(), starts: self.wary.starts.starts.saturating_add(1), ..Starts::default() };
        let store = Arc::clone(&self.shared.store);
        self.patience.until_done("redis", || store.put_starts(&self.slot, &starts)).await?;
        self.wary.announced = true;
        Ok(())
    }

    /// Takes a record in hand that is handled alone; what was announced comes back in [`Self::end_alone`].
    pub(super) async fn begin_alone(&mut self, record: i64) -> Result<Starts, Interrupted> {
        let store = Arc::clone(&self.shared.store);
        let alone = Arc::clone(&self.shared.alone).lock_owned();
        let alone = self.patience.stop().run_until_cancelled(alone).await.ok_or(Stopped)?;
        self.wary.handling = self.wary.starts.handling(record);
        let starts = self.wary.starts.alone(self.place(), record);
        self.patience.until_done("redis", || store.put_starts(&self.slot, &starts)).await?;
        self.wary.announced = true;
        let before = Starts { tries: starts.tries - 1, ..starts.clone() };
        self.patience.take_in_hand(InHand::new(store, self.slot.clone(), before, alone));
        Ok(starts)
    }

    /// It was handled.
    pub(super) fn end_alone(&mut self, starts: Starts, handled: Result<(), Interrupted>) -> Result<(), Interrupted> {
        self.patience.drop_from_hand();
        self.wary.handling = Handling::Usual;
        handled?;
        self.wary.starts = starts;
        self.wary.careful -= 1;
        Ok(())
    }

    /// Takes the announcement back: the checkpoint has moved, or the session ends without a crash.
    pub(super) async fn withdraw(&mut self) {
        if self.wary.announced {
            self.wary.announced = false;
            if let Err(error) = self.shared.store.drop_starts(&self.slot).await {
                tracing::debug!(parent: &self.span, %error, "the announcement of a start could not be taken back");
            }
        }
    }

    /// Whether more streams are parked than may be; says so when that changes, and for as long as it is so. A worker beside
    /// the first sends nothing to the dead letters, and no operator can discard what is parked there: it goes on.
    pub(super) fn is_flooded(&mut self) -> bool {
        if self.aside_of.is_some() {
            return false;
        }
        let most = self.shared.limits.parked_streams;
        let is_flooded = self.wary.open > most;
        if is_flooded {
            let cause = format!(
                "{} streams are parked, and MAX_PARKED_STREAMS is {most}: retry or discard some (`orderctl dlq`)",
                self.wary.open
            );
            if !self.wary.was_flooded {
                tracing::error!(parent: &self.span, cause, "the partition stands still rather than flood the dead letters");
            }
            self.status.set_trouble(Some(cause));
        } else if self.wary.was_flooded {
            tracing::info!(parent: &self.span, parked = self.wary.open, "few enough streams are parked: the partition goes on");
            self.status.set_trouble(None);
        }
        self.wary.was_flooded = is_flooded;
        is_flooded
    }
}
