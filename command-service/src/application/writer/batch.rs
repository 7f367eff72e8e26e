//! Deciding a batch: pure but for event ids and the clock, which its caller reads.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use events::{Context, DomainEvent, StreamId};
use uuid::Uuid;

use super::super::{
    command::{Receipt, Refusal, Submission},
    lane::{Lane, Lanes, claim_lock, lane_lock},
    state::Versioned,
};
use crate::{
    domain::{Aggregate, Claim, ClaimKind},
    outbound::postgres::append::{Append, NewEvent, StoredAnswer},
};

/// What became of one submission of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Holds once the batch is appended.
    Accepted(Receipt),
    /// Holds once the heads are confirmed.
    Refused(Refusal),
    /// Must wait for the next batch, behind another submission of this one.
    Deferred,
}

/// A decided batch: what to append, and what to answer when that succeeds.
pub(super) struct Plan<A: Aggregate> {
    pub(super) append: Append,
    /// One for each submission, in order.
    pub(super) outcomes: Vec<Outcome>,
    /// The changed aggregates.
    pub(super) staged: HashMap<StreamId, Versioned<A>>,
    /// The head that the batch leaves, for each lane that it appends to.
    pub(super) heads: BTreeMap<Lane, u64>,
    /// The submission behind each claim taken, and the rule that it breaks when the claim is held.
    pub(super) claims: Vec<(usize, A::Error)>,
}

/// What a batch is decided on.
pub(super) struct Basis<'a, A> {
    pub(super) lanes: Lanes,
    /// The head of each lane.
    pub(super) heads: &'a [u64],
    /// The aggregates of the submissions; one that is absent is taken for new.
    pub(super) known: &'a HashMap<StreamId, Versioned<A>>,
    pub(super) known_types: &'a HashSet<&'static str>,
    pub(super) now: DateTime<Utc>,
    pub(super) max_bytes: usize,
}

impl<A: Aggregate> Basis<'_, A> {
    /// Decides each submission on the state that those before it leave.
    pub(super) fn decide(&self, submissions: &[Submission<A>]) -> Plan<A> {
        let mut draft = Draft {
            basis: self,
            append: Append::default(),
            staged: HashMap::new(),
            heads: BTreeMap::new(),
            touched: HashMap::new(),
            claims: Vec::new(),
            claimed: HashSet::new(),
            claimants: HashSet::new(),
            answers: Vec::new(),
            keys: HashSet::new(),
            deferred: HashSet::new(),
            locks: Vec::new(),
        };
        let outcomes = submissions.iter().enumerate().map(|(index, submission)| draft.submission(index, submission)).collect();
        draft.finish(outcomes)
    }
}

struct Draft<'a, 'b, A: Aggregate> {
    basis: &'a Basis<'b, A>,
    append: Append,
    staged: HashMap<StreamId, Versioned<A>>,
    heads: BTreeMap<Lane, u64>,
    touched: HashMap<Lane, u64>,
    claims: Vec<(usize, A::Error)>,
    claimed: HashSet<(ClaimKind, Vec<u8>)>,
    /// Streams whose one claim of a kind this batch changes already.
    claimants: HashSet<(ClaimKind, StreamId)>,
    answers: Vec<StoredAnswer>,
    keys: HashSet<Uuid>,
    deferred: HashSet<StreamId>,
    locks: Vec<i64>,
}

impl<A: Aggregate> Draft<'_, '_, A> {
    fn submission(&mut self, index: usize, submission: &Submission<A>) -> Outcome {
        let (stream, request) = (submission.stream, &submission.request);
        let full = index > 0 && self.append.bytes() >= self.basis.max_bytes;
        // A second command under the same key waits for the first one's answer; and whatever follows a command that
        // waits, in its stream, waits too.
        let waits = full || self.deferred.contains(&stream) || request.key.is_some_and(|key| self.keys.contains(&key.id));
        if waits {
            return self.defer(stream);
        }
        let decided = self.decide(submission);
        let claims =
            if decided.as_ref().is_ok_and(|events| !events.is_empty()) { A::claims(&submission.command) } else { Vec::new() };
        if claims.iter().any(|claim| self.meets_claim(claim, stream)) {
            return self.defer(stream);
        }
        let lane = self.basis.lanes.of(stream);
        self.touched.entry(lane).or_insert_with(|| self.basis.heads[usize::from(lane.0)]);
        if let Some(key) = request.key {
            self.keys.insert(key.id);
        }
        match decided {
            Err(refusal) => Outcome::Refused(refusal),
            Ok(events) => {
                self.claim(index, stream, claims);
                Outcome::Accepted(self.accept(lane, submission, events))
            }
        }
    }

    fn defer(&mut self, stream: StreamId) -> Outcome {
        self.deferred.insert(stream);
        Outcome::Deferred
    }

