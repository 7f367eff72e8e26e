//! Pages of index members, merged over the partitions, and the views that they name.

use ::redis::{FromRedisValue, Pipeline};
use events::{Context, StreamId};
use read_model::{Generation, Slot};

use super::{Link, RedisReadError, View};

/// Bytes of an index member.
pub type Member = Vec<u8>;

/// Which way a list runs through its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the least member on.
    Ascending,
    /// From the greatest member on.
    Descending,
}

/// One end of a range of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// No bound.
    Open,
    /// This member is in.
    Included(Member),
    /// This member is out.
    Excluded(Member),
}

impl Bound {
    /// As `ZRANGE … BYLEX` wants it; `open` is `-` or `+`.
    fn argument(&self, open: &[u8]) -> Vec<u8> {
        match self {
            Self::Open => open.to_vec(),
            Self::Included(member) => [b"[", &member[..]].concat(),
            Self::Excluded(member) => [b"(", &member[..]].concat(),
        }
    }
}

/// A part of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The lesser end.
    pub min: Bound,
    /// The greater end.
    pub max: Bound,
    /// Where the list begins.
    pub direction: Direction,
}

/// The indexes of one generation of a context, as it was resolved for one request.
pub struct Members<'a> {
    link: &'a Link,
    context: Context,
    generation: Generation,
}

impl Link {
    /// The indexes of the generation that is read now; fails when `expected` names another.
    pub async fn members(&self, context: Context, expected: Option<u32>) -> Result<Members<'_>, RedisReadError> {
        let generation = self.session().await?.generations()?.of(context)?;
        match expected {
            Some(number) if number != generation.number => Err(RedisReadError::GenerationGone(number)),
            _ => Ok(Members { link: self, context, generation }),
        }
    }

    /// Runs a pipeline on the connection that is not tracked.
    pub(super) async fn run<T: ::redis::FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, RedisReadError> {
        let session = self.session().await?;
        Ok(pipeline.query_async(&mut session.plain.clone()).await?)
    }
}

impl Members<'_> {
    /// The generation's number.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation.number
    }

    fn slots(&self) -> Vec<Slot> {
        self.generation.slots(&self.link.settings().prefix, self.context).collect()
    }

    /// Fails unless all of the context is there.
    async fn whole<T: FromRedisValue>(&self, slots: &[Slot], commands: impl FnOnce(&mut Pipeline)) -> Result<T, RedisReadError> {
        self.link.run_whole(self.context, slots, commands).await
    }

    fn slot_of(&self, stream: StreamId) -> Slot {
        self.generation.slot_of(&self.link.settings().prefix, self.context, stream)
    }

    /// The first `count` members of the index over all partitions.
    pub async fn range(&self, index: &str, range: &Range, count: usize) -> Result<Vec<Member>, RedisReadError> {
        let (min, max) = (range.min.argument(b"-"), range.max.argument(b"+"));
        let slots = self.slots();
        let partitions: Vec<Vec<Member>> = self
            .whole(&slots, |pipeline| {
                for slot in &slots {
                    let command = pipeline.cmd("ZRANGE").arg(slot.index(index));
                    match range.direction {
                        Direction::Ascending => command.arg(&min).arg(&max).arg("BYLEX"),
                        Direction::Descending => command.arg(&max).arg(&min).arg("BYLEX").arg("REV"),
                    };
                    // Any partition may hold all of the page.
                    command.arg("LIMIT").arg(0).arg(count);
                }
            })
            .await?;
        let mut members = partitions.concat();
        // A stable sort finds the sorted runs of the partitions and merges them.
        members.sort();
        if range.direction == Direction::Descending {
            members.reverse();
        }
        members.truncate(count);
        Ok(members)
    }

    /// How many members each of the indexes has.
    pub async fn sizes<const N: usize>(&self, indexes: [&str; N]) -> Result<[u64; N], RedisReadError> {
        let slots = self.slots();
        let counts: Vec<u64> = self
            .whole(&slots, |pipeline| {
                for index in slots.iter().flat_map(|slot| indexes.map(|index| slot.index(index))) {
                    pipeline.cmd("ZCARD").arg(index);
                }
            })
            .await?;
        let (per_slot, _) = counts.as_chunks::<N>();
        Ok(std::array::from_fn(|index| per_slot.iter().map(|counts| counts[index]).sum()))
    }

    /// For each of `members`, given with the stream that it names: whether the index has it too.
    pub async fn contains(&self, index: &str, members: &[(Member, StreamId)]) -> Result<Vec<bool>, RedisReadError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let scores: Vec<Option<f64>> = self
            .whole(&self.slots(), |pipeline| {
                for (member, stream) in members {
                    pipeline.cmd("ZSCORE").arg(self.slot_of(*stream).index(index)).arg(member);
                }
            })
            .await?;
        Ok(scores.iter().map(Option::is_some).collect())
    }

    /// The views of these streams, in that order, without those that there are none of.
    pub async fn views(&self, streams: &[StreamId]) -> Result<Vec<View>, RedisReadError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = ::redis::pipe();
        for stream in streams {
            pipeline.cmd("GET").arg(self.slot_of(*stream).view(*stream));
        }
        let stored: Vec<Option<Vec<u8>>> = self.link.run(&pipeline).await?;
        if stored.iter().any(Option::is_none) {
            // Views are not deleted one by one: perhaps all of them were, after the members were read.
            self.whole::<Vec<()>>(&self.slots(), |_| ()).await?;
        }
        stored.into_iter().flatten().map(View::decode).collect()
    }

    /// The streams that own a unique value.
    pub async fn owners(&self, kind: &str, value: &str) -> Result<Vec<StreamId>, RedisReadError> {
        let slots = self.slots();
        let owners: Vec<Option<String>> = self
            .whole(&slots, |pipeline| {
                for slot in &slots {
                    pipeline.cmd("HGET").arg(slot.owners(kind)).arg(value);
                }
            })
            .await?;
        let parse = |owner: &String| {
            StreamId::try_parse(owner).map_err(|error| RedisReadError::Malformed(format!("owner of a {kind}: {error}")))
        };
        owners.iter().flatten().map(parse).collect()
    }
}
