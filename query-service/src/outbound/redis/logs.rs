//! The change logs.
//!
//! A log is read from the last entry that was read, that entry included: if it is still there, what follows is all that
//! was written since, and if it is not, the log was trimmed, flushed or restored, and something may be missing. The
//! reads of [`Link::grown_logs`] are made on the tracked connection, so Redis announces the next entry.

use std::{collections::HashMap, str::FromStr};

use ::redis::{Pipeline, aio::MultiplexedConnection};
use events::Context;
use read_model::{Generation, Slot, keys::Change};

use super::{Grown, Link, RedisReadError, view_key::LogKey};

/// One change log: that of a partition in a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Whose views it tells of.
    pub context: Context,
    /// The generation that it belongs to.
    pub generation: Generation,
    /// The partition.
    pub partition: u32,
}

/// Where an entry is in its log. The default is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Redis's time when it was written, in milliseconds since 1970.
    pub millis: u64,
    /// Its number within that millisecond.
    pub seq: u64,
}

/// The changes of one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub id: EntryId,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

/// What comes after a position in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// These entries and nothing else, perhaps with more behind them.
    Follows {
        /// In order.
        entries: Vec<Entry>,
        /// Whether there may be more.
        more: bool,
    },
    /// The position is not in the log (any more): entries may be missing.
    Broken,
}

/// As Redis gives them: id, fields and values in turn.
type Raw = Vec<(String, Vec<Vec<u8>>)>;

impl Log {
    fn key(&self, prefix: &str) -> String {
        Slot::new(prefix, self.generation, self.context, self.partition).log()
    }

    fn bell(&self) -> LogKey {
        LogKey { context: self.context, generation: self.generation.number, partition: self.partition }
    }
}

impl EntryId {
    fn is_before_all(self) -> bool {
        self == Self::default()
    }

    /// The first argument of `XRANGE`.
    fn start(self) -> String {
        if self.is_before_all() { "-".to_owned() } else { format!("{}-{}", self.millis, self.seq) }
    }
}

impl FromStr for EntryId {
    type Err = RedisReadError;

    fn from_str(text: &str) -> Result<Self, RedisReadError> {
        let parsed = text.split_once('-').and_then(|(millis, seq)| Some((millis.parse().ok()?, seq.parse().ok()?)));
        let (millis, seq) = parsed.ok_or_else(|| RedisReadError::Malformed(format!("`{text}` is no entry's id")))?;
        Ok(Self { millis, seq })
    }
}

impl Link {
    /// Resolves when a log that was read by [`Self::grown_logs`] may have grown. For one listener.
    pub async fn logs_rang(&self) {
        self.listeners().logs.rang().await;
    }

    /// The logs that may have grown since this was asked last. Ask before reading them.
    #[must_use]
    pub fn take_grown(&self) -> Grown {
        self.listeners().logs.take()
    }

    /// Says that a log is to be read (again).
    pub fn ring(&self, log: &Log) {
        self.listeners().logs.ring(log.bell());
    }

    /// Says that all logs are to be read again.
    pub fn ring_all(&self) {
        self.listeners().logs.ring_all();
    }

    /// The generations that are read, with every change that was announced until now.
    pub async fn generations(&self) -> Result<Vec<(Context, Generation)>, RedisReadError> {
        let generations = self.session().await?.settled_generations().await?;
        Ok(Context::ALL.into_iter().filter_map(|context| Some((context, generations.of(context).ok()?))).collect())
    }

    /// The last entry of each log.
    pub async fn log_ends(&self, logs: &[Log]) -> Result<Vec<EntryId>, RedisReadError> {
        let mut pipeline = ::redis::pipe();
        for log in logs {
            pipeline.cmd("XREVRANGE").arg(log.key(&self.settings().prefix)).arg("+").arg("-").arg("COUNT").arg(1);
        }
        // Tracked: the next entry is announced.
        let ends: Vec<Raw> = pipeline.query_async(&mut self.session().await?.tracked.clone()).await?;
        ends.iter().map(|last| last.first().map_or(Ok(EntryId::default()), |(id, _)| id.parse())).collect()
    }

    /// Up to `limit` entries after a position, of each log that has grown; from now on its growth is announced.
    pub async fn grown_logs(
        &self,
        grown: &Grown,
        logs: &[(Log, EntryId)],
        limit: usize,
    ) -> Result<Vec<(Log, Tail)>, RedisReadError> {
        let logs: Vec<_> = logs.iter().filter(|(log, _)| grown.has(log.bell())).copied().collect();
        let session = self.session().await?;
        let tails = self.tails(session.tracked.clone(), &logs, limit).await?;
        Ok(logs.into_iter().map(|(log, _)| log).zip(tails).collect())
    }

    /// Up to `limit` entries of one log after a position.
    pub async fn log_after(&self, log: Log, after: EntryId, limit: usize) -> Result<Tail, RedisReadError> {
        let session = self.session().await?;
        let tails = self.tails(session.plain.clone(), &[(log, after)], limit).await?;
        tails.into_iter().next().ok_or_else(|| RedisReadError::Malformed("no reply to one command".to_owned()))
    }

    async fn tails(
        &self,
        mut connection: MultiplexedConnection,
        logs: &[(Log, EntryId)],
        limit: usize,
    ) -> Result<Vec<Tail>, RedisReadError> {
        let mut pipeline = Pipeline::with_capacity(logs.len());
        for (log, after) in logs {
            let range = pipeline.cmd("XRANGE").arg(log.key(&self.settings().prefix)).arg(after.start()).arg("+");
            range.arg("COUNT").arg(limit + 1);
        }
        let replies: Vec<Raw> = pipeline.query_async(&mut connection).await?;
        let mut tails = Vec::with_capacity(logs.len());
        for ((log, after), raw) in logs.iter().zip(replies) {
            let more = raw.len() > limit;
            let mut raw = raw.into_iter();
            let unbroken = if after.is_before_all() {
                raw.len() == 0 || self.is_whole(&mut connection, log).await?
            } else {
                raw.next().map(|(id, _)| id.parse()).transpose()? == Some(*after)
            };
            tails.push(if unbroken {
                Tail::Follows { entries: raw.map(entry).collect::<Result<_, _>>()?, more }
            } else {
                Tail::Broken
            });
        }
        Ok(tails)
    }

    /// Whether a log still has the first of its entries. Asked after they were read.
    async fn is_whole(&self, connection: &mut MultiplexedConnection, log: &Log) -> Result<bool, RedisReadError> {
        let mut info = ::redis::cmd("XINFO");
        info.arg("STREAM").arg(log.key(&self.settings().prefix));
        let info: Result<HashMap<String, ::redis::Value>, _> = info.query_async(connection).await;
        match info {
            Ok(info) => Ok(info.get("length").is_some_and(|length| info.get("entries-added") == Some(length))),
            // It was there, and is not any more.
            Err(error) if error.code() == Some("ERR") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn entry((id, fields): (String, Vec<Vec<u8>>)) -> Result<Entry, RedisReadError> {
    let id: EntryId = id.parse()?;
    let malformed = |problem: &str| RedisReadError::Malformed(format!("entry {id:?} of a change log: {problem}"));
    let changes = fields.chunks_exact(2).find(|pair| pair[0] == b"changes").ok_or_else(|| malformed("no changes"))?;
    let changes = serde_json::from_slice(&changes[1]).map_err(|error| malformed(&error.to_string()))?;
    Ok(Entry { id, changes })
}
