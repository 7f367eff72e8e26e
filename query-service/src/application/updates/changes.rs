//! A stream of changes, from the change logs.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use events::Context;
use read_model::Generation;
use tokio::sync::mpsc;

use super::{
    Cause, Feed, Filter, Positions, Update, Updates, What,
    feed::{Joined, logs_of},
    filter::Kind,
};
use crate::{
    application::QueryError,
    outbound::redis::{Entry, EntryId, Log, RedisReadError, Tail},
};

/// Entries that a stream reads by itself at a time; what they hold waits in memory for the client.
const ENTRIES: usize = 4;

/// The pause before a stream that is under way asks Redis again.
const RETRY: Duration = Duration::from_millis(500);

/// A stream of the changes that a [`Filter`] wants.
pub struct ChangeUpdates {
    feed: Feed,
    filter: Filter,
    /// To be told before anything else is read.
    ready: VecDeque<Update>,
    stage: Stage,
    /// The id that was told last.
    last: Option<Arc<str>>,
}

enum Stage {
    /// It has fallen behind, and is about to read by itself.
    Behind(Positions),
    /// It reads by itself up to the ends of the logs.
    Alone(Reading),
    /// It has joined, and reads what lies between.
    Joining(Reading, Joined),
    /// It gets what the feed reads.
    Live(mpsc::Receiver<Update>),
}

struct Reading {
    at: Positions,
    logs: VecDeque<Log>,
}

impl ChangeUpdates {
    /// A stream of what changes after `from`, or from now on.
    pub async fn open(feed: Feed, filter: Filter, from: Option<Positions>) -> Result<Self, QueryError> {
        let generations = feed.link().generations().await?;
        for context in Context::ALL.into_iter().filter(|context| filter.concerns(*context)) {
            if generations.iter().all(|(built, _)| *built != context) {
                return Err(RedisReadError::NotBuilt(context).into());
            }
        }
        let (mut ready, mut last) = (VecDeque::new(), None);
        let stage = match from {
            Some(from) => Stage::Behind(from),
            None => {
                let joined = feed.join(filter.clone()).await?;
                let id: Arc<str> = joined.at.encode().into();
                last = Some(Arc::clone(&id));
                ready.push_back(Update { id, what: What::Nothing });
                Stage::Live(joined.changes)
            }
        };
        Ok(Self { feed, filter, ready, stage, last })
    }

    /// Goes one step on with what is not live yet. Nothing is changed before the last thing is awaited.
    async fn catch_up(&mut self) -> Result<(), RedisReadError> {
        match &mut self.stage {
            Stage::Live(_) => Ok(()),
            Stage::Behind(at) => {
                let generations = self.feed.link().generations().await?;
                match begin(at, &self.filter, &generations) {
                    Ok(()) => {
                        let (at, first) = (at.clone(), at.unfinished());
                        let mut logs: Vec<_> = logs(&generations, &self.filter).collect();
                        // One entry may be told in part only, so it is finished before others are begun.
                        logs.sort_by_key(|log| first != Some((log.context, log.partition)));
                        self.stage = Stage::Alone(Reading { at, logs: logs.into() });
                        Ok(())
                    }
                    Err(cause) => self.start_anew(cause).await,
                }
            }
            Stage::Alone(reading) => match reading.logs.front().copied() {
                Some(log) => {
                    let tail = self.feed.link().log_after(log, reading.at.of(&log).0, ENTRIES).await?;
                    match reading.tell(&log, tail, None, &self.filter, &mut self.ready) {
                        Ok(()) => Ok(()),
                        Err(cause) => self.start_anew(cause).await,
                    }
                }
                None => self.join().await,
            },
            Stage::Joining(reading, joined) => match reading.logs.front().copied() {
                Some(log) => {
                    let tail = self.feed.link().log_after(log, reading.at.of(&log).0, ENTRIES).await?;
                    match reading.tell(&log, tail, Some(joined.at.of(&log).0), &self.filter, &mut self.ready) {
                        Ok(()) => Ok(()),
                        Err(cause) => self.start_anew(cause).await,
                    }
                }
                None => {
                    let (_, changes) = mpsc::channel(1);
                    self.stage = Stage::Live(std::mem::replace(&mut joined.changes, changes));
                    Ok(())
                }
            },
        }
    }

