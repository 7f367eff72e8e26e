//! How far a stream of changes has come: a position in each change log, and its text.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use events::Context;
use read_model::Generation;
use serde::{Deserialize, Serialize};

use crate::{
    application::QueryError,
    outbound::redis::{EntryId, Log},
};

/// The first byte of a position's text, before base64: kinds of ids are not mistaken for each other, nor formats.
const KIND: u8 = 1;

/// Longer texts are refused unread; a thousand partitions fit.
const MAX_TEXT: usize = 32_768;

/// A position in the change logs of each context that is followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    followed: BTreeMap<Context, Followed>,
    /// In one log the next entry was told in part.
    within: Option<Within>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Followed {
    generation: u32,
    /// The last entry told completely, by partition.
    told: Vec<EntryId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Within {
    context: Context,
    partition: u32,
    /// How many changes of the entry were told.
    changes: u32,
}

/// The binary form: numbers are as short as they can be, and times count back from the latest.
#[derive(Serialize, Deserialize)]
struct Wire {
    kind: u8,
    latest: u64,
    /// Context, generation, and the last entry of each partition.
    followed: Vec<(Context, u32, Vec<Back>)>,
    within: Option<Within>,
}

/// An entry's id: 0 for none, or 1 and the milliseconds before the latest; then its number within its millisecond.
type Back = (u64, u64);

impl Positions {
    /// The text that clients get.
    #[must_use]
    pub fn encode(&self) -> String {
        let latest = self.followed.values().flat_map(|followed| &followed.told).map(|id| id.millis).max().unwrap_or(0);
        let back = |id: &EntryId| match *id == EntryId::default() {
            true => (0, 0),
            // No sum of these goes past the end for a position that was decoded, nor for any that Redis' clock gives.
            false => ((latest - id.millis).saturating_add(1), id.seq),
        };
        let wire = |(context, followed): (&Context, &Followed)| {
            (*context, followed.generation, followed.told.iter().map(back).collect())
        };
        let followed = self.followed.iter().map(wire).collect();
        let wire = Wire { kind: KIND, latest, followed, within: self.within };
        // It can't fail: the buffer grows, and every type is one that the format knows.
        URL_SAFE_NO_PAD.encode(postcard::to_allocvec(&wire).unwrap_or_default())
    }

    /// Reads what a client sent.
    pub fn decode(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_TEXT {
            return Err(QueryError::BadEventId);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| QueryError::BadEventId)?;
        let Ok((Wire { kind: KIND, latest, followed, within }, [])) = postcard::take_from_bytes(&bytes) else {
            return Err(QueryError::BadEventId);
        };
        let id = |(back, seq): Back| match back {
            0 => Some(EntryId::default()),
            back => Some(EntryId { millis: latest.checked_sub(back - 1)?, seq }),
        };
        let followed = followed.into_iter().map(|(context, generation, told)| {
            let told = told.into_iter().map(id).collect::<Option<_>>()?;
            Some((context, Followed { generation, told }))
        });
        let followed = followed.collect::<Option<_>>().ok_or(QueryError::BadEventId)?;
        Ok(Self { followed, within })
    }

    /// Begins a context's logs at these entries.
    pub fn begin(&mut self, context: Context, generation: Generation, told: Vec<EntryId>) {
        self.within = self.within.filter(|within| within.context != context);
        self.followed.insert(context, Followed { generation: generation.number, told });
    }

    /// Takes over a context's positions, or that there are none.
    pub fn begin_like(&mut self, context: Context, other: &Self) {
        self.within = self.within.filter(|within| within.context != context);
        match other.followed.get(&context) {
            Some(followed) => self.followed.insert(context, followed.clone()),
            None => self.followed.remove(&context),
        };
    }

    /// Follows a context no more; whether it was followed.
    pub fn end(&mut self, context: Context) -> bool {
        self.within = self.within.filter(|within| within.context != context);
        self.followed.remove(&context).is_some()
    }

    /// Whether a context is followed in this generation; none when it is not followed at all.
    #[must_use]
    pub fn follows(&self, context: Context, generation: Generation) -> Option<bool> {
        let followed = self.followed.get(&context)?;
        Some(followed.generation == generation.number && u32::try_from(followed.told.len()) == Ok(generation.partitions))
    }

    /// The log that has an entry told in part.
    #[must_use]
    pub fn unfinished(&self) -> Option<(Context, u32)> {
        self.within.map(|within| (within.context, within.partition))
    }

    /// The last entry of a log that was told completely, and how many changes of the next were told.
    #[must_use]
    pub fn of(&self, log: &Log) -> (EntryId, u32) {
        let told = self.followed.get(&log.context).and_then(|followed| followed.told.get(index(log.partition)));
        let here = |within: &Within| within.context == log.context && within.partition == log.partition;
        (told.copied().unwrap_or_default(), self.within.filter(here).map_or(0, |within| within.changes))
    }

    /// Tells the next change of a log's entry: the `number`th (from 1) of `changes`.
    pub fn tell(&mut self, log: &Log, entry: EntryId, number: u32, changes: usize) {
        if usize::try_from(number).is_ok_and(|number| number >= changes) {
            self.set(log, entry);
        } else {
            self.within = Some(Within { context: log.context, partition: log.partition, changes: number });
        }
    }

    /// Puts one log's position.
    pub fn set(&mut self, log: &Log, entry: EntryId) {
        self.within = self.within.filter(|within| within.context != log.context || within.partition != log.partition);
        if let Some(told) = self.followed.get_mut(&log.context).and_then(|followed| followed.told.get_mut(index(log.partition))) {
            *told = entry;
        }
    }
}

fn index(partition: u32) -> usize {
    usize::try_from(partition).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: Generation = Generation { number: 7, partitions: 3, projection: 1 };

    fn log(partition: u32) -> Log {
        Log { context: Context::Orders, generation: ORDERS, partition }
    }

    fn sample() -> Positions {
        let mut positions = Positions::default();
        let id = |millis, seq| EntryId { millis, seq };
        positions.begin(Context::Orders, ORDERS, vec![id(1_700_000_000_123, 0), id(0, 0), id(1_699_999_999_000, 4)]);
        positions.begin(Context::Users, Generation { number: 1, partitions: 1, projection: 1 }, vec![id(5, u64::MAX)]);
        positions
    }

    #[test]
    fn round_trips_as_plain_text() {
        let mut positions = sample();
        for _ in 0..2 {
            let text = positions.encode();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{text}");
            assert_eq!(Positions::decode(&text).unwrap(), positions);
            positions.tell(&log(1), EntryId { millis: 9, seq: 9 }, 2, 5);
        }
        assert_eq!(positions.of(&log(1)), (EntryId::default(), 2));
        assert_eq!(positions.unfinished(), Some((Context::Orders, 1)));
        positions.tell(&log(1), EntryId { millis: 9, seq: 9 }, 5, 5);
        assert_eq!(positions.of(&log(1)), (EntryId { millis: 9, seq: 9 }, 0));
        assert_eq!(positions.unfinished(), None);
    }

    #[test]
    fn is_short_enough_to_stand_on_every_event() {
        let mut positions = Positions::default();
        for context in Context::ALL {
            let told = (0..12).map(|partition| EntryId { millis: 1_700_000_000_000 + partition * 977, seq: 0 }).collect();
            positions.begin(context, Generation { number: 3, partitions: 12, projection: 1 }, told);
        }
        let length = positions.encode().len();
        assert!(length < 230, "{length} characters");
    }

    #[test]
    fn tells_generations_apart() {
        let positions = sample();
        assert_eq!(positions.follows(Context::Orders, ORDERS), Some(true));
        assert_eq!(positions.follows(Context::Orders, Generation { number: 8, ..ORDERS }), Some(false));
        assert_eq!(positions.follows(Context::Orders, Generation { partitions: 4, ..ORDERS }), Some(false));
        assert_eq!(positions.follows(Context::Products, ORDERS), None);
    }

    #[test]
    fn times_at_the_end_of_the_scale_are_taken() {
        let mut positions = Positions::default();
        let told = vec![EntryId { millis: u64::MAX, seq: u64::MAX }, EntryId { millis: 1, seq: 0 }];
        positions.begin(Context::Orders, Generation { number: u32::MAX, partitions: 2, projection: 1 }, told);
        assert_eq!(Positions::decode(&positions.encode()).unwrap(), positions);
    }

    #[test]
    fn refuses_what_it_did_not_make() {
        let good = sample().encode();
        let other_kind = URL_SAFE_NO_PAD.encode([2, 1, 1]);
        let longer = URL_SAFE_NO_PAD.encode([URL_SAFE_NO_PAD.decode(&good).unwrap(), vec![0]].concat());
        for text in ["", "AAAA", "not base64!", &good[..good.len() - 2], &other_kind, &longer, &"A".repeat(MAX_TEXT + 4)] {
            assert!(matches!(Positions::decode(text), Err(QueryError::BadEventId)), "{text}");
        }
    }
}
