//! One chunk of events folded in memory: the views that it touches, and in the end the difference to what was.

use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use events::{DomainEvent, Envelope, StreamId};
use read_model::{Flags, Header, keys::Parked};

use super::{changes::Changes, failure::Failure};
use crate::projections::{Counter, IndexEntry, IndexName, KeyRing, Meta, Projection};

type HashMap<K, V> = std::collections::HashMap<K, V, lru::DefaultHasher>;

/// The streams of a chunk, and what their events have changed so far. Nothing of it is visible before [`Chunk::finish`].
pub struct Chunk<P: Projection> {
    streams: HashMap<StreamId, Working<P::View>>,
    counters: HashMap<Counter, i64>,
    /// Every event that was applied: who follows the log by type would miss one that shares a chunk with its successor.
    log: Vec<(StreamId, u64, &'static str)>,
    applied: u64,
    last_recorded: Option<i64>,
    /// When the applied events were decided.
    decided: Vec<DateTime<Utc>>,
}

struct Working<V> {
    view: Option<V>,
    /// What the view had in lists before the chunk first changed it; none while it has not.
    before: Option<Before>,
    parked: Option<Parked>,
    newly_parked: bool,
    /// Taken out of the dead letters by a redrive, perhaps only to be parked again.
    released: bool,
}

#[derive(Default)]
struct Before {
    entries: Vec<IndexEntry>,
    owned: Option<(&'static str, String)>,
}

/// A view could not be written as JSON: a bug.
#[derive(Debug, thiserror::Error)]
#[error("the view of stream {stream} can't be serialised: {source}")]
pub struct UnserialisableView {
    stream: StreamId,
    source: serde_json::Error,
}

impl<P: Projection> Chunk<P> {
    /// A chunk that will touch about this many streams.
    pub fn with_capacity(streams: usize) -> Self {
        Self {
            streams: HashMap::with_capacity_and_hasher(streams, lru::DefaultHasher::default()),
            counters: HashMap::default(),
            log: Vec::new(),
            applied: 0,
            last_recorded: None,
            decided: Vec::new(),
        }
    }

