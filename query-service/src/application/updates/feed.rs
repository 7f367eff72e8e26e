//! The one task that reads the change logs, for all streams of changes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use events::{Context, StreamId};
use read_model::{Generation, keys::Change};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Cause, Filter, Positions, Update, What, filter::Kind};
use crate::outbound::redis::{Entry, EntryId, Grown, Link, Log, RedisReadError, Tail};

/// Entries of one log that are read at a time: some thousand changes.
const ENTRIES: usize = 16;

/// How long the reader trusts in being told of growth before it looks by itself.
const POLL: Duration = Duration::from_secs(2);

/// A stream that none of the changes concerned is told this often how far they have come, so that it does not go on from a
/// position that was trimmed away long ago.
const PULSE: Duration = Duration::from_secs(10);

/// Streams that wait to be let in; more wait for that.
const JOINING: usize = 256;

/// Where streams join. Cloning shares the reader, which ends with the last clone.
#[derive(Clone)]
pub struct Feed {
    link: Link,
    joins: mpsc::Sender<Join>,
}

struct Join {
    filter: Filter,
    reply: oneshot::Sender<Result<Joined, RedisReadError>>,
}

/// A stream that was let in: it gets every change after `at` that it wants. When it falls behind, the changes end.
pub(super) struct Joined {
    /// Everything that was in the logs when the stream asked to be let in is before this.
    pub(super) at: Positions,
    /// The generations that are read.
    pub(super) generations: Vec<(Context, Generation)>,
    pub(super) changes: mpsc::Receiver<Update>,
}

struct Follower {
    filter: Filter,
    changes: mpsc::Sender<Update>,
    /// The id that it got last.
    last: Arc<str>,
}

struct Reader {
    link: Link,
    joins: mpsc::Receiver<Join>,
    buffer: usize,
    followers: Vec<Follower>,
    /// None while nobody listens: the logs are not read then.
    at: Option<Positions>,
    generations: Vec<(Context, Generation)>,
    /// Whether the last round failed, so that what had grown is not known any more.
    doubtful: bool,
    pulsed: Instant,
}

impl Feed {
    /// Starts the reader. A stream may be behind by `buffer` changes before it has to read by itself.
    #[must_use]
    pub fn start(link: Link, buffer: usize) -> Self {
        let (joins, joining) = mpsc::channel(JOINING);
        let reader = Reader {
            link: link.clone(),
            joins: joining,
            buffer,
            followers: Vec::new(),
            at: None,
            generations: Vec::new(),
            doubtful: true,
            pulsed: Instant::now(),
        };
        tokio::spawn(reader.run());
        Self { link, joins }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Joins a stream that wants these changes.
    pub(super) async fn join(&self, filter: Filter) -> Result<Joined, RedisReadError> {
        let (reply, joined) = oneshot::channel();
        let ended = || RedisReadError::Unavailable("the feed of changes has ended".to_owned());
        self.joins.send(Join { filter, reply }).await.map_err(|_| ended())?;
        joined.await.map_err(|_| ended())?
    }
}

impl Reader {
    async fn run(mut self) {
        while let Some(joining) = self.next_round().await {
            self.followers.retain(|follower| !follower.changes.is_closed());
            if joining.is_empty() && self.followers.is_empty() {
                self.at = None;
                continue;
            }
            let outcome = self.read(!joining.is_empty()).await;
            self.doubtful = outcome.is_err();
            match outcome {
                Ok(()) => joining.into_iter().for_each(|join| self.admit(join)),
                Err(error) => {
                    tracing::debug!(%error, "cannot read the change logs");
                    for join in joining {
                        // Whoever asked may have gone away.
                        drop(join.reply.send(Err(error.clone())));
                    }
                }
            }
            if self.pulsed.elapsed() >= PULSE {
                self.pulse();
            }
        }
    }

    /// Waits for something to do, and tells who wants to join; none at the end.
    async fn next_round(&mut self) -> Option<Vec<Join>> {
        let busy = !self.followers.is_empty();
        let mut joining = Vec::new();
        tokio::select! {
            join = self.joins.recv() => joining.push(join?),
            () = self.link.logs_rang(), if busy => {}
            () = tokio::time::sleep(POLL), if busy => self.doubtful = true,
        }
        while let Ok(join) = self.joins.try_recv() {
            joining.push(join);
        }
        Some(joining)
    }

    fn admit(&mut self, join: Join) {
        let Some(at) = &self.at else { return };
        let (changes, received) = mpsc::channel(self.buffer);
        let joined = Joined { at: at.clone(), generations: self.generations.clone(), changes: received };
        if join.reply.send(Ok(joined)).is_ok() {
            self.followers.push(Follower { filter: join.filter, changes, last: "".into() });
        }
    }

