//! What kept a batch from being stored, taken out of the way: other instances' events, keys with answers, held claims.

use std::collections::HashMap;

use events::StreamId;
use tracing::error;

use super::{super::batch::Plan, Failure, Writer};
use crate::{
    application::{
        command::{Receipt, Refusal, Submission},
        lane::Lane,
        state::Versioned,
    },
    domain::Aggregate,
    outbound::postgres::{Obstacle, append::StoredAnswer, read},
};

/// Rows that are read to follow another instance; behind by more, the cached aggregates are dropped and read again.
const FOLLOW_ROWS: i64 = 2_000;

impl<A: Aggregate> Writer<A> {
    /// Takes the obstacles out of the way, so that the batch can be decided again.
    pub(super) async fn clear(
        &mut self,
        obstacles: &[Obstacle],
        plan: &Plan<A>,
        submissions: &mut Vec<Submission<A>>,
        known: &mut HashMap<StreamId, Versioned<A>>,
    ) -> Result<(), Failure> {
        let mut refused = HashMap::new();
        let mut exist = Vec::new();
        let mut moved = false;
        for obstacle in obstacles {
            match obstacle {
                Obstacle::Head(lane, head) => {
                    moved = true;
                    self.follow(*lane, *head, known).await?;
                }
                Obstacle::Stream(stream) => exist.push(*stream),
                Obstacle::Key(answer) => answer_with(answer, submissions, &mut refused),
                Obstacle::Claim(_) => {}
            }
        }
        // What was decided on an old head is decided again before a claim is refused for it.
        let claims = obstacles.iter().filter_map(|obstacle| match obstacle {
            Obstacle::Claim(position) if !moved && exist.is_empty() => plan.claims.get(*position),
            _ => None,
        });
        for (index, rule) in claims {
            refused.entry(*index).or_insert_with(|| Err(Refusal::rule(rule)));
        }
        for (index, submission) in std::mem::take(submissions).into_iter().enumerate() {
            match refused.remove(&index) {
                Some(answer) => submission.answer(answer),
                None => submissions.push(submission),
            }
        }
        self.read(exist, submissions, known).await
    }

    /// Another instance has appended to a lane: brings what is cached of it up to date.
    async fn follow(&mut self, lane: Lane, head: u64, known: &mut HashMap<StreamId, Versioned<A>>) -> Result<(), Failure> {
        let seen = self.heads[usize::from(lane.0)];
        let tail = if head < seen || to_rows(head - seen) > FOLLOW_ROWS {
            None
        } else {
            let tail = read::lane_tail(self.store.relay_pool(), lane, seen, FOLLOW_ROWS).await?;
            // Someone may have appended since: then the rest would be missing.
            (to_rows(tail.len() as u64) < FOLLOW_ROWS).then_some(tail)
        };
        let Some(tail) = tail else {
            self.drop_lane(lane, known);
            self.heads[usize::from(lane.0)] = head;
            return Ok(());
        };
        for event in &tail {
            let cached = known.remove(&event.stream).map(|state| (true, state));
            let Some((in_batch, state)) = cached.or_else(|| self.cache.pop(&event.stream).map(|state| (false, state))) else {
                continue;
            };
            match state.apply(event) {
                Ok(state) if in_batch => drop(known.insert(event.stream, state)),
                Ok(state) => drop(self.cache.put(event.stream, state)),
                // It stays out of the cache, and whoever wants it meets the error at loading.
                Err(failed) => error!(error = %failed, "an event of another instance can't be read"),
            }
        }
        self.heads[usize::from(lane.0)] = tail.last().map_or(head, |event| event.seq);
        Ok(())
    }

    fn drop_lane(&mut self, lane: Lane, known: &mut HashMap<StreamId, Versioned<A>>) {
        let lanes = self.store.lanes();
        known.retain(|stream, _| lanes.of(*stream) != lane);
        let stale: Vec<_> = self.cache.iter().map(|(stream, _)| *stream).filter(|stream| lanes.of(*stream) == lane).collect();
        for stream in stale {
            self.cache.pop(&stream);
        }
    }
}

fn to_rows(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Answers whoever asked under a key that has an answer already.
fn answer_with<A: Aggregate>(
    stored: &StoredAnswer,
    submissions: &[Submission<A>],
    refused: &mut HashMap<usize, Result<Receipt, Refusal>>,
) {
    for (index, submission) in submissions.iter().enumerate() {
        let Some(key) = submission.request.key.filter(|key| key.id == stored.key) else { continue };
        let answer = if key.request == stored.request {
            let StoredAnswer { stream, version, lane, seq, created, .. } = *stored;
            Ok(Receipt { stream, version, lane, seq, created, replayed: true })
        } else {
            Err(Refusal::KeyReused)
        };
        refused.insert(index, answer);
    }
}
