//! What the auditor suspects is looked at here, where nothing else moves the slot, and put right: view, entries, owners
//! and counters in one call, on the revision that it was judged on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::StreamId;
use read_model::StoredView;

use super::{Interrupted, Worker};
use crate::{
    application::{
        audit::{
            Suspect, divergent,
            examine::{Examination, ExamineError, Kind, Sides, Truth, Verdict},
        },
        changes::Changes,
        chunk::stored,
    },
    outbound::redis::RedisStoreError,
    projections::{Counter, Projection},
};

/// The pause before a view that still can't be read is looked at again.
const MENDING: Duration = Duration::from_secs(1);

impl<P: Projection> Worker<P> {
    /// Judges a suspect, and repairs it if it is guilty. What can't be asked now is left to the next time.
    pub(super) async fn try_suspect(&mut self, suspect: Suspect) -> Result<(), Interrupted> {
        match self.judge(suspect).await {
            Ok(Some((kind, _))) if !self.shared.brake.admits(Instant::now()) => {
                divergent(self.context, kind, 1);
                Ok(())
            }
            Ok(Some((kind, examination))) => self.repair(suspect.stream, kind, examination).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(parent: &self.span, stream.id = %suspect.stream, %error, "a suspected view can't be looked at");
                Ok(())
            }
        }
    }

    /// The views of some streams. One that can't be read is put right first: nothing could be folded onto it.
    pub(super) async fn views(&mut self, streams: &[StreamId]) -> Result<Vec<Option<P::View>>, Interrupted> {
        let (shared, slot) = (Arc::clone(&self.shared), self.slot.clone());
        let mut mended = false;
        loop {
            let attempt = || async {
                match shared.store.views(&slot, streams).await {
                    Err(RedisStoreError::Malformed { key, problem }) => Ok(Err(format!("{key}: {problem}"))),
                    other => other.map(Ok),
                }
            };
            match self.patience.until_done("redis", attempt).await? {
                Ok(views) => {
                    if mended {
                        self.status.set_trouble(None);
                    }
                    return Ok(views);
                }
                Err(cause) => {
                    tracing::warn!(parent: &self.span, cause, "a view can't be read");
                    if mended {
                        self.status.set_trouble(Some(cause));
                        tokio::select! {
                            () = tokio::time::sleep(MENDING) => {}
                            () = self.patience.stop().cancelled() => return Err(Interrupted::Stopped),
                        }
                    }
                    mended = true;
                    for stream in streams {
                        let generation = self.generation.number;
                        self.try_suspect(Suspect { stream: *stream, generation, behind_at: None }).await?;
                    }
                }
            }
        }
    }

    pub(super) async fn judge(&self, suspect: Suspect) -> Result<Option<(Kind, Examination<P>)>, ExamineError> {
        let stream = suspect.stream;
        if self.parked.contains_key(&stream) {
            return Ok(None);
        }
        let shared = &self.shared;
        let sides = Sides { commands: &shared.commands, store: &shared.store, context: self.context, slot: &self.slot };
        let mut examination = sides.examine::<P>(stream).await?;
        let kind = match examination.verdict(stream)? {
            Verdict::Wrong(kind) => kind,
            Verdict::Lacking { version, .. } if suspect.behind_at == Some(version) => {
                if version == 0 {
                    Kind::Missing
                } else {
                    Kind::Behind
                }
            }
            Verdict::Right | Verdict::Open | Verdict::Lacking { .. } => return Ok(None),
        };
        if matches!(kind, Kind::Missing | Kind::Behind) {
            let (version, former) = (examination.truth.version(), examination.truth);
            examination.truth = sides.fold::<P>(stream, u64::MAX).await?;
            if examination.truth.version() <= version {
                // The store has an event that can't be applied: it will be parked when it comes.
                examination.truth = former;
                return Ok(None);
            }
        }
        Ok(Some((kind, examination)))
    }

    async fn repair(&mut self, stream: StreamId, kind: Kind, examination: Examination<P>) -> Result<(), Interrupted> {
        let was = examination.sight.stored.as_deref().and_then(|bytes| StoredView::decode(bytes).ok());
        let was = was.map_or(0, |stored| stored.header.version);
        let is = examination.truth.version();
        let mut changes = self.difference(stream, kind, &examination)?;
        if matches!(kind, Kind::Behind | Kind::Missing) {
            changes.log = untold(stream, was, &examination.truth);
        }
        self.cache.take(stream);
        self.write(changes, Vec::new()).await?;
        divergent(self.context, kind, 1);
        tracing::error!(
            parent: &self.span, stream.id = %stream, kind = kind.name(), view.version = was, stream.version = is,
            "a view was not the fold of its stream: repaired from the event store"
        );
        if kind != Kind::Index {
            self.recounting.suspect();
        }
        Ok(())
    }

    /// What leads from what Redis has to what the store says.
    pub(super) fn difference(&self, stream: StreamId, kind: Kind, examination: &Examination<P>) -> Result<Changes, Interrupted> {
        let Examination { truth, sight, found, entries, owned, .. } = examination;
        let mut changes = self.nothing(self.offset, self.goal);
        let right = truth.entries();
        for (entry, is_there) in entries.iter().zip(&sight.entries) {
            if *is_there && !right.contains(entry) {
                changes.removed.push(entry.clone());
            }
        }
        changes.added.extend(right);
        let owns = truth.view.as_ref().and_then(P::owned);
        for ((hash, value), is_owner) in owned.iter().zip(&sight.owned) {
            if *is_owner && owns.as_ref().is_none_or(|(_, own)| own != value) {
                changes.released.push((hash, value.clone(), stream));
            }
        }
        // As long as later events are to come, another stream may own it by now.
        if let (Some((hash, value)), None) = (owns, truth.next) {
            changes.claimed.push((hash, value, stream));
        }
        if kind == Kind::Index {
            return Ok(changes);
        }
        match &truth.view {
            Some(view) => {
                changes.views.push((stream, stored::<P>(stream, view, false)?));
            }
            None => changes.dropped.push(stream),
        }
        changes.moves = moves::<P>(found.as_ref(), truth.view.as_ref());
        Ok(changes)
    }
}

/// For the change log: the events that come after version `was` of a view. Of one that was lost nobody knows what was told; the
/// last event brings its readers up to date.
pub(super) fn untold<P: Projection>(stream: StreamId, was: u64, truth: &Truth<P>) -> Vec<(StreamId, u64, &'static str)> {
    let told = if was == 0 { truth.version().saturating_sub(1) } else { was };
    let untold = truth.events.iter().filter(|(version, _)| *version > told);
    untold.map(|(version, event_type)| (stream, *version, *event_type)).collect()
}

fn moves<P: Projection>(from: Option<&P::View>, to: Option<&P::View>) -> Vec<(Counter, i64)> {
    let mut moves = std::collections::HashMap::<Counter, i64>::new();
    for (counter, amount) in from.map(P::contribution).unwrap_or_default() {
        *moves.entry(counter).or_default() -= amount;
    }
    for (counter, amount) in to.map(P::contribution).unwrap_or_default() {
        *moves.entry(counter).or_default() += amount;
    }
    moves.into_iter().filter(|(_, amount)| *amount != 0).collect()
}