    /// Reads what has grown, or everything, and hands it out.
    async fn read(&mut self, everything: bool) -> Result<(), RedisReadError> {
        let grown = self.link.take_grown();
        let grown = if everything || self.doubtful { Grown::all() } else { grown };
        self.follow_generations().await?;
        let logs: Vec<_> = self.logs().into_iter().map(|log| (log, self.position_of(&log))).collect();
        let mut broken = Vec::new();
        for (log, tail) in self.link.grown_logs(&grown, &logs, ENTRIES).await? {
            match tail {
                Tail::Broken => broken.push(log),
                Tail::Follows { entries, more } => {
                    if more {
                        self.link.ring(&log);
                    }
                    for entry in entries {
                        self.tell(&log, entry);
                        // Those that keep up get a chance to.
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        if !broken.is_empty() {
            let ends = self.link.log_ends(&broken).await?;
            let at = self.at.get_or_insert_default();
            broken.iter().zip(ends).for_each(|(log, end)| at.set(log, end));
            self.reset(Cause::Lost, |context| broken.iter().any(|log| log.context == context));
        }
        Ok(())
    }

    /// Goes to the ends of the logs at first and where another generation is read.
    async fn follow_generations(&mut self) -> Result<(), RedisReadError> {
        let generations = self.link.generations().await?;
        let at = self.at.clone();
        let follows = |context, generation| at.as_ref().and_then(|at| at.follows(context, generation));
        let mut begun = Vec::new();
        for (context, generation) in &generations {
            let told = match follows(*context, *generation) {
                Some(true) => continue,
                // It was not there before, so all of its changes are new.
                None if at.is_some() => logs_of(*context, *generation).map(|_| EntryId::default()).collect(),
                _ => self.link.log_ends(&logs_of(*context, *generation).collect::<Vec<_>>()).await?,
            };
            begun.push((*context, *generation, told));
        }
        let (mut rebuilt, mut lost) = (Vec::new(), Vec::new());
        let at = self.at.get_or_insert_default();
        for (context, generation, told) in begun {
            if at.follows(context, generation).is_some() {
                rebuilt.push(context);
            }
            at.begin(context, generation, told);
        }
        for context in Context::ALL {
            if generations.iter().all(|(built, _)| *built != context) && at.end(context) {
                lost.push(context);
            }
        }
        self.generations = generations;
        if !lost.is_empty() {
            self.reset(Cause::Lost, |context| lost.contains(&context));
        }
        if !rebuilt.is_empty() {
            self.reset(Cause::Rebuilt, |context| rebuilt.contains(&context));
        }
        Ok(())
    }

    fn logs(&self) -> Vec<Log> {
        self.generations.iter().flat_map(|(context, generation)| logs_of(*context, *generation)).collect()
    }

    fn position_of(&self, log: &Log) -> EntryId {
        self.at.as_ref().map(|at| at.of(log).0).unwrap_or_default()
    }

    fn tell(&mut self, log: &Log, entry: Entry) {
        let Some(at) = &mut self.at else { return };
        for (number, change) in (1..).zip(&entry.changes) {
            at.tell(log, entry.id, number, entry.changes.len());
            let kind = Kind::of(log.context, &change.2);
            if self.followers.iter().any(|follower| follower.filter.wants(kind)) {
                let update = Update::change(at, log.context, change);
                send(&mut self.followers, &update, |follower| follower.filter.wants(kind));
            }
        }
        at.set(log, entry.id);
    }

    fn reset(&mut self, cause: Cause, of: impl Fn(Context) -> bool) {
        let Some(at) = &self.at else { return };
        tracing::info!(cause = cause.name(), streams = self.followers.len(), "live updates start anew");
        let update = Update { id: at.encode().into(), what: What::Reset(cause) };
        let concerned = |filter: &Filter| Context::ALL.into_iter().any(|context| of(context) && filter.concerns(context));
        send(&mut self.followers, &update, |follower| concerned(&follower.filter));
    }

    fn pulse(&mut self) {
        self.pulsed = Instant::now();
        let Some(at) = &self.at else { return };
        let update = Update { id: at.encode().into(), what: What::Nothing };
        send(&mut self.followers, &update, |follower| follower.last != update.id);
    }
}

/// Sends to those that want it. Whoever has no room left is let go: they read on by themselves.
fn send(followers: &mut Vec<Follower>, update: &Update, wants: impl Fn(&Follower) -> bool) {
    followers.retain_mut(|follower| {
        if !wants(follower) {
            return true;
        }
        follower.last = Arc::clone(&update.id);
        let sent = follower.changes.try_send(update.clone());
        if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) {
            metrics::counter!("orderflow_update_streams_behind_total").increment(1);
        }
        sent.is_ok()
    });
}

pub(super) fn logs_of(context: Context, generation: Generation) -> impl Iterator<Item = Log> {
    (0..generation.partitions).map(move |partition| Log { context, generation, partition })
}

/// The data of a change.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Change")]
pub struct ChangeJson<'a> {
    context: Context,
    id: StreamId,
    /// The version that the event made.
    version: u64,
    /// The type of the event, such as `order.placed.v1`.
    #[serde(rename = "type")]
    event_type: &'a str,
}

impl Update {
    /// A change, told when a stream has come to `at`.
    pub(super) fn change(at: &Positions, context: Context, change: &Change) -> Self {
        let Change(id, version, event_type) = change;
        let json = ChangeJson { context, id: *id, version: *version, event_type };
        // It can't fail: there is nothing in it that JSON has no form for.
        let json = serde_json::to_vec(&json).unwrap_or_default();
        Self { id: at.encode().into(), what: What::Change(Bytes::from(json)) }
    }
}
