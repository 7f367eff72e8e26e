//! The generations of the read models in Redis: their pointers, how far they are, their views side by side, their end.

use std::collections::{BTreeMap, HashMap};

use events::{Context, StreamId};
use read_model::{Filling, Generation, Pointers, Slot, keys};
use redis::FromRedisValue;

use super::{Goal, RedisStore, RedisStoreError, malformed};

/// Compares and sets pointers.
const MOVE: &str = include_str!("generations.lua");

/// Keys that Redis looks at in one step of a scan: about a millisecond of its time.
const SCAN: usize = 1_000;

/// How far a slot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read.
    pub offset: i64,
    /// Log positions that are as good as read: the offset, and while the slot is filled from the event store its share.
    pub done: i64,
    /// Whether it has everything.
    pub goal: Goal,
    /// The Kafka cluster that the offset belongs to.
    pub cluster: String,
}

impl RedisStore {
    /// The generations of every context.
    pub async fn pointers(&self) -> Result<HashMap<Context, Pointers>, RedisStoreError> {
        let key = keys::generations(&self.prefix);
        let fields: BTreeMap<String, String> = redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection()).await?;
        let malformed = malformed(key);
        let parse = |context: Context| {
            let fields = fields.iter().map(|(field, value)| (field.as_str(), value.as_str()));
            Ok((context, Pointers::parse(context, fields).map_err(&malformed)?))
        };
        Context::ALL.into_iter().map(parse).collect()
    }

    /// Moves a context's pointers from one state to another; false when they are not in the first one any more.
    pub async fn move_pointers(&self, context: Context, from: &Pointers, to: &Pointers) -> Result<bool, RedisStoreError> {
        let key = keys::generations(&self.prefix);
        let malformed = malformed(key.clone());
        let (before, after) = (from.fields(context).map_err(&malformed)?, to.fields(context).map_err(&malformed)?);
        let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
        fields.sort_unstable();
        fields.dedup();
        let mut call = redis::cmd("EVAL");
        call.arg(MOVE).arg(1).arg(&key).arg(fields.len());
        for state in [&before, &after] {
            for field in &fields {
                call.arg(*field).arg(state.get(*field).map_or("", String::as_str));
            }
        }
        let moved: i64 = call.query_async(&mut self.connection()).await?;
        Ok(moved == 1)
    }

    /// How far each slot of a generation is; none for an empty one.
    pub async fn positions(&self, context: Context, generation: Generation) -> Result<Vec<Option<Position>>, RedisStoreError> {
        let mut pipe = redis::pipe();
        for slot in generation.slots(&self.prefix, context) {
            pipe.cmd("HMGET").arg(slot.state()).arg(&["offset", "goal", "cluster", "filling"]);
        }
        // After them: what a slot is complete without was passed on before.
        for slot in generation.slots(&self.prefix, context) {
            pipe.cmd("EXISTS").arg(slot.handed_over());
        }
        type Fields = (Option<i64>, Option<String>, Option<String>, Option<String>);
        let replies: Vec<redis::Value> = pipe.query_async(&mut self.connection()).await?;
        let (fields, handed_over) = replies.split_at(replies.len() / 2);
        let fields: Vec<Fields> = parsed(fields)?;
        let handed_over: Vec<bool> = parsed(handed_over)?;
        let position = |((offset, goal, cluster, filling), handed_over): (Fields, bool)| {
            let goal = match goal.as_deref() {
                _ if handed_over => Goal::Unsaid,
                None => Goal::Unsaid,
                Some("") => Goal::Reached,
                Some(goal) => goal.parse().map_or(Goal::Unsaid, Goal::At),
            };
            let offset = offset?;
            let filling = filling.and_then(|json| serde_json::from_str::<Filling>(&json).ok());
            let share = |filling: Filling| filling.share_of(filling.offset.try_into().unwrap_or(0)).try_into().unwrap_or(offset);
            Some(Position { offset, done: filling.map_or(offset, share).max(offset), goal, cluster: cluster? })
        };
        Ok(fields.into_iter().zip(handed_over).map(position).collect())
    }

    /// Passes streams on to the slots where their views belong.
    pub async fn hand_over(&self, context: Context, generation: Generation, streams: &[StreamId]) -> Result<(), RedisStoreError> {
        let mut pipe = redis::pipe();
        for stream in streams {
            let slot = generation.slot_of(&self.prefix, context, *stream);
            pipe.cmd("HSET").arg(slot.handed_over()).arg(stream.simple().to_string()).arg("").ignore();
        }
        Ok(pipe.query_async(&mut self.connection()).await?)
    }

    /// Some of the streams that were passed on to a slot.
    pub async fn handed_over(&self, slot: &Slot, most: usize) -> Result<Vec<StreamId>, RedisStoreError> {
        let mut some = redis::cmd("HRANDFIELD");
        let fields: Vec<String> = some.arg(slot.handed_over()).arg(most).query_async(&mut self.connection()).await?;
        Ok(fields.iter().filter_map(|stream| stream.parse().ok()).collect())
    }

    /// The stored views of some streams in a generation, in their order.
    pub async fn stored_views(
        &self,
        context: Context,
        generation: Generation,
        streams: &[StreamId],
    ) -> Result<Vec<Option<Vec<u8>>>, RedisStoreError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        // One by one: they are in several slots.
        let mut pipe = redis::pipe();
        for stream in streams {
            pipe.cmd("GET").arg(generation.slot_of(&self.prefix, context, *stream).view(*stream));
        }
        Ok(pipe.query_async(&mut self.connection()).await?)
    }

    /// Deletes some of what a generation has; the cursor where it goes on, 0 at the end, and how many keys there were.
    pub async fn delete_some(&self, context: Context, generation: u32, cursor: u64) -> Result<(u64, usize), RedisStoreError> {
        let (cursor, found) = self.scan::<Vec<u8>>(&self.pattern(context, generation, "*"), cursor).await?;
        if !found.is_empty() {
            let mut pipe = redis::pipe();
            for key in &found {
                // Redis frees the memory in the background.
                pipe.cmd("UNLINK").arg(key).ignore();
            }
            pipe.exec_async(&mut self.connection()).await?;
        }
        Ok((cursor, found.len()))
    }

    pub(super) fn pattern(&self, context: Context, generation: u32, rest: &str) -> String {
        let mut pattern = String::new();
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern + &format!(":{{g{generation}:{context}:*}}:{rest}")
    }

    /// One step of a scan: where it goes on, 0 at its end, and the keys that it met.
    pub(super) async fn scan<K: FromRedisValue>(&self, pattern: &str, cursor: u64) -> Result<(u64, Vec<K>), RedisStoreError> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN);
        let answer = scan.query_async::<redis::Value>(&mut self.connection()).await?;
        Ok(FromRedisValue::from_redis_value(answer).map_err(redis::RedisError::from)?)
    }
}

fn parsed<T: FromRedisValue>(replies: &[redis::Value]) -> Result<Vec<T>, redis::RedisError> {
    replies.iter().map(|reply| Ok(T::from_redis_value_ref(reply)?)).collect()
}
