//! A slot's counters, added up anew from its views.
//!
//! Counters move by what a view adds less what it added. That is right as long as they began right: a view that was lost or
//! changed from outside took nothing off them, so after a repair only adding up tells. It takes about a second for a hundred
//! thousand views, while the partition waits; the routine recount is for idle partitions and gives way to any record.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::FutureExt;
use read_model::index;

use super::{Interrupted, Worker};
use crate::{
    application::{
        audit::{divergent, examine::Kind},
        changes::Changes,
    },
    inbound::source::Source,
    outbound::redis::RedisStoreError,
    projections::{Counter, Projection},
};

/// Views that are read at a time.
const VIEWS: usize = 500;

/// The time between two recounts after repairs: many repairs share one.
const BETWEEN: Duration = Duration::from_secs(10);

/// When to recount.
pub(super) struct Recounting {
    /// The time between two routine recounts; none: never.
    every: Option<Duration>,
    last: Instant,
    is_suspected: bool,
    after_repairs: Option<Instant>,
}

impl Recounting {
    pub(super) fn new(every: Option<Duration>) -> Self {
        Self { every, last: Instant::now(), is_suspected: false, after_repairs: None }
    }

    /// A view was repaired.
    pub(super) fn suspect(&mut self) {
        self.is_suspected = true;
    }

    /// Whether a recount is due that can't wait for an idle moment.
    pub(super) fn is_due(&self) -> bool {
        self.is_suspected && self.after_repairs.is_none_or(|last| last.elapsed() >= BETWEEN)
    }

    /// Whether a routine recount is due.
    fn is_routine_due(&self) -> bool {
        self.every.is_some_and(|every| self.last.elapsed() >= every)
    }
}

impl<P: Projection> Worker<P> {
    /// Recounts after repairs.
    pub(super) async fn recount(&mut self, source: &Source) -> Result<(), Interrupted> {
        self.recounting.is_suspected = false;
        self.recounting.after_repairs = Some(Instant::now());
        self.recount_now(source, false).await
    }

    /// Recounts if it is time to, for as long as nothing comes.
    pub(super) async fn recount_idly(&mut self, source: &Source) -> Result<(), Interrupted> {
        if !self.recounting.is_routine_due() {
            return Ok(());
        }
        self.recount_now(source, true).await
    }

    async fn recount_now(&mut self, source: &Source, gives_way: bool) -> Result<(), Interrupted> {
        let Some(list) = P::COUNTED_BY else { return Ok(()) };
        self.recounting.last = Instant::now();
        let counted = match self.count(list, source, gives_way).await {
            Ok(Some(counted)) => counted,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(parent: &self.span, %error, "the counters can't be recounted now");
                self.recounting.is_suspected |= !gives_way;
                return Ok(());
            }
        };
        if counted.is_empty() {
            return Ok(());
        }
        let (events, at) = self.progress;
        let number = counted.len();
        let changes = Changes { offset: self.offset, events, at, totals: counted, ..Changes::default() };
        self.write(changes, Vec::new()).await?;
        if gives_way {
            divergent(self.context, Kind::Counters, 1);
            tracing::error!(
                parent: &self.span, kind = Kind::Counters.name(), counters = number,
                "counters were not what the views add up to: set right"
            );
        } else {
            tracing::info!(parent: &self.span, counters = number, "counters set right after a repair");
        }
        Ok(())
    }

    /// The counters that are wrong, and what they should be; none when a record came.
    async fn count(&self, list: &str, source: &Source, gives_way: bool) -> Result<Option<Vec<(Counter, i64)>>, RedisStoreError> {
        let (store, slot) = (&self.shared.store, &self.slot);
        let mut counted: HashMap<Counter, i64> = HashMap::new();
        let mut after = String::new();
        loop {
            let members = store.members(slot, list, &after, VIEWS).await?;
            let Some(last) = members.last() else { break };
            let streams: Vec<_> = members.iter().filter_map(|member| index::id_of(member.as_bytes())).collect();
            for view in store.views::<P::View>(slot, &streams).await?.iter().flatten() {
                for (counter, amount) in P::contribution(view) {
                    *counted.entry(counter).or_default() += amount;
                }
            }
            after.clone_from(last);
            if gives_way && (source.filled().now_or_never().is_some() || self.patience.stop().is_cancelled()) {
                source.refill();
                return Ok(None);
            }
        }
        let stored = store.all_counters(slot).await?;
        let gone = stored.keys().filter(|counter| !counted.contains_key(counter)).map(|counter| (*counter, 0));
        let wrong = counted.iter().filter(|(counter, value)| stored.get(counter).unwrap_or(&0) != *value);
        Ok(Some(gone.chain(wrong.map(|(counter, value)| (*counter, *value))).collect()))
    }
}
