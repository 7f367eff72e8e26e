//! One stream, as the event store has it and as Redis has it.

use std::collections::BTreeSet;

use events::{Context, DomainEvent, StreamId};
use read_model::{Slot, StoredView};
use uuid::Uuid;

use crate::{
    application::chunk::{UnserialisableView, stored},
    outbound::{
        command_service::{CommandService, CommandServiceError},
        redis::{RedisStore, RedisStoreError, Sight},
    },
    projections::{IndexName, KeyRing, Meta, Projection},
};

/// Events of a history that are read at a time.
const PAGE: u64 = 500;

/// Entries that a stream once had and that are looked for: those of its last some hundred events.
const FORMER_ENTRIES: usize = 2_000;

/// A view that changes while it is looked at is looked at again, this many times in all.
const LOOKS: usize = 3;

/// Why a stream could not be examined.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// No history, or no keys.
    #[error("command service: {0}")]
    CommandService(#[from] CommandServiceError),
    /// No view.
    #[error("redis: {0}")]
    Redis(#[from] RedisStoreError),
    /// A view could not be written as JSON.
    #[error(transparent)]
    View(#[from] UnserialisableView),
}

/// How a view differs from the fold of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is none.
    Missing,
    /// Later events are not in it, although nothing is left to be read.
    Behind,
    /// Its content is another at its version.
    Different,
    /// Its version is one that the store does not have.
    Ahead,
    /// The store does not have the stream at all.
    Extra,
    /// The view is right, and lists or owners have it where it does not belong, or not where it does.
    Index,
    /// A list or the owners have something that no view puts there.
    Orphan,
    /// The counters of a slot are not what its views add up to.
    Counters,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Missing, Self::Behind, Self::Different, Self::Ahead, Self::Extra, Self::Index, Self::Orphan, Self::Counters];

    /// Its name in metrics, logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Behind => "behind",
            Self::Different => "different",
            Self::Ahead => "ahead",
            Self::Extra => "extra",
            Self::Index => "index",
            Self::Orphan => "orphan",
            Self::Counters => "counters",
        }
    }
}

/// What an examination found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The view is the fold of its stream.
    Right,
    /// Nothing can be said: the stream is parked, or the view changes all the time, or this build can't read an event.
    Open,
    /// The view is right up to its version (0: there is none), and the store has more: it may be on its way.
    Lacking {
        /// The view's version.
        version: u64,
        /// Lane and `seq` of the first event that it lacks.
        next: (u16, u64),
    },
    /// It is wrong.
    Wrong(Kind),
}

/// A stream's history folded.
pub struct Truth<P: Projection> {
    /// The view at the version asked for, or at the last one there is.
    pub view: Option<P::View>,
    /// Version and type of each event in it.
    pub events: Vec<(u64, &'static str)>,
    /// Lane and `seq` of the first event after it.
    pub next: Option<(u16, u64)>,
    /// The fold ended early: an event that this build can't read or apply.
    pub is_blocked: bool,
    entries: BTreeSet<(IndexName, String)>,
    owned: BTreeSet<(&'static str, String)>,
}

/// Both sides of a stream.
pub struct Examination<P: Projection> {
    /// What the event store says, as of the version that Redis has.
    pub truth: Truth<P>,
    /// What Redis has.
    pub sight: Sight,
    /// The view that Redis has, if it can be read.
    pub found: Option<P::View>,
    /// The entries that were looked for, as in `sight`.
    pub entries: Vec<(IndexName, String)>,
    /// The unique values that were looked for, as in `sight`.
    pub owned: Vec<(&'static str, String)>,
    /// Whether Redis stood still meanwhile.
    is_still: bool,
}

/// Where both sides are.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The event store.
    pub commands: &'a CommandService,
    /// The read models.
    pub store: &'a RedisStore,
    /// The context.
    pub context: Context,
    /// The slot of the stream.
    pub slot: &'a Slot,
}

/// The version that stored bytes name; none when they are no stored view.
fn version_of(stored: &[u8]) -> Option<u64> {
    StoredView::decode(stored).ok().map(|stored| stored.header.version).filter(|version| *version > 0)
}

impl Sides<'_> {
    /// Reads both sides. Redis is read first: the store then has at least what the view has.
    pub async fn examine<P: Projection>(self, stream: StreamId) -> Result<Examination<P>, ExamineError> {
        let mut looks = 1;
        loop {
            let before = self.store.stored(self.slot, stream).await?;
            let until = before.as_ref().map_or(0, |bytes| version_of(bytes).unwrap_or(u64::MAX));
            let truth = self.fold::<P>(stream, until).await?;
            let found = before.as_ref().and_then(|bytes| {
                let stored = StoredView::decode(bytes).ok()?;
                serde_json::from_slice::<P::View>(stored.json).ok()
            });
            let (mut entries, mut owned) = (truth.entries.clone(), truth.owned.clone());
            if let Some(view) = &found {
                // A view that says that it is another's names entries that are not its own.
                let own = P::index_entries(view).into_iter().filter(|entry| entry.id == stream);
                entries.extend(own.map(|entry| (entry.index, entry.member())));
                owned.extend(P::owned(view));
            }
            let (entries, owned): (Vec<_>, Vec<_>) = (entries.into_iter().collect(), owned.into_iter().collect());
            let sight = self.store.sight(self.slot, stream, &entries, &owned).await?;
            let is_still = sight.stored == before;
            if is_still || looks == LOOKS {
                return Ok(Examination { truth, sight, found, entries, owned, is_still });
            }
            looks += 1;
        }
    }

    /// Folds a stream's history up to version `until`.
    pub async fn fold<P: Projection>(self, stream: StreamId, until: u64) -> Result<Truth<P>, ExamineError> {
        let mut truth = Truth::<P>::default();
        let mut keys = KeyRing::default();
        let mut after = 0;
        loop {
            let page = self.commands.page(self.context, stream, after, PAGE).await?.unwrap_or_default();
            let decoded: Vec<_> =
                page.events.iter().map(|event| P::Event::decode(&event.event_type, event.data.get().as_bytes())).collect();
            self.fetch_keys::<P>(&mut keys, decoded.iter().flatten()).await?;
            for (recorded, event) in page.events.iter().zip(decoded) {
                if recorded.version > until {
                    truth.next = Some((recorded.lane, recorded.seq));
                    return Ok(truth);
                }
                let meta = Meta { stream, version: recorded.version, occurred_at: recorded.occurred_at };
                let is_next = recorded.version == after + 1;
                after = recorded.version;
                if !is_next || !event.is_ok_and(|event| truth.apply(&event, &meta, &keys)) {
                    truth.is_blocked = true;
                    return Ok(truth);
                }
            }
            if page.next.is_none() {
                return Ok(truth);
            }
        }
    }

    async fn fetch_keys<'e, P: Projection>(
        self,
        keys: &mut KeyRing,
        events: impl Iterator<Item = &'e P::Event>,
    ) -> Result<(), ExamineError> {
        let mut wanted: Vec<Uuid> = Vec::new();
        for event in events {
            P::key_ids(event, &mut wanted);
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|id| !keys.contains(*id));
        if !wanted.is_empty() {
            for (id, key) in self.commands.personal_keys(&wanted).await? {
                keys.insert(id, key);
            }
        }
        Ok(())
    }
}

