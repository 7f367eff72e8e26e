//! What the slots of a generation hold for their streams, walked through piece by piece: views, entries of lists, owners of
//! unique values, counters.

use events::{Context, StreamId};
use read_model::{
    Generation, Slot, StoredView,
    keys::{Part, parse_part},
    stats,
    stored::HEADER_BYTES,
};
use redis::{FromRedisValue, Pipeline, Value};

use super::{RedisStore, RedisStoreError};

/// Members or fields that one step through a list, a hash of owners or a hash of counters looks at.
const STEP: usize = 500;

/// One step through a generation's keys.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Streams with a view.
    pub views: Vec<StreamId>,
    /// Lists: partition and name.
    pub lists: Vec<(u32, String)>,
    /// Hashes of owners: partition and name.
    pub owners: Vec<(u32, String)>,
    /// Where the scan goes on; 0 at its end.
    pub cursor: u64,
}

/// Something that a stream has in a slot beside its view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Held {
    /// A member of a list.
    Entry {
        /// The list.
        list: String,
        /// The member.
        member: String,
    },
    /// A unique value.
    Owned {
        /// The name of the hash that says whose it is.
        hash: String,
        /// The value: it may be personal.
        value: String,
    },
}

/// What lies in one place, and which version of the stream's view lay there just before and just after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// A member's score, or a value's owner; none: it is not there.
    pub value: Option<String>,
    before: Option<u64>,
    after: Option<u64>,
}

impl Seen {
    /// The version that it belongs to; none when the view moved meanwhile. The version is none without a view.
    #[must_use]
    pub fn version(&self) -> Option<Option<u64>> {
        (self.before == self.after).then_some(self.before)
    }
}

/// Some counters of a slot at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Kafka's cluster and the next offset: slots that are at the same have counted the same events.
    pub at: (Option<String>, Option<String>),
    /// The counters' values, in the order asked for.
    pub values: Vec<Option<String>>,
}

impl Held {
    fn ask(&self, pipe: &mut Pipeline, slot: &Slot) {
        match self {
            Self::Entry { list, member } => pipe.cmd("ZSCORE").arg(slot.index(list)).arg(member),
            Self::Owned { hash, value } => pipe.cmd("HGET").arg(slot.owners(hash)).arg(value),
        };
    }
}

impl RedisStore {
    /// Goes a step through the keys of a generation.
    pub async fn scan_parts(&self, context: Context, generation: Generation, cursor: u64) -> Result<Scanned, RedisStoreError> {
        let number = generation.number;
        let (cursor, keys) = self.scan::<String>(&self.pattern(context, number, "*"), cursor).await?;
        let mut scanned = Scanned { cursor, ..Scanned::default() };
        for key in &keys {
            match parse_part(&self.prefix, context, number, key) {
                Some((_, Part::View(stream))) => scanned.views.push(stream),
                Some((partition, Part::List(name))) => scanned.lists.push((partition, name.to_owned())),
                Some((partition, Part::Owners(name))) => scanned.owners.push((partition, name.to_owned())),
                None => {}
            }
        }
        Ok(scanned)
    }

    /// Goes a step through a list, and gives its members and the cursor of the next step; 0 at the end.
    pub async fn scan_list(&self, slot: &Slot, list: &str, cursor: u64) -> Result<(u64, Vec<String>), RedisStoreError> {
        let (next, pairs) = self.scan_pairs("ZSCAN", &slot.index(list), cursor).await?;
        Ok((next, pairs.into_iter().map(|(member, _)| member).collect()))
    }

    /// Goes a step through a hash of owners, and gives values with their owners and the cursor of the next step.
    pub async fn scan_owners(
        &self,
        slot: &Slot,
        hash: &str,
        cursor: u64,
    ) -> Result<(u64, Vec<(String, String)>), RedisStoreError> {
        self.scan_pairs("HSCAN", &slot.owners(hash), cursor).await
    }

    /// Goes a step through the counters of a name, and gives their fields and the cursor of the next step.
    pub async fn scan_counters(&self, slot: &Slot, name: &str, cursor: u64) -> Result<(u64, Vec<String>), RedisStoreError> {
        let scan = if name == stats::PRODUCT_UNITS { "ZSCAN" } else { "HSCAN" };
        let (next, pairs) = self.scan_pairs(scan, &slot.counters(name), cursor).await?;
        Ok((next, pairs.into_iter().map(|(field, _)| field).collect()))
    }

    /// What lies in these places.
    pub async fn held(&self, places: &[(Slot, &Held)]) -> Result<Vec<Option<String>>, RedisStoreError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (slot, held) in places {
            held.ask(&mut pipe, slot);
        }
        Ok(pipe.query_async(&mut self.connection()).await?)
    }

    /// What lies in these places, between two looks at the view of the stream whose it is.
    pub async fn seen(&self, places: &[(Slot, StreamId, &Held)]) -> Result<Vec<Seen>, RedisStoreError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (slot, stream, held) in places {
            let key = slot.view(*stream);
            // A slot may be moved to another node between two commands, but what is asked of one is answered in order.
            pipe.cmd("GETRANGE").arg(&key).arg(0).arg(HEADER_BYTES - 1);
            held.ask(&mut pipe, slot);
            pipe.cmd("GETRANGE").arg(&key).arg(0).arg(HEADER_BYTES - 1);
        }
        let replies: Vec<Value> = pipe.query_async(&mut self.connection()).await?;
        let mut replies = replies.into_iter();
        let mut seen = Vec::with_capacity(places.len());
        while let (Some(before), Some(value), Some(after)) = (replies.next(), replies.next(), replies.next()) {
            seen.push(Seen { value: read(value)?, before: version(before)?, after: version(after)? });
        }
        Ok(seen)
    }

    /// The view of a stream and what lies in a place of its slot, at one moment.
    pub async fn held_beside(
        &self,
        slot: &Slot,
        stream: StreamId,
        held: &Held,
    ) -> Result<(Option<Vec<u8>>, Option<String>), RedisStoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("GET").arg(slot.view(stream));
        held.ask(&mut pipe, slot);
        Ok(pipe.query_async(&mut self.connection()).await?)
    }

    /// Counters of one name at one moment.
    pub async fn snapshot(&self, slot: &Slot, name: &str, fields: &[String]) -> Result<Snapshot, RedisStoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("HMGET").arg(slot.state()).arg(&["cluster", "offset"]);
        let get = if name == stats::PRODUCT_UNITS { "ZMSCORE" } else { "HMGET" };
        pipe.cmd(get).arg(slot.counters(name)).arg(fields);
        let (at, values) = pipe.query_async(&mut self.connection()).await?;
        Ok(Snapshot { at, values })
    }

    async fn scan_pairs(&self, scan: &str, key: &str, cursor: u64) -> Result<(u64, Vec<(String, String)>), RedisStoreError> {
        let mut command = redis::cmd(scan);
        command.arg(key).arg(cursor).arg("COUNT").arg(STEP);
        Ok(command.query_async(&mut self.connection()).await?)
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, RedisStoreError> {
    Ok(T::from_redis_value(value).map_err(redis::RedisError::from)?)
}

fn version(header: Value) -> Result<Option<u64>, RedisStoreError> {
    let header: Vec<u8> = read(header)?;
    Ok(StoredView::decode(&header).ok().map(|view| view.header.version))
}
