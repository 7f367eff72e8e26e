//! One writer: takes what waits, decides it, appends it, answers.

mod obstacles;
mod storing;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    time::Duration,
};

use chrono::{SubsecRound, Utc};
use events::{Context, DomainEvent, StreamId};
use lru::LruCache;
use metrics::{Counter, Gauge, Histogram, counter, histogram};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tracing::{error, warn};
use uuid::Uuid;

use self::storing::no_answer;
use super::{
    Committed, OnCommit, WriterConfig,
    batch::{Basis, Outcome, Plan},
    failure::Failure,
    traced,
};
use crate::{
    application::{
        command::{Refusal, Submission},
        lane::Lane,
        state::{self, LoadError, Versioned},
    },
    domain::Aggregate,
    outbound::postgres::{
        PostgresStore,
        read::{self, Snapshot},
    },
};

/// How often a batch is decided anew before its callers are told to come back: each time another instance was faster.
const ATTEMPTS: usize = 50;
/// How long to connect may take: a starved machine takes seconds, a network that swallows packets would take minutes.
const CONNECT: Duration = Duration::from_secs(8);
/// How long an answer of Postgres may take: longer than it lets a statement run (`statement_timeout`).
const ANSWER: Duration = Duration::from_secs(12);
/// Snapshots that may wait to be stored; more are dropped, as they only save reading.
const SNAPSHOT_QUEUE: usize = 256;

