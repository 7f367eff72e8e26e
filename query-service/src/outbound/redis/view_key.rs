//! Which view: the small key that the process uses where Redis has a long text.

use events::{Context, StreamId};
use read_model::Generation;
use uuid::Uuid;

/// A view of a generation. Two generations' views of one stream never share an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ViewKey {
    pub(super) context: Context,
    pub(super) generation: u32,
    pub(super) stream: StreamId,
}

/// A change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LogKey {
    pub(super) context: Context,
    pub(super) generation: u32,
    pub(super) partition: u32,
}

/// What an invalidated Redis key is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invalidated {
    View(ViewKey),
    Log(LogKey),
    Parked,
    Generations,
    Unknown,
}

impl ViewKey {
    pub(super) fn new(context: Context, generation: Generation, stream: StreamId) -> Self {
        Self { context, generation: generation.number, stream }
    }
}

impl Invalidated {
    /// Reads a Redis key back: the inverse of [`read_model::Slot::view`] and its neighbours.
    pub(super) fn parse(prefix: &str, key: &[u8]) -> Self {
        let Some(rest) = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(prefix)) else {
            return Self::Unknown;
        };
        if rest == ":generations" {
            return Self::Generations;
        }
        let Some((tag, name)) = rest.strip_prefix(":{g").and_then(|rest| rest.split_once("}:")) else {
            return Self::Unknown;
        };
        let known = match name {
            "parked" => Some(Self::Parked),
            "log" => Self::log(tag).map(Self::Log),
            view => Self::view(tag, view).map(Self::View),
        };
        known.unwrap_or(Self::Unknown)
    }

    fn log(tag: &str) -> Option<LogKey> {
        let (generation, rest) = tag.split_once(':')?;
        let (context, partition) = rest.split_once(':')?;
        Some(LogKey { context: context.parse().ok()?, generation: generation.parse().ok()?, partition: partition.parse().ok()? })
    }

    fn view(tag: &str, name: &str) -> Option<ViewKey> {
        let (generation, rest) = tag.split_once(':')?;
        let (context, _partition) = rest.split_once(':')?;
        Some(ViewKey {
            context: context.parse().ok()?,
            generation: generation.parse().ok()?,
            stream: Uuid::try_parse(name.strip_prefix("view:")?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use read_model::keys;

    use super::*;

    #[test]
    fn reads_back_every_key_that_is_tracked() {
        let generation = Generation { number: 12, partitions: 5, projection: 1 };
        for context in Context::ALL {
            for id in 0..20 {
                let stream = Uuid::from_u128(id << 60 | id);
                let slot = generation.slot_of("a:{b", context, stream);
                let view = Invalidated::View(ViewKey::new(context, generation, stream));
                assert_eq!(Invalidated::parse("a:{b", slot.view(stream).as_bytes()), view);
                assert_eq!(Invalidated::parse("a:{b", slot.parked().as_bytes()), Invalidated::Parked);
            }
            for (partition, slot) in (0..).zip(generation.slots("a:{b", context)) {
                let log = Invalidated::Log(LogKey { context, generation: 12, partition });
                assert_eq!(Invalidated::parse("a:{b", slot.log().as_bytes()), log);
            }
        }
        assert_eq!(Invalidated::parse("a", keys::generations("a").as_bytes()), Invalidated::Generations);
        for other in ["b:{g1:orders:1}:view:0", "a:{g1:orders:1}:view:0", "a:{gx:orders:1}:parked:", "a", ""] {
            assert_eq!(Invalidated::parse("a", other.as_bytes()), Invalidated::Unknown, "{other}");
        }
    }
}