    fn state(&self, stream: StreamId) -> Option<&Versioned<A>> {
        self.staged.get(&stream).or_else(|| self.basis.known.get(&stream))
    }

    /// The events of a command with their JSON, or its refusal.
    fn decide(&self, submission: &Submission<A>) -> Result<Vec<(A::Event, String)>, Refusal> {
        let absent = Versioned::default();
        let current = self.state(submission.stream).unwrap_or(&absent);
        if let Some(expected) = submission.request.expected
            && expected != current.version
        {
            return Err(Refusal::Precondition { expected, actual: current.version });
        }
        let decided = current.state.decide(&submission.command).map_err(|error| Refusal::rule(&error))?;
        decided
            .into_iter()
            .map(|event| {
                let json = event.encode().ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Refusal::Failed)?;
                Ok((event, json))
            })
            .collect()
    }

    /// Whether this batch claims the same already, or changes the same stream's claim of that kind: the append settles all
    /// claims of a batch together, so that a claim taken and one given up after it must not share one.
    fn meets_claim(&self, claim: &Claim<A::Error>, stream: StreamId) -> bool {
        match claim {
            Claim::Take(kind, value, _) => {
                self.claimed.contains(&(*kind, value.clone())) || self.claimants.contains(&(*kind, stream))
            }
            Claim::Release(kind) => self.claimants.contains(&(*kind, stream)),
        }
    }

    fn claim(&mut self, index: usize, stream: StreamId, claims: Vec<Claim<A::Error>>) {
        let context = <A::Event as DomainEvent>::CONTEXT;
        for claim in claims {
            let kind = match &claim {
                Claim::Take(kind, ..) | Claim::Release(kind) => *kind,
            };
            if !kind.is_for_ever() {
                self.claimants.insert((kind, stream));
            }
            match claim {
                Claim::Take(kind, value, rule) => {
                    self.locks.push(claim_lock(context, kind, &value));
                    self.claimed.insert((kind, value.clone()));
                    self.append.take(kind, value, stream);
                    self.claims.push((index, rule));
                }
                Claim::Release(kind) => self.append.release(kind, stream),
            }
        }
    }

    /// Stages the events and the answer.
    fn accept(&mut self, lane: Lane, submission: &Submission<A>, events: Vec<(A::Event, String)>) -> Receipt {
        let (stream, request) = (submission.stream, &submission.request);
        let mut current = match self.staged.remove(&stream) {
            Some(staged) => staged,
            None => self.basis.known.get(&stream).cloned().unwrap_or_default(),
        };
        let changed = !events.is_empty();
        let created = current.version == 0 && changed;
        if created {
            self.append.new_streams.push(stream);
        }
        let head = self.heads.entry(lane).or_insert_with(|| self.basis.heads[usize::from(lane.0)]);
        for (event, data) in events {
            *head += 1;
            current = Versioned { state: current.state.evolve(&event), version: current.version + 1 };
            if !self.basis.known_types.contains(event.event_type()) {
                self.append.new_types.push(event.event_type().to_owned());
            }
            self.append.event(NewEvent {
                id: Uuid::now_v7(),
                stream,
                version: current.version,
                lane,
                seq: *head,
                event_type: event.event_type(),
                occurred_at: request.occurred_at.unwrap_or(self.basis.now),
                recorded_at: self.basis.now,
                correlation_id: request.correlation_id,
                causation_id: request.causation_id,
                traceparent: request.traceparent.clone(),
                data,
            });
        }
        let seq = changed.then_some(*head);
        let receipt = Receipt { stream, version: current.version, lane, seq, created, replayed: false };
        if let Some(key) = request.key {
            let version = receipt.version;
            self.answers.push(StoredAnswer { key: key.id, request: key.request, stream, version, seq, lane, created });
        }
        if changed {
            self.staged.insert(stream, current);
        }
        receipt
    }

    fn finish(mut self, outcomes: Vec<Outcome>) -> Plan<A> {
        let context: Context = <A::Event as DomainEvent>::CONTEXT;
        self.heads.retain(|lane, head| self.basis.heads[usize::from(lane.0)] != *head);
        for (lane, head) in &self.touched {
            self.append.expect_head(*lane, *head);
            self.locks.push(lane_lock(context, *lane));
        }
        self.locks.sort_unstable();
        self.locks.dedup();
        self.append.locks = self.locks;
        self.append.keys = self.keys.into_iter().collect();
        self.answers.sort_unstable_by_key(|answer| answer.key);
        for answer in &self.answers {
            self.append.answer(answer, self.basis.now);
        }
        self.append.new_types.sort_unstable();
        self.append.new_types.dedup();
        Plan { append: self.append, outcomes, staged: self.staged, heads: self.heads, claims: self.claims }
    }
}