/// Settings of a writer's connection (times in milliseconds). A holder of locks that stalls is cut off. The statements of
/// `append()` are planned once, for their indexes: planning them anew for each batch costs more than running them, and a
/// plan made while a table was empty would scan it for ever.
const CONNECTION_SETTINGS: [(&str, &str); 8] = [
    ("idle_in_transaction_session_timeout", "2000"),
    ("lock_timeout", "2000"),
    ("statement_timeout", "10000"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

pub(super) struct Writer<A: Aggregate> {
    context: Context,
    store: PostgresStore,
    config: WriterConfig,
    on_commit: OnCommit<A>,
    connection: Option<PgConnection>,
    connection_name: String,
    cache: LruCache<StreamId, Versioned<A>>,
    /// The head of each lane as this writer left or last saw it; empty before it was read.
    heads: Vec<u64>,
    known_types: HashSet<&'static str>,
    snapshots: mpsc::Sender<Snapshot>,
    meters: Meters,
}

struct Meters {
    batch_size: Histogram,
    append_seconds: Histogram,
    events: Counter,
    redecided: Counter,
    /// By lane.
    lanes: Vec<Counter>,
}

impl<A: Aggregate> Writer<A> {
    pub(super) fn new(store: PostgresStore, config: WriterConfig, on_commit: OnCommit<A>) -> Self {
        let context = store.context();
        let (snapshots, queue) = mpsc::channel(SNAPSHOT_QUEUE);
        tokio::spawn(keep_snapshots(store.clone(), queue));
        let label = context.name();
        Self {
            context,
            config,
            on_commit,
            connection: None,
            connection_name: format!("orderflow-{context}-writer-{}", Uuid::now_v7().simple()),
            cache: LruCache::new(NonZeroUsize::new(config.cache).unwrap_or(NonZeroUsize::MIN)),
            heads: Vec::new(),
            known_types: HashSet::new(),
            snapshots,
            meters: Meters {
                batch_size: histogram!("orderflow_writer_batch_size", "context" => label),
                append_seconds: histogram!("orderflow_writer_append_duration_seconds", "context" => label),
                events: counter!("orderflow_writer_events_total", "context" => label),
                redecided: counter!("orderflow_writer_batches_redecided_total", "context" => label),
                lanes: store.lanes().all().map(|lane| lane_events(context, lane)).collect(),
            },
            store,
        }
    }

    /// Runs until the mailbox is closed; `depth` is told what it holds.
    pub(super) async fn run(mut self, mailbox: &mut mpsc::Receiver<Submission<A>>, depth: &Gauge) {
        let mut waiting = Vec::with_capacity(self.config.batch_commands);
        loop {
            let room = self.config.batch_commands.saturating_sub(waiting.len());
            if waiting.is_empty() {
                if mailbox.recv_many(&mut waiting, room).await == 0 {
                    return;
                }
            } else {
                while waiting.len() < self.config.batch_commands
                    && let Ok(submission) = mailbox.try_recv()
                {
                    waiting.push(submission);
                }
            }
            depth.set(u32::try_from(mailbox.len()).unwrap_or(u32::MAX));
            self.meters.batch_size.record(u32::try_from(waiting.len()).unwrap_or(u32::MAX));
            waiting = self.batch(waiting).await;
        }
    }

    /// Executes a batch and answers it; gives back what must wait for the next one.
    async fn batch(&mut self, mut submissions: Vec<Submission<A>>) -> Vec<Submission<A>> {
        // A caller that has gone (its request timed out) gets no command executed behind its back.
        submissions.retain_mut(|submission| !traced::is_abandoned(submission));
        let mut known = HashMap::new();
        let result = self.settle(&mut submissions, &mut known).await;
        self.cache_all(known);
        match result {
            Ok(deferred) => deferred,
            Err(failure @ (Failure::Unavailable | Failure::Unknown)) => refuse_all(submissions, &failure.refusal()),
            Err(failure @ Failure::Defect) => {
                self.forget();
                if submissions.len() == 1 {
                    return refuse_all(submissions, &failure.refusal());
                }
                warn!(context = %self.context, commands = submissions.len(), "a batch failed: its commands run one by one");
                let mut deferred = Vec::new();
                for submission in submissions {
                    deferred.extend(Box::pin(self.batch(vec![submission])).await);
                }
                deferred
            }
        }
    }

    /// Decides and appends until nothing stands in the way. What was answered has left `submissions`.
    async fn settle(
        &mut self,
        submissions: &mut Vec<Submission<A>>,
        known: &mut HashMap<StreamId, Versioned<A>>,
    ) -> Result<Vec<Submission<A>>, Failure> {
        for attempt in 0..ATTEMPTS {
            if submissions.is_empty() {
                return Ok(Vec::new());
            }
            traced::enter(traced::DECIDE, submissions);
            self.connect().await?;
            let gathering = self.gather(submissions, known);
            tokio::time::timeout(ANSWER, gathering).await.unwrap_or(Err(Failure::Unavailable))?;
            let basis = Basis {
                lanes: self.store.lanes(),
                heads: &self.heads,
                known,
                known_types: &self.known_types,
                now: Utc::now().trunc_subsecs(6),
                max_bytes: self.config.batch_bytes,
            };
            fail::fail_point!("writer-decide");
            let plan = basis.decide(submissions);
            traced::enter(traced::COMMIT, submissions);
            let appending = traced::append(self.context.name(), submissions, &plan.append);
            let appended = self.append(&plan.append).await;
            traced::appended(appending, &appended);
            match appended? {
                Some(obstacles) if obstacles.is_empty() => return Ok(self.conclude(plan, submissions, known)),
                Some(obstacles) => self.clear(&obstacles, &plan, submissions, known).await?,
                // A conflict with another instance: nothing was stored.
                None => {}
            }
            self.meters.redecided.increment(1);
            if attempt > 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(refuse_all(std::mem::take(submissions), &Refusal::Overloaded))
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        if self.connection.is_none() {
            let connecting = self.store.connect(&self.connection_name, &CONNECTION_SETTINGS);
            let connected = tokio::time::timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(no_answer()));
            let connection = connected.inspect_err(|error| warn!(%error, context = %self.context, "no connection to write"))?;
            self.connection = Some(connection);
        }
        if let (true, Some(connection)) = (self.heads.is_empty(), &mut self.connection) {
            let reading = tokio::time::timeout(ANSWER, read::heads(connection, self.store.lanes().count()));
            match reading.await.unwrap_or_else(|_| Err(no_answer())) {
                Ok(heads) => self.heads = heads,
                Err(failed) => {
                    self.connection = None;
                    return Err(failed.into());
                }
            }
        }
        Ok(())
    }

    /// Brings the aggregates of the batch together: from the cache, else from the store. One that a command is about to
    /// make is not looked for: the append finds it if it is there.
    async fn gather(
        &mut self,
        submissions: &mut Vec<Submission<A>>,
        known: &mut HashMap<StreamId, Versioned<A>>,
    ) -> Result<(), Failure> {
        let mut missing = Vec::new();
        for submission in &*submissions {
            let stream = submission.stream;
            if known.contains_key(&stream) || missing.contains(&stream) {
                continue;
            }
            if let Some(cached) = self.cache.pop(&stream) {
                known.insert(stream, cached);
            } else if !submission.request.creates {
                missing.push(stream);
            }
        }
        self.read(missing, submissions, known).await
    }

    async fn read(
        &mut self,
        missing: Vec<StreamId>,
        submissions: &mut Vec<Submission<A>>,
        known: &mut HashMap<StreamId, Versioned<A>>,
    ) -> Result<(), Failure> {
        if missing.is_empty() {
            return Ok(());
        }
        match state::load(self.store.relay_pool(), &missing).await {
            Ok(states) => known.extend(states),
            Err(LoadError::Postgres(failed)) => return Err(failed.into()),
            // One unreadable stream is no reason to refuse the others.
            Err(LoadError::Decode { .. }) => {
                for stream in missing {
                    match state::load(self.store.relay_pool(), &[stream]).await {
                        Ok(states) => known.extend(states),
                        Err(LoadError::Postgres(failed)) => return Err(failed.into()),
                        Err(failed @ LoadError::Decode { .. }) => {
                            error!(error = %failed, context = %self.context, "a stream can't be read");
                            let unreadable = submissions.extract_if(.., |submission| submission.stream == stream);
                            refuse_all(unreadable.collect(), &Refusal::Failed);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The batch is in: answers everyone, and gives back what was deferred.
    fn conclude(
        &mut self,
        plan: Plan<A>,
        submissions: &mut Vec<Submission<A>>,
        known: &mut HashMap<StreamId, Versioned<A>>,
    ) -> Vec<Submission<A>> {
        self.meters.events.increment(plan.append.events() as u64);
        for (lane, head) in &plan.heads {
            let lane = usize::from(lane.0);
            self.meters.lanes[lane].increment(head.saturating_sub(self.heads[lane]));
            self.heads[lane] = *head;
        }
        for event_type in <A::Event as DomainEvent>::TYPES {
            if plan.append.new_types.iter().any(|stored| stored == event_type) {
                self.known_types.insert(event_type);
            }
        }
        let heads: Vec<_> = plan.heads.into_iter().collect();
        if !heads.is_empty() {
            let mut changed = plan.staged.iter().map(|(stream, changed)| (*stream, changed.version, &changed.state));
            (self.on_commit)(Committed { heads: &heads, changed: &mut changed });
        }
        let mut deferred = Vec::new();
        for (submission, outcome) in submissions.drain(..).zip(plan.outcomes) {
            match outcome {
                Outcome::Accepted(receipt) => submission.answer(Ok(receipt)),
                Outcome::Refused(refusal) => submission.answer(Err(refusal)),
                Outcome::Deferred => deferred.push(submission),
            }
        }
        traced::enter(traced::WAIT, &mut deferred);
        for (stream, changed) in plan.staged {
            self.snapshot(stream, known.get(&stream).map_or(0, |before| before.version), &changed);
            known.insert(stream, changed);
        }
        deferred
    }

    fn snapshot(&self, stream: StreamId, before: u64, after: &Versioned<A>) {
        let every = self.config.snapshot_every;
        if every == 0 || after.version / every == before / every {
            return;
        }
        match after.snapshot(stream) {
            Ok(snapshot) => drop(self.snapshots.try_send(snapshot)),
            Err(error) => warn!(%error, context = %self.context, "a state can't be serialised for a snapshot"),
        }
    }

    fn cache_all(&mut self, known: HashMap<StreamId, Versioned<A>>) {
        for (stream, state) in known {
            self.cache.put(stream, state);
        }
    }

    /// Drops all that was cached, after something that should not have happened.
    fn forget(&mut self) {
        self.cache.clear();
        self.heads.clear();
        self.known_types.clear();
    }
}

/// Each writer has one for every lane; those of one name are the same counter.
fn lane_events(context: Context, lane: Lane) -> Counter {
    counter!("orderflow_lane_events_total", "context" => context.name(), "lane" => lane.0.to_string())
}

fn refuse_all<A: Aggregate>(submissions: Vec<Submission<A>>, refusal: &Refusal) -> Vec<Submission<A>> {
    for submission in submissions {
        submission.answer(Err(refusal.clone()));
    }
    Vec::new()
}

async fn keep_snapshots(store: PostgresStore, mut queue: mpsc::Receiver<Snapshot>) {
    while let Some(snapshot) = queue.recv().await {
        if let Err(error) = read::save_snapshot(store.pool(), &snapshot).await {
            warn!(%error, context = %store.context(), "a snapshot could not be kept");
        }
    }
}
