//! Which streams to look at: in turn one that the event store has, and one that Redis has.
//!
//! The store is read lane by lane, from a random place in each to its end and then from its beginning, so that every stream
//! comes up once a round. Redis is scanned, because a view that the store knows nothing of is in no list.

use std::collections::{HashMap, VecDeque};

use events::{Context, StreamId};
use read_model::Generation;

use super::examine::ExamineError;
use crate::outbound::{command_service::CommandService, redis::RedisStore};

/// Events of a lane that are read at a time.
const PAGE: usize = 200;

/// Streams to look at, without end.
pub(super) struct Sample {
    contexts: Vec<Context>,
    /// Lanes that are still to be read in this round, and up to which `seq` they were.
    lanes: VecDeque<(Context, u16, u64)>,
    is_first_round: bool,
    cursor: u64,
    of_store: VecDeque<(Context, StreamId)>,
    of_redis: VecDeque<(Context, StreamId)>,
    is_stores_turn: bool,
}

impl Sample {
    pub(super) fn new(contexts: Vec<Context>) -> Self {
        Self {
            contexts,
            lanes: VecDeque::new(),
            is_first_round: true,
            cursor: 0,
            of_store: VecDeque::new(),
            of_redis: VecDeque::new(),
            is_stores_turn: true,
        }
    }

    /// The next stream; none when there has to be another page first.
    pub(super) fn next(&mut self) -> Option<(Context, StreamId)> {
        self.is_stores_turn = !self.is_stores_turn;
        if self.is_stores_turn {
            self.of_store.pop_front().or_else(|| self.of_redis.pop_front())
        } else {
            self.of_redis.pop_front().or_else(|| self.of_store.pop_front())
        }
    }

    /// Reads a page of what has run out: of Redis, what the generations in `live` have.
    pub(super) async fn fill(
        &mut self,
        commands: &CommandService,
        redis: &RedisStore,
        live: &HashMap<Context, Generation>,
    ) -> Result<(), ExamineError> {
        if self.of_store.is_empty() {
            self.read_store(commands).await?;
        }
        if self.of_redis.is_empty() {
            let (cursor, views) = redis.scan_views(self.cursor).await?;
            self.cursor = cursor;
            let is_live = |number: u32, context: Context| live.get(&context).is_some_and(|live| live.number == number);
            let live = views.into_iter().filter(|(number, context, _)| is_live(*number, *context));
            self.of_redis.extend(live.map(|(_, context, stream)| (context, stream)));
        }
        Ok(())
    }

    async fn read_store(&mut self, commands: &CommandService) -> Result<(), ExamineError> {
        if self.lanes.is_empty() {
            for context in &self.contexts {
                for (lane, head) in (0..).zip(commands.lanes(*context).await?) {
                    // Restarts should not look at the same beginning again and again.
                    let from = if self.is_first_round { fastrand::u64(0..=head) } else { 0 };
                    self.lanes.push_back((*context, lane, from));
                }
            }
            self.is_first_round = false;
        }
        let Some((context, lane, after)) = self.lanes.pop_front() else { return Ok(()) };
        let events = commands.feed(context, lane, after, PAGE).await?;
        self.of_store.extend(events.iter().filter(|event| event.version == 1).map(|event| (context, event.stream_id)));
        if events.len() == PAGE
            && let Some(last) = events.last()
        {
            self.lanes.push_back((context, lane, last.seq));
        }
        Ok(())
    }
}
