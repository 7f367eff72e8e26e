//! Redis keys.

use events::{Context, StreamId, partition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The hash that says which generation of each context's read models is read: field = context, value = JSON of
/// [`Generation`]; and which others there are, see [`crate::pointers`].
#[must_use]
pub fn generations(prefix: &str) -> String {
    format!("{prefix}:generations")
}

/// One complete set of read-model keys of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Its number, from 1; a rebuild makes the next.
    pub number: u32,
    /// The partition count of the topic that it was built from; a new count is a new generation.
    pub partitions: u32,
    /// The version of the projection that built it.
    pub projection: u32,
}

impl Generation {
    /// The slot that holds a stream's view.
    #[must_use]
    pub fn slot_of(&self, prefix: &str, context: Context, stream: StreamId) -> Slot {
        Slot::new(prefix, *self, context, self.partition_of(stream))
    }

    /// The partition that a stream's events are in.
    #[must_use]
    pub fn partition_of(&self, stream: StreamId) -> u32 {
        let mut buffer = Uuid::encode_buffer();
        let key = stream.hyphenated().encode_lower(&mut buffer);
        partition::partition_of(key.as_bytes(), self.partitions)
    }

    /// Every slot of the generation, by partition.
    pub fn slots(self, prefix: &str, context: Context) -> impl Iterator<Item = Slot> {
        (0..self.partitions).map(move |partition| Slot::new(prefix, self, context, partition))
    }
}

/// Where the state of one (generation, topic, partition) lies. Its keys share a hash tag and so a Redis Cluster slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    base: String,
}

impl Slot {
    /// The slot of a partition.
    #[must_use]
    pub fn new(prefix: &str, generation: Generation, context: Context, partition: u32) -> Self {
        Self { base: format!("{prefix}:{{g{}:{context}:{partition}}}", generation.number) }
    }

    /// The hash with the checkpoint and what fences it: fields `rev` (revision), `offset` (the next offset to read),
    /// `cluster` (the Kafka cluster's id), `events` (events applied), `at` (milliseconds: recording time of the last),
    /// `goal` (the offset from which on the slot is complete; empty once it is), `filling` (see [`crate::Filling`]). A slot
    /// without state or without `goal` is incomplete: what is not there is not known to be missing.
    #[must_use]
    pub fn state(&self) -> String {
        format!("{}:state", self.base)
    }

    /// The string with a view: see [`crate::StoredView`].
    #[must_use]
    pub fn view(&self, stream: StreamId) -> String {
        format!("{}:view:{}", self.base, stream.simple())
    }

    /// A sorted set, all scores 0, ordered by member: see [`crate::index`].
    #[must_use]
    pub fn index(&self, name: &str) -> String {
        format!("{}:ix:{name}", self.base)
    }

    /// A hash from a unique value to the stream that owns it (`users`: canonical e-mail address → user id, simple form).
    #[must_use]
    pub fn owners(&self, name: &str) -> String {
        format!("{}:own:{name}", self.base)
    }

    /// A hash or sorted set of counters: see [`crate::stats`].
    #[must_use]
    pub fn counters(&self, name: &str) -> String {
        format!("{}:stat:{name}", self.base)
    }

    /// The hash of parked streams: stream id (simple form) → JSON of [`Parked`].
    #[must_use]
    pub fn parked(&self) -> String {
        format!("{}:parked", self.base)
    }

    /// The hash of what operators asked for and what the owner of the partition answered: request id → JSON, the
    /// projector's own. Short-lived: whoever asked takes the answer away.
    #[must_use]
    pub fn redrives(&self) -> String {
        format!("{}:redrives", self.base)
    }

    /// What operators did to dead letters, as a ring: a hash with the field `next` (how many there were) and one field
    /// for each of the last ones, JSON of the projector's own.
    #[must_use]
    pub fn operations(&self) -> String {
        format!("{}:operations", self.base)
    }

    /// As long as the slot is filled from the event store: the streams (simple form) whose unique values are still to be
    /// claimed, as a sorted set of scores 0.
    #[must_use]
    pub fn claims(&self) -> String {
        format!("{}:claims", self.base)
    }

    /// How often a process began at the slot's checkpoint and died before it moved: JSON of the projector's own. Absent
    /// when nothing is suspicious.
    #[must_use]
    pub fn starts(&self) -> String {
        format!("{}:starts", self.base)
    }

    /// The hash of streams whose events came in a partition that is not theirs: stream id (simple form) → empty. Who met
    /// them puts them here, and the owner of the slot folds them from the event store; until then the slot is incomplete.
    #[must_use]
    pub fn handed_over(&self) -> String {
        format!("{}:handed-over", self.base)
    }

    /// The capped change log: a Redis stream, one entry a chunk, with the field `changes`: JSON of `Vec<`[`Change`]`>`.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}:log", self.base)
    }
}

/// The pattern (of `SCAN`) of the keys of all views, of whatever generation.
#[must_use]
pub fn views_pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 16);
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + ":{g*}:view:*"
}

/// What a view's key says: the generation's number, context and stream. None when it is no view's key.
#[must_use]
pub fn parse_view(prefix: &str, key: &str) -> Option<(u32, Context, StreamId)> {
    let (slot, stream) = key.strip_prefix(prefix)?.strip_prefix(":{g")?.split_once("}:view:")?;
    let mut parts = slot.split(':');
    let (generation, context) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((generation, context, stream.parse().ok()?))
}