    /// Whether the stream's state is here.
    pub fn knows(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Brings a stream's state in, as it is in Redis.
    pub fn bring(&mut self, stream: StreamId, view: Option<P::View>, parked: Option<Parked>) {
        if let Entry::Vacant(vacant) = self.streams.entry(stream) {
            vacant.insert(Working { view, before: None, parked, newly_parked: false, released: false });
        }
    }

    /// Sets the view of a stream that was brought in without.
    pub fn set_view(&mut self, stream: StreamId, view: Option<P::View>) {
        if let Some(working) = self.streams.get_mut(&stream) {
            working.view = view;
        }
    }

    /// The version up to which the stream is dealt with: applied, or sent to the dead letters.
    pub fn reached(&self, stream: StreamId) -> u64 {
        self.streams.get(&stream).map_or(0, |working| match &working.parked {
            Some(parked) => parked.until,
            None => working.view.as_ref().map_or(0, P::version),
        })
    }

    /// Why the stream is parked, if it is.
    pub fn parked(&self, stream: StreamId) -> Option<&Parked> {
        self.streams.get(&stream)?.parked.as_ref()
    }

    /// Events applied so far.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// When the events were decided that were applied so far. They are told once.
    pub fn take_decided(&mut self) -> Vec<DateTime<Utc>> {
        std::mem::take(&mut self.decided)
    }

    /// Folds the next event of a stream into its view; an event that does not fit changes nothing, and the cause returns.
    pub fn apply(&mut self, envelope: &Envelope<'_>, event: &P::Event, keys: &KeyRing) -> Result<(), &'static str> {
        let Some(working) = self.streams.get_mut(&envelope.stream_id) else {
            return Err("the stream's state was not brought in");
        };
        let before = working.view.as_ref().filter(|_| working.before.is_none()).map(|view| {
            let before = Before { entries: P::index_entries(view), owned: P::owned(view) };
            (before, P::contribution(view))
        });
        match P::apply(working.view.take(), event, &Meta::from(envelope), keys) {
            Ok(view) => {
                self.log.push((envelope.stream_id, P::version(&view), event.event_type()));
                working.view = Some(view);
            }
            Err(refused) => {
                working.view = refused.view;
                return Err(refused.cause);
            }
        }
        if let Some((before, contribution)) = before {
            working.before = Some(before);
            for (counter, amount) in contribution {
                *self.counters.entry(counter).or_default() -= amount;
            }
        }
        working.before.get_or_insert_default();
        self.applied += 1;
        self.last_recorded = Some(envelope.recorded_at.timestamp_millis());
        self.decided.push(envelope.recorded_at);
        Ok(())
    }

    /// Parks a stream, or moves a parked one on by the event that follows.
    pub fn park(&mut self, stream: StreamId, version: u64, failure: &Failure, now: i64) {
        let Some(working) = self.streams.get_mut(&stream) else { return };
        working.newly_parked = true;
        let parked = working.parked.get_or_insert_with(|| Parked {
            event_type: failure.event_type.clone(),
            fingerprint: failure.fingerprint.clone(),
            attempts: failure.attempts,
            ..Parked::first(version, &failure.cause, now)
        });
        parked.until = parked.until.max(version);
    }

    /// Takes a parked stream out of the dead letters, so that its next event is the one after its view.
    pub fn release(&mut self, stream: StreamId) {
        if let Some(working) = self.streams.get_mut(&stream) {
            working.parked = None;
            working.released = true;
        }
    }

    /// Parks a stream as this says.
    pub fn park_as(&mut self, stream: StreamId, parked: Parked) {
        if let Some(working) = self.streams.get_mut(&stream) {
            working.parked = Some(parked);
            working.newly_parked = true;
        }
    }

    /// The stream's view as it is now.
    pub fn view(&self, stream: StreamId) -> Option<&P::View> {
        self.streams.get(&stream)?.view.as_ref()
    }

    /// What has to be written, and the views to keep in memory once it is.
    pub fn finish(mut self, offset: i64, state: (u64, i64)) -> Result<(Changes, Vec<Kept<P>>), UnserialisableView> {
        let (events, at) = state;
        let at = self.last_recorded.unwrap_or(at);
        let mut changes = Changes { offset, events: events + self.applied, at, log: self.log, ..Changes::default() };
        let mut kept = Vec::with_capacity(self.streams.len());
        for (stream, mut working) in self.streams {
            if let (Some(before), Some(view)) = (working.before.take(), &working.view) {
                for (counter, amount) in P::contribution(view) {
                    *self.counters.entry(counter).or_default() += amount;
                }
                differ::<P>(stream, before, view, &mut changes);
                changes.views.push((stream, stored::<P>(stream, view, working.parked.is_some())?));
            } else if let (true, Some(view)) = (working.newly_parked || working.released, &working.view) {
                changes.views.push((stream, stored::<P>(stream, view, working.parked.is_some())?));
            }
            if working.released && working.parked.is_none() {
                changes.unparked.push(stream);
            }
            if let (true, Some(parked)) = (working.newly_parked, &working.parked) {
                changes.parked.push((stream, parked.clone()));
            }
            kept.push((stream, working.view));
        }
        changes.moves.extend(self.counters.into_iter().filter(|(_, amount)| *amount != 0));
        Ok((changes, kept))
    }
}

/// A stream and its view, to be kept in memory.
pub type Kept<P> = (StreamId, Option<<P as Projection>::View>);

fn differ<P: Projection>(stream: StreamId, before: Before, view: &P::View, changes: &mut Changes) {
    let entries = P::index_entries(view);
    let gone = before.entries.iter().filter(|entry| !entries.contains(entry));
    members(gone, &mut changes.removed);
    let new = entries.iter().filter(|entry| !before.entries.contains(entry));
    members(new, &mut changes.added);
    let owned = P::owned(view);
    if let Some((hash, value)) = before.owned
        && owned.as_ref().is_none_or(|(_, now)| *now != value)
    {
        changes.released.push((hash, value, stream));
    }
    // Claimed again even when unchanged: the streams of a partition come in no order among each other, so another's later
    // claim to the same value may have passed over this one.
    if let Some((hash, value)) = owned {
        changes.claimed.push((hash, value, stream));
    }
}

/// The members of one view's entries: mostly the same in each list, and then made once.
fn members<'e>(entries: impl Iterator<Item = &'e IndexEntry>, members: &mut Vec<(IndexName, String)>) {
    let mut last: Option<&IndexEntry> = None;
    for entry in entries {
        let same = last.filter(|last| last.rank == entry.rank && last.id == entry.id).and_then(|_| members.last());
        let member = same.map_or_else(|| entry.member(), |(_, member)| member.clone());
        members.push((entry.index, member));
        last = Some(entry);
    }
}

/// A view in its stored form.
pub(crate) fn stored<P: Projection>(stream: StreamId, view: &P::View, parked: bool) -> Result<Vec<u8>, UnserialisableView> {
    let flags = if parked { Flags::PARKED } else { Flags::NONE };
    let header = Header { flags, version: P::version(view), owner: P::owner(view) };
    let mut bytes = header.encode(&[]);
    serde_json::to_writer(&mut bytes, view).map_err(|source| UnserialisableView { stream, source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
