//! One group of lanes: own it, find where the last owner stopped, publish what follows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use events::RecordedEvent;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use rdkafka::error::KafkaError;
use service_kit::trace::{Message, Messages, Operation};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinError,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::RelaySignal;
use crate::{
    application::lane::Lane,
    failpoint::crash_point,
    outbound::{
        kafka::{
            KafkaSettings,
            cursor::{Cursor, CursorError, Position},
            publisher::{Delivery, PublishError, Publisher},
        },
        postgres::{
            PostgresError, PostgresStore,
            append::to_i64,
            read,
            relay::{Ownership, RelayOwner},
        },
    },
};

/// How often an owner looks for events that nobody told it of, and measures its lag.
const POLL: Duration = Duration::from_secs(1);
/// How often a relay that owns nothing tries again.
const STANDBY: Duration = Duration::from_millis(500);
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of event data in one transaction, about.
const BATCH_BYTES: i64 = 4 << 20;
/// Events of one lane in one transaction, at least and at most.
const BATCH_EVENTS: (i64, i64) = (16, 2_000);

/// Publishes one group of lanes of one context.
pub struct Relay {
    /// The store to publish from.
    pub store: PostgresStore,
    /// Where to publish to.
    pub kafka: KafkaSettings,
    /// How.
    pub delivery: Delivery,
    /// Which group.
    pub group: u16,
    /// Tells of new events.
    pub signal: Arc<RelaySignal>,
    /// Is told how it goes.
    pub health: Arc<dyn RelayHealth>,
    /// Owns groups in the store's database.
    pub owner: RelayOwner,
    /// Take-overs that may go on at a time in this process: each has clients of Kafka that are needed only meanwhile, and all at
    /// once they leave behind memory that nobody needs, and keep a machine that has little time from ending any of them.
    pub turns: Arc<Semaphore>,
}

/// Hears how a relay group does, for readiness.
pub trait RelayHealth: Send + Sync {
    /// It publishes, or stands by for another process that does.
    fn ok(&self);
    /// It does not publish now. Commands are taken all the same: what they store is published later.
    fn late(&self, detail: String);
    /// It will not publish until a person has acted.
    fn refused(&self, detail: String);
}

/// Why a group is not published now.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    /// Postgres failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The cursor can't be read.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The producer could not be opened, or was lost.
    #[error("the producer failed: {0}")]
    Producer(#[from] KafkaError),
    /// See [`PublishError`].
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The store is not the one that was published from, or was restored to an earlier point.
    #[error(
        "the store does not hold event {} of lane {lane}, seq {}, which was published: it was restored to an earlier point, or is another store. Nothing is published until a person decides",
        .position.id, .position.seq
    )]
    StoreBehind {
        /// The lane.
        lane: u16,
        /// What the cursor says.
        position: Position,
    },
    /// Another store's events were published under this topic prefix.
    #[error(
        "the topics carry events of the store {published}, not of {store}: use another TOPIC_PREFIX, or the store that belongs to it"
    )]
    OtherStore {
        /// Of which store the cursor is.
        published: Uuid,
        /// This store.
        store: Uuid,
    },
    /// A blocking task was cancelled or panicked.
    #[error("the publishing task failed: {0}")]
    Task(#[from] JoinError),
}

impl RelayError {
    /// Whether trying again changes nothing until a person acts.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::StoreBehind { .. } | Self::OtherStore { .. })
    }
}

struct Meters {
    published: Counter,
    batch: Histogram,
    lag_events: Gauge,
    lag_seconds: Gauge,
    owned: Gauge,
}

