//! What clients were told: the truth that the servers have to agree with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::context::Context;

/// An event that an accepted command stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The versioned type name.
    pub event_type: &'static str,
    /// What its data must contain.
    pub data: Value,
    /// Personal data, which the event has only in encrypted form: field and text.
    pub personal: BTreeMap<&'static str, String>,
}

/// An accepted command.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where.
    pub context: Context,
    /// The stream.
    pub id: Uuid,
    /// The version that the answer named: that of the last of `facts`.
    pub version: u64,
    /// The lane that the answer named.
    pub lane: u16,
    /// The seq that the answer named.
    pub seq: u64,
    /// The events, in order.
    pub facts: Vec<Fact>,
    /// When it was sent for the first time, on the ledger's own clock.
    pub sent: u64,
    /// When its answer had arrived, on the same clock.
    pub answered: u64,
    /// The same by the clock that all logs have.
    pub at: DateTime<Utc>,
}

impl Entry {
    /// The events with their versions.
    pub fn versions(&self) -> impl Iterator<Item = (u64, &Fact)> {
        let first = self.version + 1 - self.facts.len() as u64;
        (first..).zip(&self.facts)
    }
}

/// What was sent and what was answered. Cheap to write to from many clients.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    clock: u64,
    entries: Vec<Entry>,
    by_key: HashMap<String, usize>,
    doubtful: HashMap<(Context, Uuid), u64>,
    contradictions: Vec<String>,
    refused: HashMap<u16, u64>,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment on the ledger's clock: each is later than all before.
    pub fn tick(&self) -> u64 {
        let mut books = self.books();
        books.clock += 1;
        books.clock
    }

    /// Notes an accepted command. The same key again must have got the same answer.
    pub fn accepted(&self, mut entry: Entry, key: Option<&str>) {
        let mut books = self.books();
        books.clock += 1;
        entry.answered = books.clock;
        let place = books.entries.len();
        let known = key.map(|key| *books.by_key.entry(key.to_owned()).or_insert(place)).filter(|known| *known != place);
        let Some(known) = known else { return books.entries.push(entry) };
        let first = &books.entries[known];
        if (first.id, first.version, first.lane, first.seq) != (entry.id, entry.version, entry.lane, entry.seq) {
            let contradiction = format!("the key {key:?} was answered twice and differently: {first:?} and {entry:?}");
            books.contradictions.push(contradiction);
        }
    }

    /// Notes a refused command.
    pub fn refused(&self, status: u16) {
        *self.books().refused.entry(status).or_default() += 1;
    }

    /// Notes a command without a key of which nobody knows whether it was accepted: up to `events` may be found.
    pub fn doubtful(&self, context: Context, id: Uuid, events: usize) {
        *self.books().doubtful.entry((context, id)).or_default() += events as u64;
    }

    /// All that was accepted.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.books().entries.clone()
    }

    /// How many events of a stream may be there that nobody was told of.
    #[must_use]
    pub fn doubts(&self) -> HashMap<(Context, Uuid), u64> {
        self.books().doubtful.clone()
    }

    /// Answers that contradict each other.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        self.books().contradictions.clone()
    }

    /// How many commands were accepted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.books().entries.len()
    }

    /// How many commands were refused, by status.
    #[must_use]
    pub fn refusals(&self) -> HashMap<u16, u64> {
        self.books().refused.clone()
    }
}
