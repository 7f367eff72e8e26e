//! What one context may know of another's aggregates: a bounded cache of small facts, read through to the store.
//!
//! The writers of this process tell it of every change. Changes of other processes are noticed by looking at the lanes'
//! heads once a second, so that a fact is never older than that: the race between a price and an order is accepted.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use events::StreamId;
use futures::future::{BoxFuture, FutureExt, TryFutureExt};
use lru::LruCache;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    facts::{Facts, FactsError},
    state::{self, LoadError},
    writer::Committed,
};
use crate::{
    domain::Aggregate,
    outbound::postgres::{PostgresError, PostgresStore, append::to_i64, read},
};

/// How old a fact about another process's change may be.
const REFRESH: Duration = Duration::from_secs(1);

/// Facts `F` about the aggregates `A`, whose store is here.
pub struct Directory<A, F> {
    store: PostgresStore,
    fact: fn(&A, u64) -> F,
    facts: Mutex<LruCache<StreamId, Known<F>>>,
}

/// What is known of an aggregate. No fact: another process has changed it, and nothing older than this version counts.
struct Known<F> {
    version: u64,
    fact: Option<F>,
}

impl<A: Aggregate, F: Clone + Send + 'static> Facts<F> for Directory<A, F> {
    fn get<'a>(&'a self, streams: &'a [StreamId]) -> BoxFuture<'a, Result<Vec<F>, FactsError>> {
        self.look_up(streams).map_err(FactsError::from).boxed()
    }
}

impl<A: Aggregate, F: Clone + Send + 'static> Directory<A, F> {
    /// Over a store; `fact` reads the fact off an aggregate and its version (0: it does not exist).
    #[must_use]
    pub fn new(store: PostgresStore, capacity: usize, fact: fn(&A, u64) -> F) -> Self {
        // Grows as needed.
        let mut facts = LruCache::unbounded();
        facts.resize(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
        Self { store, fact, facts: Mutex::new(facts) }
    }

    /// The facts about these aggregates, in their order.
    async fn look_up(&self, streams: &[StreamId]) -> Result<Vec<F>, LoadError> {
        let mut found: Vec<Option<F>> = {
            let mut facts = self.facts();
            streams.iter().map(|stream| facts.get(stream)?.fact.clone()).collect()
        };
        let missing: Vec<_> = streams.iter().zip(&found).filter(|(_, fact)| fact.is_none()).map(|(stream, _)| *stream).collect();
        if !missing.is_empty() {
            let states = state::load::<A>(self.store.pool(), &missing).await?;
            for (stream, slot) in streams.iter().zip(&mut found) {
                if let Some(loaded) = states.get(stream) {
                    let fact = (self.fact)(&loaded.state, loaded.version);
                    self.learn(*stream, loaded.version, fact.clone());
                    *slot = Some(fact);
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Takes note of a commit of this process.
    pub fn committed(&self, committed: &mut Committed<'_, A>) {
        for (stream, version, state) in &mut *committed.changed {
            self.learn(stream, version, (self.fact)(state, version));
        }
    }

    /// Notices changes of other processes until `stop`.
    pub async fn follow(&self, stop: &CancellationToken) {
        let mut heads = None;
        while !stop.is_cancelled() {
            match self.refresh(heads.as_deref()).await {
                Ok(now) => heads = Some(now),
                Err(error) => {
                    // What can't be checked is not used: while the store is away, orders that need it are refused.
                    self.facts().clear();
                    warn!(%error, context = %self.store.context(), "changes of other processes can't be noticed");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    async fn refresh(&self, before: Option<&[u64]>) -> Result<Vec<u64>, PostgresError> {
        let heads = read::heads(self.store.relay_pool(), self.store.lanes().count()).await?;
        let Some(before) = before else {
            self.facts().clear();
            return Ok(heads);
        };
        let moved = self.store.lanes().all().zip(before.iter().zip(&heads)).filter(|(_, (before, now))| before != now);
        let (lanes, after): (Vec<_>, Vec<_>) = moved.map(|(lane, (before, _))| (lane.as_i16(), to_i64(*before))).unzip();
        if !lanes.is_empty() {
            let touched = read::touched(self.store.relay_pool(), &lanes, &after).await?;
            let mut facts = self.facts();
            for (stream, version) in touched {
                if facts.peek(&stream).is_none_or(|known| known.version < version) {
                    facts.put(stream, Known { version, fact: None });
                }
            }
        }
        Ok(heads)
    }

    fn learn(&self, stream: StreamId, version: u64, fact: F) {
        let mut facts = self.facts();
        // A load that began before a commit must not overwrite what the commit told; nor one that another process made.
        if facts.peek(&stream).is_none_or(|known| known.version <= version) {
            facts.put(stream, Known { version, fact: Some(fact) });
        }
    }

    fn facts(&self) -> MutexGuard<'_, LruCache<StreamId, Known<F>>> {
        // A panic while it was held leaves at most a fact unlearnt.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
