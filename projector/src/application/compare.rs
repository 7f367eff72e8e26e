//! Two generations side by side, while both are fed: views, entries of lists, owners of unique values, counters.
//!
//! What the one has is walked through in steps of a scan and looked up in the other, then the other way round, so only a
//! step is in memory at a time. What differs may only mean that one of them is a little behind. So it is looked at again,
//! until both are at the same version of the stream (views, entries, owners) or the same offset of the log (counters) and
//! differ all the same, or are equal. What is neither once each has got to where the other was has a rule in each part.

mod counters;
mod held;
mod views;
mod wait;

use std::{collections::BTreeMap, sync::Arc};

use events::{Context, StreamId};
use read_model::{Generation, Slot};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::outbound::redis::{RedisStore, RedisStoreError};

/// Differences of each part that are shown.
const SAMPLES: usize = 5;

/// Why it could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Redis has no answer.
    #[error("redis: {0}")]
    Redis(#[from] RedisStoreError),
    /// What was compared is not what is read and what is built any more.
    #[error("the generations were moved while they were compared")]
    Moved,
    /// Nobody listens any more.
    #[error("the caller is gone")]
    Gone,
}

/// Whose content is walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// That of the live generation.
    Live,
    /// That of the new one.
    New,
}

/// What is told while it goes on, and in the end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// How far it is.
    Progress(Progress),
    /// It is done.
    Report(Box<Comparison>),
    /// It could not be finished.
    Error(String),
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Progress {
    side: Side,
    /// Views of the live generation.
    views: u64,
    /// Entries of its lists.
    lists: u64,
}

/// How two generations differ.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The context.
    pub context: Context,
    /// The number of the live generation.
    pub live: u32,
    /// The number of the new one.
    pub new: u32,
    /// Views.
    pub views: Differences<ViewSample>,
    /// Entries of lists.
    pub lists: Differences<HeldSample>,
    /// Unique values and whose they are.
    pub owners: Differences<HeldSample>,
    /// Counters of each partition; none is compared between generations of different partition counts.
    pub counters: Differences<CounterSample>,
}

/// How two generations differ in one kind of content.
#[derive(Debug, Serialize)]
pub struct Differences<S> {
    /// What the live one has of it.
    pub compared: u64,
    /// Of that: not the same in the new one.
    pub different: u64,
    /// Of that: not there in the new one.
    pub missing: u64,
    /// What only the new one has.
    pub extra: u64,
    /// What moved all the time, so that nothing can be said.
    pub undecided: u64,
    /// Some of what is different, missing or extra.
    pub samples: Vec<S>,
}

/// A view that differs.
#[derive(Debug, Serialize)]
pub struct ViewSample {
    /// The stream.
    pub stream: StreamId,
    /// The version of the live view; none when there is no such view.
    pub live: Option<u64>,
    /// The version of the new one.
    pub new: Option<u64>,
    /// The fields that differ: `[live, new]`; null for users, whose data is theirs.
    pub fields: BTreeMap<String, Value>,
}

/// An entry, or the owner of a unique value, that differs. The value is not shown: it may be personal.
#[derive(Debug, Serialize)]
pub struct HeldSample {
    /// The name of the list, or of the hash of owners.
    pub name: String,
    /// The partition.
    pub partition: u32,
    /// The stream whose it is on the side where it was met; none when what lies there names none.
    pub stream: Option<StreamId>,
    /// An entry's score, or a value's owner, in the live generation; none when it is not there.
    pub live: Option<String>,
    /// The same in the new one.
    pub new: Option<String>,
}

/// A counter that differs.
#[derive(Debug, Serialize)]
pub struct CounterSample {
    /// The name of the hash or sorted set.
    pub name: &'static str,
    /// The partition.
    pub partition: u32,
    /// The field or member.
    pub field: String,
    /// The live value.
    pub live: String,
    /// The new one.
    pub new: String,
}

impl<S> Default for Differences<S> {
    fn default() -> Self {
        Self { compared: 0, different: 0, missing: 0, extra: 0, undecided: 0, samples: Vec::new() }
    }
}

impl<S> Differences<S> {
    /// Counts what differs, once: when the live side is walked through, or when only the new one has it.
    fn count(&mut self, side: Side, is_in: (bool, bool), sample: impl FnOnce() -> S) {
        match (side, is_in) {
            (Side::Live, (true, true)) => self.different += 1,
            (Side::Live, _) => self.missing += 1,
            (Side::New, (false, _)) => self.extra += 1,
            (Side::New, (true, _)) => return,
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(sample());
        }
    }
}

/// Compares two generations of a context.
pub struct Comparing {
    store: Arc<RedisStore>,
    context: Context,
    live: Generation,
    new: Generation,
}

impl Comparing {
    /// Of what is read with what is built.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, context: Context, live: Generation, new: Generation) -> Self {
        Self { store, context, live, new }
    }

    /// Compares them. The last message says how it ended.
    pub async fn run(self, told: mpsc::Sender<Message>) {
        let last = match self.compare(&told).await {
            Ok(report) => Message::Report(Box::new(report)),
            Err(error) => Message::Error(error.to_string()),
        };
        // Whoever asked may be gone.
        let _ = told.send(last).await;
    }

    async fn compare(&self, told: &mpsc::Sender<Message>) -> Result<Comparison, CompareError> {
        let mut report = Comparison {
            context: self.context,
            live: self.live.number,
            new: self.new.number,
            views: Differences::default(),
            lists: Differences::default(),
            owners: Differences::default(),
            counters: Differences::default(),
        };
        for side in [Side::Live, Side::New] {
            self.walk(side, &mut report, told).await?;
            self.counters(side, &mut report.counters).await?;
        }
        let pointers = self.store.pointers().await?.remove(&self.context).unwrap_or_default();
        let building = pointers.building.map(|building| building.generation);
        if (pointers.live, building) != (Some(self.live), Some(self.new)) {
            return Err(CompareError::Moved);
        }
        Ok(report)
    }

    async fn walk(&self, side: Side, report: &mut Comparison, told: &mpsc::Sender<Message>) -> Result<(), CompareError> {
        let mut cursor = 0;
        loop {
            let scanned = self.store.scan_parts(self.context, self.generation(side), cursor).await?;
            self.views(side, scanned.views, &mut report.views).await?;
            for (partition, list) in scanned.lists {
                self.list(side, partition, &list, &mut report.lists).await?;
            }
            for (partition, hash) in scanned.owners {
                self.owners(side, partition, &hash, &mut report.owners).await?;
            }
            let progress = Progress { side, views: report.views.compared, lists: report.lists.compared };
            told.send(Message::Progress(progress)).await.map_err(|_| CompareError::Gone)?;
            cursor = scanned.cursor;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    fn generation(&self, side: Side) -> Generation {
        match side {
            Side::Live => self.live,
            Side::New => self.new,
        }
    }

    fn slot(&self, side: Side, partition: u32) -> Slot {
        Slot::new(self.store.prefix(), self.generation(side), self.context, partition)
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
