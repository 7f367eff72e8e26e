//! What operators see of dead letters, and how what they ask for reaches the owner of the partition. Any process can be
//! asked: all of it goes through Redis.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use events::{Context, StreamId};
use read_model::{Generation, Slot, keys::Parked};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    failure::fingerprint,
    redrive::{Action, Answer, Operation, Request},
};
use crate::outbound::{
    command_service::CommandService,
    redis::{RedisStore, RedisStoreError},
};

/// How long an operator waits for the owner of the partition: it looks once a second, and finishes its chunk first.
const WAIT: Duration = Duration::from_secs(20);
/// How often the answer is looked for.
const POLL: Duration = Duration::from_millis(50);
/// Events of a parked stream that are listed.
const EVENTS_SHOWN: usize = 100;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OperatingError {
    /// The stream is not parked, or the context has no read model.
    #[error("no such parked stream")]
    NotParked,
    /// The context has no read model.
    #[error("no read model")]
    NoReadModel,
    /// Nobody answered in time.
    #[error("the owner of the partition did not answer within {} s", WAIT.as_secs())]
    NoAnswer,
    /// Redis has no answer.
    #[error(transparent)]
    Redis(#[from] RedisStoreError),
}

/// Dead letters as operators see them. Cloning shares the adapters.
#[derive(Clone)]
pub struct Operating {
    store: Arc<RedisStore>,
    commands: Arc<CommandService>,
}

/// Which dead letters are listed; what is none does not filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this context.
    pub context: Option<Context>,
    /// Of this group.
    pub fingerprint: Option<String>,
    /// Whose failed event is of this type.
    pub event_type: Option<String>,
    /// Parked at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Parked before this time.
    pub until: Option<DateTime<Utc>>,
    /// Whether to list the discarded ones instead of the others.
    pub discarded: bool,
}

/// Dead letters, and the groups that they are in.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// How many fit the filter.
    pub total: usize,
    /// All groups of those, the largest first.
    pub groups: Vec<Group>,
    /// The streams parked first, as many as were asked for.
    pub dead_letters: Vec<Entry>,
}

/// Equal failures.
#[derive(Debug, Serialize)]
pub struct Group {
    /// What they have in common.
    pub fingerprint: String,
    /// The context.
    pub context: Context,
    /// The type of the failed events.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The cause of one of them.
    pub cause: String,
    /// How many streams.
    pub streams: usize,
    /// When the first of them was parked.
    pub first: String,
    /// When one of them was last tried.
    pub last: String,
}

/// One parked stream.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The context.
    pub context: Context,
    /// The stream.
    pub stream: StreamId,
    /// The partition of the topic.
    pub partition: u32,
    /// The version of the failed event.
    pub version: u64,
    /// Its type; empty where it is not known.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What went wrong, the last time.
    pub cause: String,
    /// The same for equal failures.
    pub fingerprint: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was parked.
    pub first: String,
    /// When it was last tried.
    pub last: String,
    /// Events of the stream that wait, the failed one among them.
    pub waiting: u64,
    /// Who accepted that it stays parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discarded: Option<Discard>,
    #[serde(skip)]
    since: i64,
}

/// See [`read_model::keys::Discarded`].
#[derive(Debug, Clone, Serialize)]
pub struct Discard {
    /// The subject of their token.
    pub by: String,
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// One parked stream with all that is known of it.
#[derive(Debug, Serialize)]
pub struct Details {
    /// As it is listed.
    #[serde(flatten)]
    pub entry: Entry,
    /// The version of the view; 0 when there is none.
    pub view_version: u64,
    /// The events that wait, as the event store has them; none when the command service does not answer.
    pub events: Option<Vec<Waiting>>,
    /// What is not shown, because it may hold personal data.
    pub redacted: Vec<&'static str>,
    /// What operators did to it, the last first.
    pub operations: Vec<Operation>,
}

/// An event that waits in a parked stream.
#[derive(Debug, Serialize)]
pub struct Waiting {
    /// Its version.
    pub version: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was stored.
    pub recorded_at: DateTime<Utc>,
}

impl Filter {
    fn admits(&self, entry: &Entry) -> bool {
        let millis = |at: &Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        self.discarded == entry.discarded.is_some()
            && self.fingerprint.as_ref().is_none_or(|wanted| *wanted == entry.fingerprint)
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == entry.event_type)
            && millis(&self.since).is_none_or(|since| entry.since >= since)
            && millis(&self.until).is_none_or(|until| entry.since < until)
    }
}

impl Operating {
    /// Works on these read models.
    #[must_use]
    pub fn new(store: Arc<RedisStore>, commands: Arc<CommandService>) -> Self {
        Self { store, commands }
    }