impl Relay {
    /// Runs until `stop`: owns the group when it can, publishes while it owns it.
    pub async fn run(self, stop: CancellationToken) {
        let labels = [("context", self.store.context().name().to_owned()), ("group", self.group.to_string())];
        let meters = Meters {
            published: counter!("orderflow_relay_events_total", &labels),
            batch: histogram!("orderflow_relay_batch_size", &labels),
            lag_events: gauge!("orderflow_relay_lag_events", &labels),
            lag_seconds: gauge!("orderflow_relay_lag_seconds", &labels),
            owned: gauge!("orderflow_relay_owned", &labels),
        };
        loop {
            let turn = self.turns.acquire().await;
            let result = match self.owner.acquire(self.store.context(), self.group).await {
                Ok(Some(ownership)) => {
                    let result = self.own(&ownership, turn.ok(), &meters, &stop).await;
                    self.signal.set_owned(self.group, false);
                    meters.owned.set(0);
                    result.map(|()| Duration::ZERO)
                }
                Ok(None) => {
                    drop(turn);
                    // Its owner tells of it.
                    meters.lag_events.set(0);
                    meters.lag_seconds.set(0);
                    self.health.ok();
                    Ok(STANDBY)
                }
                Err(error) => {
                    drop(turn);
                    Err(error.into())
                }
            };
            // A failure is no excuse to leave what was stored unpublished: who stops us bounds how long we try.
            let ended = stop.is_cancelled() && result.as_ref().err().is_none_or(RelayError::is_refusal);
            let pause = result.unwrap_or_else(|failed| self.report(&failed));
            if ended {
                return;
            }
            tokio::select! {
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn report(&self, failed: &RelayError) -> Duration {
        let (context, group) = (self.store.context(), self.group);
        if failed.is_refusal() {
            error!(%context, group, error = %failed, "the relay refuses to publish");
            self.health.refused(failed.to_string());
        } else {
            warn!(%context, group, error = %failed, "the relay starts over");
            self.health.late(failed.to_string());
        }
        PAUSE
    }

    async fn own(
        &self,
        ownership: &Ownership,
        turn: Option<SemaphorePermit<'_>>,
        meters: &Meters,
        stop: &CancellationToken,
    ) -> Result<(), RelayError> {
        crash_point("relay-owned");
        let (publisher, cursor) = self.take_over().await?;
        self.check_store(&cursor).await?;
        drop(turn);
        let (context, group) = (self.store.context(), self.group);
        info!(%context, group, "the relay owns its group");
        self.signal.set_owned(self.group, true);
        meters.owned.set(1);
        self.health.ok();
        let publishing = self.publish(publisher, cursor, meters, stop);
        tokio::select! {
            () = ownership.lost().cancelled() => {
                warn!(%context, group, "the relay lost its group");
                Ok(())
            }
            result = publishing => result,
        }
    }

    /// Opens the producer, which ends whatever the last owner had begun, and only then reads the cursor. A group without one
    /// has published nothing; whether the topics are this store's, the other groups' cursors tell.
    async fn take_over(&self) -> Result<(Arc<Publisher>, Cursor), RelayError> {
        let (kafka, context, group, delivery) = (self.kafka.clone(), self.store.context(), self.group, self.delivery);
        let (store, groups) = (self.store.store_id(), self.store.relay_groups());
        let opened = tokio::task::spawn_blocking(move || {
            let publisher = Arc::new(Publisher::open(&kafka, context, group, delivery)?);
            crash_point("relay-fenced");
            if let Some(cursor) = Cursor::read(&kafka, context, group)? {
                return Ok((publisher, cursor));
            }
            for other in (0..groups).filter(|other| *other != group) {
                let published = Cursor::store_of(&kafka, context, other)?.unwrap_or(store);
                if published != store {
                    return Err(RelayError::OtherStore { published, store });
                }
            }
            Ok((publisher, Cursor::start(store)))
        });
        opened.await?
    }

    async fn check_store(&self, cursor: &Cursor) -> Result<(), RelayError> {
        if cursor.store_id != self.store.store_id() {
            return Err(RelayError::OtherStore { published: cursor.store_id, store: self.store.store_id() });
        }
        for (lane, position) in &cursor.lanes {
            let id = read::event_at(self.store.relay_pool(), Lane(*lane), position.seq).await?;
            if id != Some(position.id) {
                return Err(RelayError::StoreBehind { lane: *lane, position: *position });
            }
        }
        Ok(())
    }

    async fn publish(
        &self,
        publisher: Arc<Publisher>,
        mut cursor: Cursor,
        meters: &Meters,
        stop: &CancellationToken,
    ) -> Result<(), RelayError> {
        let lanes: Vec<Lane> =
            self.store.lanes().all().filter(|lane| self.signal.group_of(*lane) == usize::from(self.group)).collect();
        let mut limit = 256;
        let mut ahead = None;
        let mut measured = Instant::now();
        loop {
            let events = match ahead.take() {
                Some(events) => events,
                None => self.next(&lanes, &cursor, limit).await?,
            };
            if events.is_empty() {
                meters.lag_seconds.set(0);
                meters.lag_events.set(0);
                if stop.is_cancelled() {
                    return Ok(());
                }
                tokio::select! {
                    () = self.signal.woken(self.group) => {}
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
                continue;
            }
            let mut after = cursor.clone();
            for event in &events {
                after.lanes.insert(event.lane, Position { seq: event.seq, id: event.id.0 });
            }
            let count = to_i64(events.len() as u64);
            limit = next_limit(&events, lanes.len());
            note_age(meters, &events);
            if measured.elapsed() >= POLL {
                measured = Instant::now();
                meters.lag_events.set(u32::try_from(self.behind(&lanes, &cursor).await?).unwrap_or(u32::MAX));
            }
            let published = self.publish_one(&publisher, events, &after);
            // A full batch has more behind it: read that while Kafka commits.
            let next = async { if count >= limit { self.next(&lanes, &after, limit).await.map(Some) } else { Ok(None) } };
            let (published, next) = tokio::join!(published, next);
            if published? {
                meters.published.increment(count.unsigned_abs());
                meters.batch.record(u32::try_from(count).unwrap_or(u32::MAX));
                cursor = after;
                ahead = next?;
            }
        }
    }

    /// Publishes a batch; false when it was aborted and is to be tried again.
    async fn publish_one(
        &self,
        publisher: &Arc<Publisher>,
        events: Vec<RecordedEvent<String>>,
        after: &Cursor,
    ) -> Result<bool, RelayError> {
        let sending = Messages::begin(Operation::Send, publisher.topic(), None, events.iter().map(message));
        let (publisher, after) = (Arc::clone(publisher), after.clone());
        let published = tokio::task::spawn_blocking(move || publisher.publish(&events, &after)).await?;
        match &published {
            Ok(()) => sending.done(),
            Err(error) => sending.failed("publish", error),
        }
        match published {
            Ok(()) => Ok(true),
            Err(PublishError::Aborted(error)) => {
                warn!(%error, "a batch was aborted and is published again");
                tokio::time::sleep(PAUSE).await;
                Ok(false)
            }
            Err(lost @ PublishError::Lost(_)) => Err(lost.into()),
        }
    }

    /// How many events of these lanes are stored and not published.
    async fn behind(&self, lanes: &[Lane], cursor: &Cursor) -> Result<u64, RelayError> {
        let heads = read::heads(self.store.relay_pool(), self.store.lanes().count()).await?;
        Ok(lanes.iter().map(|lane| heads[usize::from(lane.0)].saturating_sub(cursor.seq(*lane))).sum())
    }

    async fn next(&self, lanes: &[Lane], cursor: &Cursor, limit: i64) -> Result<Vec<RecordedEvent<String>>, RelayError> {
        let (names, after): (Vec<_>, Vec<_>) = lanes.iter().map(|lane| (lane.as_i16(), to_i64(cursor.seq(*lane)))).unzip();
        Ok(read::after_cursors(self.store.relay_pool(), &names, &after, limit).await?)
    }
}

/// How many events of each lane to take next, so that a transaction stays near [`BATCH_BYTES`].
fn next_limit(events: &[RecordedEvent<String>], lanes: usize) -> i64 {
    let bytes: usize = events.iter().map(|event| event.data.len()).sum();
    let average = to_i64((bytes / events.len().max(1)).max(1) as u64);
    (BATCH_BYTES / average / to_i64(lanes.max(1) as u64)).clamp(BATCH_EVENTS.0, BATCH_EVENTS.1)
}

fn message(event: &RecordedEvent<String>) -> Message<'_> {
    Message { traceparent: event.traceparent.as_deref(), id: event.id.0, key: event.stream_id, offset: None }
}

fn note_age(meters: &Meters, events: &[RecordedEvent<String>]) {
    let oldest = events.iter().map(|event| event.recorded_at).min();
    let age = oldest.and_then(|at| (Utc::now() - at).to_std().ok()).unwrap_or_default();
    meters.lag_seconds.set(age.as_secs_f64());
}