    /// Joins the feed, with what is missing up to there still to be read.
    async fn join(&mut self) -> Result<(), RedisReadError> {
        let joined = self.feed.join(self.filter.clone()).await?;
        let Stage::Alone(Reading { at, .. }) = &mut self.stage else { return Ok(()) };
        if let Err(cause) = begin(at, &self.filter, &joined.generations) {
            self.reset(cause, joined);
            return Ok(());
        }
        let mut at = at.clone();
        // What the stream is not about is not read; it is where the feed is.
        for context in Context::ALL.into_iter().filter(|context| !self.filter.concerns(*context)) {
            at.begin_like(context, &joined.at);
        }
        let first = at.unfinished();
        let missing = |log: &Log| at.of(log) != (joined.at.of(log).0, 0);
        let mut logs: Vec<_> = logs(&joined.generations, &self.filter).filter(missing).collect();
        logs.sort_by_key(|log| first != Some((log.context, log.partition)));
        self.stage = Stage::Joining(Reading { at, logs: logs.into() }, joined);
        Ok(())
    }

    async fn start_anew(&mut self, cause: Cause) -> Result<(), RedisReadError> {
        let joined = self.feed.join(self.filter.clone()).await?;
        self.reset(cause, joined);
        Ok(())
    }

    fn reset(&mut self, cause: Cause, joined: Joined) {
        self.ready.push_back(Update { id: joined.at.encode().into(), what: What::Reset(cause) });
        self.stage = Stage::Live(joined.changes);
    }
}

impl Updates for ChangeUpdates {
    async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                self.last = Some(Arc::clone(&update.id));
                return Some(update);
            }
            if let Stage::Live(changes) = &mut self.stage {
                if let Some(update) = changes.recv().await {
                    self.last = Some(Arc::clone(&update.id));
                    return Some(update);
                }
                // What it was sent is told, and where that ended it goes on.
                let last = Positions::decode(self.last.as_deref()?).ok()?;
                self.stage = Stage::Behind(last);
            }
            if let Err(error) = self.catch_up().await {
                tracing::debug!(%error, "a stream of changes cannot go on yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

impl Reading {
    /// Tells what follows in a log, up to `end`; and that the log is done when there is no more.
    fn tell(
        &mut self,
        log: &Log,
        tail: Tail,
        end: Option<EntryId>,
        filter: &Filter,
        ready: &mut VecDeque<Update>,
    ) -> Result<(), Cause> {
        let Tail::Follows { entries, mut more } = tail else { return Err(Cause::Lost) };
        for entry in entries {
            if end.is_some_and(|end| entry.id > end) {
                more = false;
                break;
            }
            self.tell_entry(log, &entry, filter, ready);
        }
        if !more {
            // The feed has seen an entry that is not there.
            if end.is_some_and(|end| self.at.of(log) != (end, 0)) {
                return Err(Cause::Lost);
            }
            self.logs.pop_front();
        }
        Ok(())
    }

    fn tell_entry(&mut self, log: &Log, entry: &Entry, filter: &Filter, ready: &mut VecDeque<Update>) {
        let (_, told) = self.at.of(log);
        for (number, change) in (1..).zip(&entry.changes).filter(|(number, _)| *number > told) {
            self.at.tell(log, entry.id, number, entry.changes.len());
            if filter.wants(Kind::of(log.context, &change.2)) {
                ready.push_back(Update::change(&self.at, log.context, change));
            }
        }
        self.at.set(log, entry.id);
    }
}

/// Whether a stream can go on from `at` in these generations; a context that is new to it begins with all of its changes.
fn begin(at: &mut Positions, filter: &Filter, generations: &[(Context, Generation)]) -> Result<(), Cause> {
    for context in Context::ALL.into_iter().filter(|context| filter.concerns(*context)) {
        let Some((_, generation)) = generations.iter().find(|(built, _)| *built == context) else {
            return Err(Cause::Lost);
        };
        match at.follows(context, *generation) {
            Some(true) => {}
            Some(false) => return Err(Cause::Rebuilt),
            None => at.begin(context, *generation, logs_of(context, *generation).map(|_| EntryId::default()).collect()),
        }
    }
    Ok(())
}

fn logs(generations: &[(Context, Generation)], filter: &Filter) -> impl Iterator<Item = Log> {
    let concerned = generations.iter().filter(|(context, _)| filter.concerns(*context));
    concerned.flat_map(|(context, generation)| logs_of(*context, *generation))
}
