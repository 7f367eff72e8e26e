//! The whole system against the event store, on demand: every view, or a sample, and every record on Kafka.
//!
//! The store is read lane by lane, so that the views of one lane are in memory at a time; beside them a version for each
//! stream. Whatever differs is examined on its own, as the auditor does it, and what lacks events is given time: the system
//! may be at work meanwhile. Nothing is changed.

mod lane;
mod orphans;
mod topic;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use events::{Context, StreamId};
use rdkafka::error::KafkaError;
use read_model::Generation;
use serde::Serialize;
use tokio::sync::mpsc;

use super::audit::examine::{ExamineError, Kind, Sides, Verdict};
use crate::{
    outbound::{
        command_service::{CommandService, CommandServiceError},
        redis::{RedisStore, RedisStoreError},
    },
    projections::{Projection, projection_of},
};
pub use topic::KafkaReport;

/// Events that are read from the feed at a time.
const PAGE: usize = 2_000;

/// How long what is lacking may be on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two looks at it.
const LOOK: Duration = Duration::from_millis(200);

/// Differences that are told one by one, of each context.
const SAMPLES: usize = 20;

/// Why it could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A stream could not be examined.
    #[error(transparent)]
    Examine(#[from] ExamineError),
    /// Kafka.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// Nobody listens any more.
    #[error("the caller is gone")]
    Gone,
}

impl From<CommandServiceError> for VerifyError {
    fn from(error: CommandServiceError) -> Self {
        Self::Examine(error.into())
    }
}

impl From<RedisStoreError> for VerifyError {
    fn from(error: RedisStoreError) -> Self {
        Self::Examine(error.into())
    }
}

/// What is told while it goes on, and in the end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// How far it is.
    Progress(Progress),
    /// One context is done.
    Context(Box<ContextReport>),
    /// All are.
    Done {},
    /// It could not be finished.
    Error(String),
}

/// How far it is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Progress {
    /// The context.
    pub context: Context,
    /// What is counted: `store`, `redis`, `lists` or `kafka`.
    pub phase: &'static str,
    /// How many are done.
    pub done: u64,
    /// Of how many, about.
    pub of: u64,
}

/// What was found in one context.
#[derive(Debug, Serialize)]
pub struct ContextReport {
    /// The context.
    pub context: Context,
    /// Streams of the event store.
    pub streams: u64,
    /// Their events.
    pub events: u64,
    /// Views that were compared.
    pub compared: u64,
    /// Entries of lists and owners of unique values that were looked at.
    pub entries: u64,
    /// Streams that are parked: their views are meant to stand still.
    pub parked: u64,
    /// Views that are not the fold of their stream, and what no view has put into a list, by kind.
    pub wrong: HashMap<&'static str, u64>,
    /// The topic; none when it was not read.
    pub kafka: Option<KafkaReport>,
    /// Some of what is wrong, one line each.
    pub samples: Vec<String>,
}

impl ContextReport {
    fn new(context: Context) -> Self {
        let wrong = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Counters).map(|kind| (kind.name(), 0)).collect();
        Self { context, streams: 0, events: 0, compared: 0, entries: 0, parked: 0, wrong, kafka: None, samples: Vec::new() }
    }

    fn sample(&mut self, text: impl FnOnce() -> String) {
        if self.samples.len() < SAMPLES {
            self.samples.push(text());
        }
    }

    fn wrong(&mut self, kind: Kind, stream: StreamId) {
        self.wrong_as(kind, stream, || format!("the view is {}", kind.name()));
    }

    fn wrong_as(&mut self, kind: Kind, stream: StreamId, how: impl FnOnce() -> String) {
        *self.wrong.entry(kind.name()).or_default() += 1;
        let context = self.context;
        self.sample(|| format!("{context}/{stream}: {}", how()));
    }
}

/// Verifies. Cloning shares the adapters.
#[derive(Clone)]
pub struct Verification {
    commands: Arc<CommandService>,
    store: Arc<RedisStore>,
    brokers: Arc<str>,
    topic_prefix: Arc<str>,
}

/// A stream and the view's version at which something was lacking.
type Lacking = (StreamId, u64);

impl Verification {
    /// With these adapters and brokers.
    #[must_use]
    pub fn new(commands: Arc<CommandService>, store: Arc<RedisStore>, brokers: &str, topic_prefix: &str) -> Self {
        Self { commands, store, brokers: brokers.into(), topic_prefix: topic_prefix.into() }
    }

    /// Verifies every context: all of it, or `sample` streams of each. The last message says how it ended.
    pub async fn run(self, sample: Option<usize>, told: mpsc::Sender<Message>) {
        let last = match self.contexts(sample, &told).await {
            Ok(()) => Message::Done {},
            Err(error) => Message::Error(error.to_string()),
        };
        // Whoever asked may be gone.
        let _ = told.send(last).await;
    }

    async fn contexts(&self, sample: Option<usize>, told: &mpsc::Sender<Message>) -> Result<(), VerifyError> {
        for (context, generation) in self.store.live().await? {
            let report = projection_of!(context, P => self.context::<P>(context, generation, sample, told).await?);
            told.send(Message::Context(Box::new(report))).await.map_err(|_| VerifyError::Gone)?;
        }
        Ok(())
    }