impl<P: Projection> Default for Truth<P> {
    fn default() -> Self {
        let (entries, owned) = (BTreeSet::new(), BTreeSet::new());
        Self { view: None, events: Vec::new(), next: None, is_blocked: false, entries, owned }
    }
}

impl<P: Projection> Truth<P> {
    /// The view's version; 0 for none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.view.as_ref().map_or(0, P::version)
    }

    /// The entries that the view has.
    #[must_use]
    pub fn entries(&self) -> Vec<(IndexName, String)> {
        let entries = self.view.as_ref().map(P::index_entries).unwrap_or_default();
        entries.into_iter().map(|entry| (entry.index, entry.member())).collect()
    }

    /// Folds one event, and says whether it fitted.
    pub(crate) fn apply(&mut self, event: &P::Event, meta: &Meta, keys: &KeyRing) -> bool {
        match P::apply(self.view.take(), event, meta, keys) {
            Ok(view) => {
                if self.entries.len() >= FORMER_ENTRIES {
                    self.entries.clear();
                }
                self.entries.extend(P::index_entries(&view).into_iter().map(|entry| (entry.index, entry.member())));
                self.owned.extend(P::owned(&view));
                self.view = Some(view);
                self.events.push((meta.version, event.event_type()));
                true
            }
            Err(refused) => {
                self.view = refused.view;
                false
            }
        }
    }
}

impl<P: Projection> Examination<P> {
    /// What follows from both sides.
    pub fn verdict(&self, stream: StreamId) -> Result<Verdict, ExamineError> {
        let truth = &self.truth;
        if !self.is_still || self.sight.is_parked {
            return Ok(Verdict::Open);
        }
        let Some(bytes) = &self.sight.stored else {
            return Ok(truth.next.map_or(Verdict::Right, |next| Verdict::Lacking { version: 0, next }));
        };
        let version = version_of(bytes);
        if truth.is_blocked && version.is_none_or(|version| version > truth.version()) {
            // Perhaps another build wrote it, which knows more events.
            return Ok(Verdict::Open);
        }
        let Some(view) = &truth.view else { return Ok(Verdict::Wrong(Kind::Extra)) };
        let Some(version) = version else { return Ok(Verdict::Wrong(Kind::Different)) };
        if version > truth.version() {
            return Ok(Verdict::Wrong(Kind::Ahead));
        }
        if stored::<P>(stream, view, false)? != *bytes {
            return Ok(Verdict::Wrong(Kind::Different));
        }
        if !self.is_listed_right() {
            return Ok(Verdict::Wrong(Kind::Index));
        }
        Ok(truth.next.map_or(Verdict::Right, |next| Verdict::Lacking { version, next }))
    }

    /// Whether lists and owners have the view where it belongs, and nowhere else that was looked at.
    fn is_listed_right(&self) -> bool {
        let right = self.truth.entries();
        let mut entries = self.entries.iter().zip(&self.sight.entries);
        // Another stream may own by now what this one has given up in an event that is still to come.
        let owned = if self.truth.next.is_some() { None } else { self.truth.view.as_ref().map(P::owned) };
        let mut owners = self.owned.iter().zip(&self.sight.owned);
        entries.all(|(entry, found)| right.contains(entry) == *found)
            && owned.is_none_or(|owned| owners.all(|(value, found)| (owned.as_ref() == Some(value)) == *found))
    }
}
