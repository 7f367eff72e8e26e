//! What audits read: single views with all that is derived from them, lists, counters, and which views there are.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use events::{Context, ProductId, StreamId};
use read_model::{
    Slot,
    keys::{self, Change},
    stats::{self, DayField},
};
use redis::{FromRedisValue, RedisError, Value};
use uuid::Uuid;

use super::{RedisStore, RedisStoreError};
use crate::projections::{Counter, IndexName};

/// An entry of a change log: its id, which begins with its milliseconds, and its fields.
type LogEntry = (String, Vec<(String, Vec<u8>)>);

/// What one moment's Redis has of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The view, as it is stored.
    pub stored: Option<Vec<u8>>,
    /// Whether the stream is parked.
    pub is_parked: bool,
    /// For each entry asked for, whether it is there.
    pub entries: Vec<bool>,
    /// For each unique value asked for, whether the stream is its owner.
    pub owned: Vec<bool>,
}

impl RedisStore {
    /// A view, as it is stored.
    pub async fn stored(&self, slot: &Slot, stream: StreamId) -> Result<Option<Vec<u8>>, RedisStoreError> {
        Ok(redis::cmd("GET").arg(slot.view(stream)).query_async(&mut self.connection()).await?)
    }

    /// Some views, as they are stored, in the order of the streams.
    pub async fn stored_many(&self, slot: &Slot, streams: &[StreamId]) -> Result<Vec<Option<Vec<u8>>>, RedisStoreError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = redis::cmd("MGET");
        for stream in streams {
            get.arg(slot.view(*stream));
        }
        Ok(get.query_async(&mut self.connection()).await?)
    }

    /// A view, and whether these entries (ordered by list) and unique values are there, all at one moment.
    pub async fn sight(
        &self,
        slot: &Slot,
        stream: StreamId,
        entries: &[(IndexName, String)],
        owned: &[(&'static str, String)],
    ) -> Result<Sight, RedisStoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("GET").arg(slot.view(stream));
        pipe.cmd("HEXISTS").arg(slot.parked()).arg(stream.simple().to_string());
        for of_list in entries.chunk_by(|left, right| left.0 == right.0) {
            pipe.cmd("ZMSCORE").arg(slot.index(&of_list[0].0.to_string()));
            for (_, member) in of_list {
                pipe.arg(member);
            }
        }
        for (hash, value) in owned {
            pipe.cmd("HGET").arg(slot.owners(hash)).arg(value);
        }
        let replies: Vec<Value> = pipe.query_async(&mut self.connection()).await?;
        let mut replies = replies.into_iter();
        let stored = next::<Option<Vec<u8>>>(&mut replies)?;
        let is_parked = next::<bool>(&mut replies)?;
        let mut found = Vec::with_capacity(entries.len());
        for _ in entries.chunk_by(|left, right| left.0 == right.0) {
            found.extend(next::<Vec<Option<f64>>>(&mut replies)?.into_iter().map(|score| score.is_some()));
        }
        let own = stream.simple().to_string();
        let owns = owned.iter().map(|_| Ok(next::<Option<String>>(&mut replies)?.as_ref() == Some(&own)));
        let owned = owns.collect::<Result<_, RedisError>>()?;
        Ok(Sight { stored, is_parked, entries: found, owned })
    }

    /// When versions of a stream were applied, as far as the change log reaches back.
    pub async fn applied(&self, slot: &Slot, stream: StreamId) -> Result<BTreeMap<u64, DateTime<Utc>>, RedisStoreError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(slot.log()).arg("-").arg("+");
        let entries: Vec<LogEntry> = range.query_async(&mut self.connection()).await?;
        let mut applied = BTreeMap::new();
        for (id, fields) in entries {
            let millis = id.split('-').next().and_then(|millis| millis.parse().ok());
            let Some(at) = millis.and_then(DateTime::from_timestamp_millis) else { continue };
            for (_, json) in fields.iter().filter(|(field, _)| field == "changes") {
                let changes: Vec<Change> = serde_json::from_slice(json).unwrap_or_default();
                for Change(_, version, _) in changes.into_iter().filter(|Change(of, ..)| *of == stream) {
                    // The first time counts: a repair may have written it again.
                    applied.entry(version).or_insert(at);
                }
            }
        }
        Ok(applied)
    }

    /// Goes a step through all keys, and gives the cursor of the next step (0: once around) and the views that it met:
    /// number of the generation, context and stream.
    pub async fn scan_views(&self, cursor: u64) -> Result<(u64, Vec<(u32, Context, StreamId)>), RedisStoreError> {
        let (next, names) = self.scan::<String>(&keys::views_pattern(&self.prefix), cursor).await?;
        Ok((next, names.iter().filter_map(|name| keys::parse_view(&self.prefix, name)).collect()))
    }

    /// The members of a list after one of them, at most `limit`.
    pub async fn members(&self, slot: &Slot, list: &str, after: &str, limit: usize) -> Result<Vec<String>, RedisStoreError> {
        let from = if after.is_empty() { "-".to_owned() } else { format!("({after}") };
        let mut range = redis::cmd("ZRANGE");
        range.arg(slot.index(list)).arg(from).arg("+").arg("BYLEX").arg("LIMIT").arg(0).arg(limit);
        Ok(range.query_async(&mut self.connection()).await?)
    }

    /// Every counter of a slot. A field that is no counter's name is passed over.
    pub async fn all_counters(&self, slot: &Slot) -> Result<HashMap<Counter, i64>, RedisStoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("HGETALL").arg(slot.counters(stats::DAYS));
        pipe.cmd("ZRANGE").arg(slot.counters(stats::PRODUCT_UNITS)).arg(&["0", "-1", "WITHSCORES"]);
        pipe.cmd("HGETALL").arg(slot.counters(stats::PRODUCT_REVENUE));
        type Fields = Vec<(String, i64)>;
        let (days, units, revenue): (Fields, Fields, Fields) = pipe.query_async(&mut self.connection()).await?;
        let mut counters = HashMap::with_capacity(days.len() + units.len() + revenue.len());
        counters.extend(days.iter().filter_map(|(field, value)| Some((Counter::Day(DayField::parse(field)?), *value))));
        counters.extend(units.iter().filter_map(|(field, value)| Some((Counter::ProductUnits(product(field)?), *value))));
        counters.extend(revenue.iter().filter_map(|(field, value)| {
            let (of, currency) = field.split_once('|')?;
            Some((Counter::ProductRevenue(product(of)?, currency.parse().ok()?), *value))
        }));
        Ok(counters)
    }
}

fn next<T: FromRedisValue>(replies: &mut impl Iterator<Item = Value>) -> Result<T, RedisError> {
    Ok(T::from_redis_value(replies.next().unwrap_or(Value::Nil))?)
}

fn product(text: &str) -> Option<ProductId> {
    text.parse::<Uuid>().ok().map(ProductId)
}