    async fn context<P: Projection>(
        &self,
        context: Context,
        generation: Generation,
        sample: Option<usize>,
        told: &mpsc::Sender<Message>,
    ) -> Result<ContextReport, VerifyError> {
        let mut report = ContextReport::new(context);
        if let Some(sample) = sample {
            self.sampled::<P>(context, generation, sample, &mut report).await?;
            return Ok(report);
        }
        let heads = self.commands.lanes(context).await?;
        let of = heads.iter().sum();
        let mut versions = HashMap::new();
        for (lane, _) in (0..).zip(&heads) {
            let lacking = self.lane::<P>(generation, lane, of, &mut versions, &mut report, told).await?;
            self.wait::<P>(generation, lacking, &mut report).await?;
        }
        report.streams = u64::try_from(versions.len()).unwrap_or(u64::MAX);
        self.strangers::<P>(generation, &versions, &mut report, told).await?;
        self.orphans::<P>(generation, &mut report, told).await?;
        report.kafka = Some(self.topic(context, versions, &mut report, told).await?);
        Ok(report)
    }

    /// Some streams from random places of the store, each examined as the auditor does it, lists and owners too.
    async fn sampled<P: Projection>(
        &self,
        context: Context,
        generation: Generation,
        sample: usize,
        report: &mut ContextReport,
    ) -> Result<(), VerifyError> {
        let heads = self.commands.lanes(context).await?;
        let heads: Vec<(u16, u64)> = (0..).zip(heads).filter(|(_, head)| *head > 0).collect();
        if heads.is_empty() {
            return Ok(());
        }
        let mut seen = std::collections::HashSet::new();
        // Streams with many events are met again and again; that must end.
        for _ in 0..sample.saturating_mul(4) {
            let (lane, head) = heads[fastrand::usize(..heads.len())];
            let event = self.commands.feed(context, lane, fastrand::u64(..head), 1).await?;
            let Some(stream) = event.first().map(|event| event.stream_id).filter(|stream| seen.insert(*stream)) else { continue };
            report.streams += 1;
            let lacking = self.examine::<P>(generation, stream, report).await?;
            self.wait::<P>(generation, lacking.into_iter().collect(), report).await?;
            if seen.len() >= sample {
                break;
            }
        }
        Ok(())
    }

    /// Examines one stream, and counts it unless it lacks something.
    async fn examine<P: Projection>(
        &self,
        generation: Generation,
        stream: StreamId,
        report: &mut ContextReport,
    ) -> Result<Option<Lacking>, VerifyError> {
        let context = report.context;
        let slot = generation.slot_of(self.store.prefix(), context, stream);
        let sides = Sides { commands: &self.commands, store: &self.store, context, slot: &slot };
        let examination = sides.examine::<P>(stream).await?;
        match examination.verdict(stream)? {
            Verdict::Lacking { version, .. } => return Ok(Some((stream, version))),
            Verdict::Wrong(kind) => report.wrong(kind, stream),
            Verdict::Open if examination.sight.is_parked => report.parked += 1,
            Verdict::Open | Verdict::Right => {}
        }
        report.compared += 1;
        Ok(None)
    }

    /// Waits for what is lacking; what still is in the end is wrong.
    async fn wait<P: Projection>(
        &self,
        generation: Generation,
        mut lacking: Vec<Lacking>,
        report: &mut ContextReport,
    ) -> Result<(), VerifyError> {
        let begun = Instant::now();
        while !lacking.is_empty() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
            let mut still = Vec::new();
            for (stream, at) in lacking {
                match self.examine::<P>(generation, stream, report).await? {
                    // It moves: that it is always a little behind is no fault.
                    Some((_, version)) if version > at => report.compared += 1,
                    Some(same) => still.push(same),
                    None => {}
                }
            }
            lacking = still;
        }
        for (stream, version) in lacking {
            report.compared += 1;
            report.wrong(if version == 0 { Kind::Missing } else { Kind::Behind }, stream);
        }
        Ok(())
    }

    /// Views of streams that the store does not have.
    async fn strangers<P: Projection>(
        &self,
        generation: Generation,
        versions: &HashMap<StreamId, u64>,
        report: &mut ContextReport,
        told: &mpsc::Sender<Message>,
    ) -> Result<(), VerifyError> {
        let (mut cursor, mut views) = (0, 0);
        loop {
            let (next, found) = self.store.scan_views(cursor).await?;
            for (number, context, stream) in found {
                if number != generation.number || context != report.context {
                    continue;
                }
                views += 1;
                if !versions.contains_key(&stream) {
                    // Or it is newer than the reading of the store; then it is not wrong.
                    let lacking = self.examine::<P>(generation, stream, report).await?;
                    self.wait::<P>(generation, lacking.into_iter().collect(), report).await?;
                }
            }
            let of = u64::try_from(versions.len()).unwrap_or(u64::MAX);
            progress(told, Progress { context: report.context, phase: "redis", done: views, of }).await?;
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

/// Tells how far it is; nobody has to read every message.
async fn progress(told: &mpsc::Sender<Message>, progress: Progress) -> Result<(), VerifyError> {
    told.send(Message::Progress(progress)).await.map_err(|_| VerifyError::Gone)
}
