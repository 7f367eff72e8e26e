//! Filling a slot from the event store: where the topic does not reach back, or shall not be trusted to.
//!
//! The end of the log is noted first and the lanes' heads after that, so that whatever is on the topic before that offset is
//! in the lanes up to those heads. The slot is folded from the lanes, and then from the topic from that offset on; what comes
//! twice is known by its version. How far it is stands beside the checkpoint and moves with what is written, so whoever
//! comes after a crash goes on there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::RecordedEvent;
use rdkafka::Message;
use read_model::{Filling, Origin};
use tokio::sync::mpsc;

use super::{IDLE_CHECK, Interrupted, Worker, fold::Folding};
use crate::{
    application::{
        changes::{Changes, Fill},
        filling::{Given, Portion},
    },
    inbound::source::Source,
    outbound::redis::Checkpoint,
    projections::Projection,
};

/// Streams whose unique values are claimed at a time.
const CLAIMS: usize = 500;

/// Offsets before the end of a log among which is a record: a transaction ends with one that is none, and as many may end
/// together as there are relays.
const TAIL: i64 = 100;

/// How long reading those may take, before the partition is assigned anew.
const TAIL_WAIT: Duration = Duration::from_secs(30);

impl<P: Projection> Worker<P> {
    /// What the slot has to be filled with, if the topic can't do it. `log`: the first offset in it, and the one after the last.
    pub(super) async fn to_fill(
        &self,
        checkpoint: Option<&Checkpoint>,
        origin: Origin,
        log: (i64, i64),
    ) -> Result<Option<Filling>, Interrupted> {
        let (low, high) = log;
        let begun = checkpoint.and_then(|checkpoint| checkpoint.filling.as_ref());
        let is_due = match (checkpoint, begun) {
            (_, Some(begun)) if (low..=high).contains(&begun.offset) => return Ok(Some(begun.clone())),
            // It took so long that the topic does not reach back to its beginning any more.
            (_, Some(_)) => true,
            // Nobody reads what is beside the first: it is filled in place. What is read is built anew.
            (Some(checkpoint), None) => self.aside_of.is_some() && checkpoint.offset < low,
            (None, None) => origin == Origin::Store || low > 0,
        };
        if !is_due {
            return Ok(None);
        }
        let heads = self.heads().await?;
        Ok(Some(begun.map_or_else(|| Filling::begin(high, heads.clone()), |begun| begun.extended(high, heads.clone()))))
    }

    async fn heads(&self) -> Result<Vec<u64>, Interrupted> {
        let commands = &self.shared.commands;
        Ok(self.patience.until_done("command service", || commands.lanes(self.context)).await?)
    }

    /// Fills the slot, and moves its checkpoint to where the topic goes on.
    pub(super) async fn fill(&mut self, source: &Source, mut filling: Filling) -> Result<(), Interrupted> {
        loop {
            while !filling.is_over() {
                let shared = Arc::clone(&self.shared);
                let mut given = shared.fillings.subscribe(self.context, self.generation, self.partition, filling.clone());
                while !filling.is_over() && self.take_given(&mut given, &mut filling).await? {}
            }
            let (low, high) = self.patience.until_done("kafka", || source.watermarks()).await?;
            if (low..=high).contains(&filling.offset) {
                self.claim().await?;
                let offset = self.after_last_record(source, low, filling.offset).await?;
                return self.filled(offset, high).await;
            }
            filling = filling.extended(high, self.heads().await?);
            let changes = Changes { filling: Fill::At(filling.clone()), ..self.nothing(self.offset, Some(high)) };
            self.put(&changes, self.rev.unwrap_or(0) + 1).await?;
        }
    }

    /// Waits for what is given next, and folds it; false when nothing more comes.
    async fn take_given(&mut self, given: &mut mpsc::Receiver<Given>, filling: &mut Filling) -> Result<bool, Interrupted> {
        self.serve().await?;
        self.give_way().await?;
        let is_flooded = self.is_flooded();
        let next = tokio::select! {
            next = given.recv(), if !is_flooded => next,
            () = self.patience.stop().cancelled() => return Err(Interrupted::Stopped),
            () = tokio::time::sleep(IDLE_CHECK) => return match self.writer.revision().await {
                Ok(rev) if rev != self.rev => Err(Interrupted::Fenced),
                // A Redis that is down is met by the next chunk.
                Ok(_) | Err(_) => Ok(true),
            },
        };
        match next {
            Some(Ok(portion)) => {
                self.status.set_trouble(None);
                self.fold_portion(portion, filling).await?;
            }
            Some(Err(cause)) => self.status.set_trouble(Some(format!("command service: {cause}"))),
            None => return Ok(false),
        }
        Ok(true)
    }

    async fn fold_portion(&mut self, portion: Portion, filling: &mut Filling) -> Result<(), Interrupted> {
        let Portion { lane, upto, events } = portion;
        let mut rest = events.as_slice();
        while !rest.is_empty() {
            if self.patience.stop().is_cancelled() {
                return Err(Interrupted::Stopped);
            }
            let (some, later) = rest.split_at(self.chunk_of(rest));
            // What belongs elsewhere and follows the last one is passed over with it.
            let reached = if later.is_empty() { upto } else { some.last().map_or(upto, |event| event.seq) };
            filling.reach(lane, reached);
            self.fold_warily(some, filling).await?;
            rest = later;
        }
        filling.reach(lane, upto);
        Ok(())
    }