/// What a key of a slot holds, as far as its content belongs to streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'k> {
    /// A stream's view: [`Slot::view`].
    View(StreamId),
    /// The list of this name: [`Slot::index`].
    List(&'k str),
    /// The owners of this name: [`Slot::owners`].
    Owners(&'k str),
}

/// The partition of a slot's key, and what the key holds. None when it is no key of this generation of this context, or
/// of another kind.
#[must_use]
pub fn parse_part<'k>(prefix: &str, context: Context, generation: u32, key: &'k str) -> Option<(u32, Part<'k>)> {
    let (slot, rest) = key.strip_prefix(prefix)?.strip_prefix(":{g")?.split_once("}:")?;
    let mut parts = slot.split(':');
    let (of, named) = (parts.next()?.parse::<u32>().ok()?, parts.next()?);
    let partition = parts.next()?.parse().ok().filter(|_| of == generation && named == context.name())?;
    let (kind, name) = rest.split_once(':')?;
    let part = match kind {
        "view" => Part::View(name.parse().ok()?),
        "ix" => Part::List(name),
        "own" => Part::Owners(name),
        _ => return None,
    };
    Some((partition, part))
}

/// One change in a slot's change log, an event that was applied: stream id, version, type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change(pub StreamId, pub u64, pub String);

/// Why a stream is parked: its view stands still at the version before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The version of the first event that could not be handled.
    pub version: u64,
    /// What went wrong with it, the last time that it was tried.
    pub cause: String,
    /// When it was parked, in milliseconds since 1970.
    pub since: i64,
    /// The version of the last event of the stream that was sent to the dead letters: what comes again is not sent again.
    pub until: u64,
    /// How often the event was tried. Older entries don't say: once.
    #[serde(default = "once")]
    pub attempts: u32,
    /// When it was last tried, in milliseconds since 1970; 0 where an older entry doesn't say.
    #[serde(default)]
    pub last: i64,
    /// The type of the event; empty where it is not known.
    #[serde(default)]
    pub event_type: String,
    /// The same for equal failures: of projection, event type and the cause without ids and numbers. Empty in older entries.
    #[serde(default)]
    pub fingerprint: String,
    /// Set when an operator accepted that the stream stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discarded: Option<Discarded>,
}

/// Who accepted that a stream stays parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// The subject of their token.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Why.
    pub reason: String,
}

impl Parked {
    /// A stream parked for the first time, at `now` (milliseconds since 1970).
    #[must_use]
    pub fn first(version: u64, cause: &str, now: i64) -> Self {
        Self {
            version,
            cause: cause.to_owned(),
            since: now,
            until: version,
            attempts: 1,
            last: now,
            event_type: String::new(),
            fingerprint: String::new(),
            discarded: None,
        }
    }

    /// Whether somebody should look at it: it was not discarded.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.discarded.is_none()
    }
}

const fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION: Generation = Generation { number: 3, partitions: 12, projection: 1 };

    #[test]
    fn all_keys_of_a_slot_share_a_hash_tag() {
        let slot = Slot::new("t", GENERATION, Context::Orders, 7);
        let operator = [slot.redrives(), slot.operations(), slot.starts(), slot.handed_over()];
        let content =
            [slot.state(), slot.view(Uuid::nil()), slot.index("recent"), slot.owners("email"), slot.parked(), slot.log()];
        for key in content.into_iter().chain(operator) {
            assert!(key.starts_with("t:{g3:orders:7}:"), "{key}");
        }
    }

    #[test]
    fn a_view_s_key_says_whose_it_is() {
        let stream = Uuid::from_u128(9);
        let key = GENERATION.slot_of("a:b", Context::Orders, stream).view(stream);
        assert_eq!(parse_view("a:b", &key), Some((3, Context::Orders, stream)));
        for other in ["a:b:generations", "a:b:{g3:orders:7}:state", "c:{g3:orders:7}:view:9"] {
            assert_eq!(parse_view("a:b", other), None, "{other}");
        }
        assert_eq!(views_pattern("a*"), "a\\*:{g*}:view:*");
    }

    #[test]
    fn a_key_says_what_it_holds() {
        let stream = Uuid::from_u128(9);
        let slot = Slot::new("a:b", GENERATION, Context::Orders, 7);
        let parse =
            |key: &str| parse_part("a:b", Context::Orders, 3, key).map(|(partition, part)| format!("{partition} {part:?}"));
        assert_eq!(parse(&slot.view(stream)), Some(format!("7 View({stream})")));
        assert_eq!(parse(&slot.index("status:placed")).as_deref(), Some("7 List(\"status:placed\")"));
        assert_eq!(parse(&slot.owners("email")).as_deref(), Some("7 Owners(\"email\")"));
        for other in [slot.state(), slot.log(), slot.counters("days"), "a:b:generations".to_owned()] {
            assert_eq!(parse(&other), None, "{other}");
        }
        assert_eq!(parse_part("a:b", Context::Users, 3, &slot.view(stream)), None);
        assert_eq!(parse_part("a:b", Context::Orders, 2, &slot.view(stream)), None);
    }

    #[test]
    fn a_stream_has_one_slot() {
        let stream = Uuid::from_u128(7);
        let slot = GENERATION.slot_of("t", Context::Orders, stream);
        let partition = partition::partition_of(stream.to_string().as_bytes(), 12);
        assert_eq!(slot, Slot::new("t", GENERATION, Context::Orders, partition));
    }

    #[test]
    fn reads_what_older_projectors_parked() {
        let old = r#"{"version":3,"cause":"bad","since":77,"until":5}"#;
        let parked: Parked = serde_json::from_str(old).unwrap();
        assert_eq!(parked, Parked { until: 5, last: 0, ..Parked::first(3, "bad", 77) });
        assert!(parked.is_open());
    }
}