    /// Lists parked streams, at most `limit`.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Listing, OperatingError> {
        let mut entries = Vec::new();
        for (context, generation) in self.store.live().await? {
            if filter.context.is_some_and(|wanted| wanted != context) {
                continue;
            }
            for (partition, slot) in (0..).zip(generation.slots(self.store.prefix(), context)) {
                let parked = self.store.parked(&slot).await?;
                let found = parked.into_iter().map(|(stream, parked)| entry(context, partition, stream, parked));
                entries.extend(found.filter(|entry| filter.admits(entry)));
            }
        }
        entries.sort_unstable_by_key(|entry| (entry.since, entry.stream));
        let (total, groups) = (entries.len(), groups(&entries));
        entries.truncate(limit);
        Ok(Listing { total, groups, dead_letters: entries })
    }

    /// One parked stream.
    pub async fn show(&self, context: Context, stream: StreamId) -> Result<Details, OperatingError> {
        let (generation, slot) = self.slot(context, stream).await?;
        let (parked, view_version) = self.store.parked_one(&slot, stream).await?;
        let parked = parked.ok_or(OperatingError::NotParked)?;
        let events = self.commands.history(context, stream, view_version, parked.until).await;
        let events = events.inspect_err(|error| tracing::warn!(%error, "the history of a parked stream is not to be had"));
        let waiting = |events: Vec<events::RecordedEvent>| {
            let waiting = events.into_iter().take(EVENTS_SHOWN);
            waiting.map(|event| Waiting { version: event.version, event_type: event.event_type, recorded_at: event.recorded_at })
        };
        let mut operations = self.store.operations(&slot).await?;
        operations.retain(|operation| operation.stream == stream);
        operations.sort_unstable_by_key(|operation| std::cmp::Reverse(operation.at));
        Ok(Details {
            entry: entry(context, generation.partition_of(stream), stream, parked),
            view_version,
            events: events.ok().map(|events| waiting(events.unwrap_or_default()).collect()),
            redacted: vec!["the view", "the events' data"],
            operations,
        })
    }

    /// What operators did, the last first; each partition remembers its last 256 operations.
    pub async fn log(&self, limit: usize) -> Result<Vec<Operation>, OperatingError> {
        let mut operations = Vec::new();
        for (context, generation) in self.store.live().await? {
            for slot in generation.slots(self.store.prefix(), context) {
                operations.extend(self.store.operations(&slot).await?);
            }
        }
        operations.sort_unstable_by_key(|operation| std::cmp::Reverse(operation.at));
        operations.truncate(limit);
        Ok(operations)
    }

    /// Asks the owner of a parked stream's partition for something, and waits for its answer.
    pub async fn ask(
        &self,
        context: Context,
        stream: StreamId,
        action: Action,
        by: &str,
        reason: String,
    ) -> Result<Answer, OperatingError> {
        let (_, slot) = self.slot(context, stream).await?;
        if self.store.parked_one(&slot, stream).await?.0.is_none() {
            return Err(OperatingError::NotParked);
        }
        self.request(&slot, stream, action, by, reason).await
    }

    /// Asks the owner of a stream's partition to build its view anew (or what that would change), and waits for its answer.
    pub async fn rebuild(&self, context: Context, stream: StreamId, action: Action, by: &str) -> Result<Answer, OperatingError> {
        let generation = self.store.live_of(context).await?.ok_or(OperatingError::NoReadModel)?;
        let slot = generation.slot_of(self.store.prefix(), context, stream);
        self.request(&slot, stream, action, by, String::new()).await
    }

    async fn request(
        &self,
        slot: &Slot,
        stream: StreamId,
        action: Action,
        by: &str,
        reason: String,
    ) -> Result<Answer, OperatingError> {
        let at = Utc::now().timestamp_millis();
        let deadline = at.saturating_add(i64::try_from(WAIT.as_millis()).unwrap_or(i64::MAX));
        let request = Request { stream, action, by: by.to_owned(), reason, at, deadline, begun: None, answer: None };
        let id = Uuid::now_v7();
        self.store.put_request(slot, id, &request).await?;
        let asked = Instant::now();
        let answer = loop {
            tokio::time::sleep(POLL).await;
            let answer = self.store.request(slot, id).await?.and_then(|request| request.answer);
            if answer.is_some() || asked.elapsed() >= WAIT {
                break answer;
            }
        };
        self.store.drop_request(slot, id).await?;
        answer.ok_or(OperatingError::NoAnswer)
    }

    async fn slot(&self, context: Context, stream: StreamId) -> Result<(Generation, Slot), OperatingError> {
        let generation = self.store.live_of(context).await?.ok_or(OperatingError::NotParked)?;
        Ok((generation, generation.slot_of(self.store.prefix(), context, stream)))
    }
}

fn entry(context: Context, partition: u32, stream: StreamId, parked: Parked) -> Entry {
    let Parked { version, cause, since, until, attempts, last, event_type, fingerprint: known, discarded } = parked;
    // What older projectors parked has neither.
    let fingerprint = if known.is_empty() { fingerprint(context, &event_type, &cause) } else { known };
    Entry {
        context,
        stream,
        partition,
        version,
        event_type,
        cause,
        fingerprint,
        attempts,
        first: time(since),
        last: time(if last == 0 { since } else { last }),
        waiting: (until + 1).saturating_sub(version),
        discarded: discarded.map(|discarded| Discard { at: time(discarded.at), by: discarded.by, reason: discarded.reason }),
        since,
    }
}

fn groups(entries: &[Entry]) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for entry in entries {
        let group = groups.entry(&entry.fingerprint).or_insert_with(|| Group {
            fingerprint: entry.fingerprint.clone(),
            context: entry.context,
            event_type: entry.event_type.clone(),
            cause: entry.cause.clone(),
            streams: 0,
            // The entries are sorted by this.
            first: entry.first.clone(),
            last: String::new(),
        });
        group.streams += 1;
        group.last = std::mem::take(&mut group.last).max(entry.last.clone());
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.streams));
    groups
}

/// RFC 3339, which sorts as the times do.
fn time(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