    /// How many of these events are one chunk; one at least.
    fn chunk_of(&self, events: &[RecordedEvent]) -> usize {
        let limits = self.shared.limits;
        let most = if self.wary.careful > 0 { 1 } else { limits.chunk_events };
        let mut bytes = 0;
        let fits = |event: &&RecordedEvent| {
            let fits = bytes < limits.chunk_bytes;
            bytes += event.data.get().len();
            fits
        };
        events.iter().take(most).take_while(fits).count().max(1)
    }

    /// Folds events in the way that the last start here asks for.
    async fn fold_warily(&mut self, events: &[RecordedEvent], filling: &Filling) -> Result<(), Interrupted> {
        match events {
            [event] if self.wary.careful > 0 => {
                let starts = self.begin_alone(number_of(event)).await?;
                let folded = self.fold_in_turn(events, filling).await;
                self.end_alone(starts, folded)?;
            }
            _ => {
                self.announce().await?;
                self.fold_in_turn(events, filling).await?;
            }
        }
        self.has_moved().await;
        Ok(())
    }

    async fn fold_in_turn(&mut self, events: &[RecordedEvent], filling: &Filling) -> Result<(), Interrupted> {
        self.patience.begin_turn(self.turns()).await;
        let folded = self.fold_some(events, filling).await;
        self.patience.end_turn();
        folded
    }

    async fn fold_some(&mut self, events: &[RecordedEvent], filling: &Filling) -> Result<(), Interrupted> {
        let started = Instant::now();
        let Folding { chunk, letters, duplicates, .. } = self.fold_recorded(events, filling.offset).await?;
        let applied = chunk.applied();
        let (mut changes, kept) = chunk.finish(self.offset, self.progress)?;
        // Between lanes there is no order: what a stream owns for now, one of a later lane may have owned before it, and would
        // claim and give up after it.
        changes.to_claim.extend(std::mem::take(&mut changes.claimed).into_iter().map(|(_, _, stream)| stream));
        changes.filling = Fill::At(filling.clone());
        self.send(&letters).await?;
        self.write(changes, kept).await?;
        self.meters.chunk(events.len(), applied, duplicates, started.elapsed());
        Ok(())
    }

    /// Has the streams that own something now own it. Two that own the same are two looks at a store that moves on: the topic
    /// tells what came of it, or else the auditor.
    async fn claim(&mut self) -> Result<(), Interrupted> {
        loop {
            let (store, slot) = (Arc::clone(&self.shared.store), self.slot.clone());
            let streams = self.patience.until_done("redis", || store.claims(&slot, CLAIMS)).await?;
            if streams.is_empty() {
                return Ok(());
            }
            let views = self.views(&streams).await?;
            let mut changes = self.nothing(self.offset, self.goal);
            for (stream, view) in streams.iter().zip(&views) {
                let owned = view.as_ref().and_then(P::owned);
                changes.claimed.extend(owned.map(|(hash, value)| (hash, value, *stream)));
            }
            changes.have_claimed = streams;
            self.write(changes, Vec::new()).await?;
        }
    }

    /// One after the last record before `end`, where the end of a transaction may lie between. All other slots' checkpoints are
    /// behind a record, and are compared with this one.
    async fn after_last_record(&self, source: &Source, low: i64, end: i64) -> Result<i64, Interrupted> {
        let from = low.max(end - TAIL);
        if from >= end {
            return Ok(end);
        }
        let given_up = |source: &Source| {
            source.lose();
            Interrupted::Stopped
        };
        // If the log lost meanwhile what was fetched of it, librdkafka has given the partition up.
        source.seek(from).await.map_err(|_| given_up(source))?;
        let (mut after, begun) = (None, Instant::now());
        while begun.elapsed() < TAIL_WAIT {
            let limits = self.shared.limits;
            let taken = source.take(limits.chunk_events, limits.chunk_bytes)?;
            let offsets: Vec<i64> = taken.messages.iter().map(Message::offset).collect();
            after = offsets.iter().filter(|offset| **offset < end).map(|offset| offset + 1).next_back().or(after);
            if taken.at_end || offsets.last().is_some_and(|last| *last >= end) {
                return Ok(after.unwrap_or(end));
            }
            tokio::select! {
                () = source.filled() => {}
                () = self.patience.stop().cancelled() => return Err(Interrupted::Stopped),
                () = tokio::time::sleep(IDLE_CHECK) => {}
            }
        }
        Err(given_up(source))
    }

    /// The slot has all lanes: the topic is read from `offset` on, and the slot is complete where its log ends now.
    async fn filled(&mut self, offset: i64, high: i64) -> Result<(), Interrupted> {
        let changes = Changes { filling: Fill::Over, ..self.nothing(offset, Some(high).filter(|goal| offset < *goal)) };
        self.put(&changes, self.rev.unwrap_or(0) + 1).await?;
        tracing::info!(parent: &self.span, kafka.offset = offset, events = changes.events, "filled from the event store");
        Ok(())
    }
}

/// What tells an event from all others of the store, and from any offset.
fn number_of(event: &RecordedEvent) -> i64 {
    /// Room for the `seq` beside a lane: more than any store has.
    const SEQ_BITS: u32 = 44;
    let lane = i64::from(event.lane) << SEQ_BITS;
    -1 - (lane | i64::try_from(event.seq).unwrap_or(i64::MAX >> (i64::BITS - SEQ_BITS)))
}
