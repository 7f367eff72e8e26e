//! One order's way through the system, gathered on demand from what each part keeps anyway: the event store has when an event
//! was committed, Kafka where and when it was published, the change log when it was applied, the notifier whom it was told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use events::{Context, EventId, RecordedEvent, StreamId, topics};
use rdkafka::error::KafkaError;
use read_model::{Generation, Slot, StoredView};
use serde::Serialize;
use service_kit::trace::TraceContext;

use crate::outbound::{
    command_service::{CommandService, CommandServiceError},
    notifier::{Notifier, Receipt},
    redis::{RedisStore, RedisStoreError, SlotState},
    topic_reader::{Place, TopicReader},
};

/// Events of an order that are followed, at most.
const EVENTS: u64 = 200;

/// Records that are looked at for one event, at most.
const RECORDS: usize = 20_000;

/// Why there is no journey.
#[derive(Debug, thiserror::Error)]
pub enum JourneyError {
    /// No such order, or its read model is not there yet.
    #[error("there is no such order, or nothing is projected yet")]
    Unknown,
    /// The event store.
    #[error("command service: {0}")]
    CommandService(#[from] CommandServiceError),
    /// The read models.
    #[error("redis: {0}")]
    Redis(#[from] RedisStoreError),
    /// The topic.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
}

/// All of it.
#[derive(Debug, Serialize)]
pub struct Journey {
    /// The order.
    pub order: StreamId,
    /// The version of the view; 0 for none.
    pub view_version: u64,
    /// Its events.
    pub events: Vec<Leg>,
    /// Why nothing is known of messages, where that is so: no notifier answers.
    pub notifier: Option<String>,
    /// Where it stands still, if it does.
    pub stuck: Option<Stuck>,
}

/// One event's way.
#[derive(Debug, Serialize)]
pub struct Leg {
    /// The position in the stream.
    pub version: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The trace of the command.
    pub trace_id: Option<String>,
    /// In the event store.
    pub committed: Committed,
    /// On Kafka; none: not found.
    pub published: Option<Published>,
    /// In the view; none: not yet.
    pub applied: Option<Applied>,
    /// The messages that follow from it; none when no notifier answers.
    pub notified: Option<Vec<Receipt>>,
    /// Milliseconds from hop to hop, by the clocks of those who wrote the times.
    pub millis: Hops,
}

/// Where the store has it.
#[derive(Debug, Serialize)]
pub struct Committed {
    /// The lane.
    pub lane: u16,
    /// The position in the lane.
    pub seq: u64,
    /// When it was recorded.
    pub at: DateTime<Utc>,
}

/// Where Kafka has it.
#[derive(Debug, Serialize)]
pub struct Published {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's time.
    pub at: Option<DateTime<Utc>>,
}

/// That the view has it.
#[derive(Debug, Serialize)]
pub struct Applied {
    /// When; none when the change log no longer reaches back.
    pub at: Option<DateTime<Utc>>,
}

/// Milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Hops {
    /// From the decision to Kafka.
    pub publish: Option<i64>,
    /// From Kafka to the view.
    pub apply: Option<i64>,
    /// From Kafka to the first message that was sent.
    pub notify: Option<i64>,
    /// From the decision to the view.
    pub total: Option<i64>,
}

/// Where an order stands still.
#[derive(Debug, Serialize)]
pub struct Stuck {
    /// The first event that is not in the view, or that somebody is not told of.
    pub version: u64,
    /// `relay`, `projector`, `dead-letters` or `notifier`.
    pub at: &'static str,
    /// Why, as far as it can be told.
    pub why: String,
}

/// Follows orders. Cloning shares the adapters.
#[derive(Clone)]
pub struct Journeys {
    commands: Arc<CommandService>,
    notifier: Arc<Notifier>,
    store: Arc<RedisStore>,
    brokers: Arc<str>,
    topic: Arc<str>,
}

impl Journeys {
    /// With these adapters and brokers.
    #[must_use]
    pub fn new(
        commands: Arc<CommandService>,
        notifier: Notifier,
        store: Arc<RedisStore>,
        brokers: &str,
        topic_prefix: &str,
    ) -> Self {
        let topic = topics::events(topic_prefix, Context::Orders).into();
        Self { commands, notifier: Arc::new(notifier), store, brokers: brokers.into(), topic }
    }

    /// Follows an order.
    pub async fn of(&self, order: StreamId) -> Result<Journey, JourneyError> {
        let events = self.commands.page(Context::Orders, order, 0, EVENTS).await?.unwrap_or_default().events;
        if events.is_empty() {
            return Err(JourneyError::Unknown);
        }
        let generation = self.store.live_of(Context::Orders).await?.ok_or(JourneyError::Unknown)?;
        let slot = generation.slot_of(self.store.prefix(), Context::Orders, order);
        let (view_version, state, applied) = self.projected(&slot, order).await?;
        let (places, is_end) = self.published(order, generation, &events).await?;
        let (receipts, notifier) = self.notified(&events).await;
        let mut legs = Vec::with_capacity(events.len());
        for event in &events {
            let place = places.get(&event.version);
            let at = applied.range(event.version..).next().map(|(_, at)| *at);
            let is_applied = event.version <= view_version;
            let notified = receipts.as_ref().map(|receipts| receipts.get(&event.id).cloned().unwrap_or_default());
            legs.push(self.leg(event, place, is_applied.then_some(Applied { at }), notified));
        }
        let stuck = stuck(order, view_version, &legs, &state, is_end).or_else(|| untold(&legs));
        Ok(Journey { order, view_version, events: legs, notifier, stuck })
    }

    /// The view's version, the slot's checkpoint and parked streams, and when versions were applied.
    async fn projected(
        &self,
        slot: &Slot,
        order: StreamId,
    ) -> Result<(u64, SlotState, BTreeMap<u64, DateTime<Utc>>), JourneyError> {
        let state = self.store.slot_state(slot).await?;
        let applied = self.store.applied(slot, order).await?;
        let stored = self.store.stored(slot, order).await?;
        let view = stored.as_deref().and_then(|bytes| StoredView::decode(bytes).ok());
        Ok((view.map_or(0, |view| view.header.version), state, applied))
    }

    /// Where Kafka has the events, by version; and whether the search for the last missing one reached the topic's end.
    async fn published(
        &self,
        order: StreamId,
        generation: Generation,
        events: &[RecordedEvent],
    ) -> Result<(BTreeMap<u64, Place>, bool), JourneyError> {
        let number = i32::try_from(generation.partition_of(order)).unwrap_or(i32::MAX);
        let wanted: Vec<_> = events.iter().map(|event| (event.version, event.recorded_at)).collect();
        let (brokers, topic) = (Arc::clone(&self.brokers), self.topic.to_string());
        let searching = tokio::task::spawn_blocking(move || {
            let reader = TopicReader::new(&brokers, topic)?;
            let (mut places, mut is_end) = (BTreeMap::new(), true);
            for (version, recorded_at) in wanted {
                let is_it = |envelope: &events::Envelope<'_>| envelope.stream_id == order && envelope.version == version;
                match reader.find(number, recorded_at, RECORDS, is_it)? {
                    (Some(place), _) => {
                        places.insert(version, place);
                    }
                    (None, end) => {
                        is_end = end;
                        // What follows is published after it.
                        if end {
                            break;
                        }
                    }
                }
            }
            Ok((places, is_end))
        });
        searching.await.unwrap_or(Err(KafkaError::Canceled)).map_err(JourneyError::Kafka)
    }

    /// What became of the messages, by event; or why that is not known.
    async fn notified(&self, events: &[RecordedEvent]) -> (Option<HashMap<EventId, Vec<Receipt>>>, Option<String>) {
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        match self.notifier.receipts(&ids).await {
            Ok(receipts) => (Some(receipts), None),
            Err(error) => (None, Some(error.to_string())),
        }
    }

    fn leg(&self, event: &RecordedEvent, place: Option<&Place>, applied: Option<Applied>, notified: Option<Vec<Receipt>>) -> Leg {
        let published = place.map(|Place { partition, offset, at }| Published {
            topic: self.topic.to_string(),
            partition: *partition,
            offset: *offset,
            at: *at,
        });
        let sent = published.as_ref().and_then(|published| published.at);
        let seen = applied.as_ref().and_then(|applied| applied.at);
        let between = |from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| Some((to? - from?).num_milliseconds());
        let recorded = Some(event.recorded_at);
        let sent_messages = notified.iter().flatten().filter(|receipt| receipt.state == "sent");
        let told = sent_messages.filter_map(|receipt| receipt.settled_at).min();
        let millis = Hops {
            publish: between(recorded, sent),
            apply: between(sent, seen),
            notify: between(sent, told),
            total: between(recorded, seen),
        };
        let trace = event.traceparent.as_deref().and_then(|text| text.parse::<TraceContext>().ok());
        Leg {
            version: event.version,
            event_type: event.event_type.clone(),
            trace_id: trace.map(|trace| trace.trace_id()),
            committed: Committed { lane: event.lane, seq: event.seq, at: event.recorded_at },
            millis,
            published,
            applied,
            notified,
        }
    }
}

fn stuck(order: StreamId, view_version: u64, legs: &[Leg], state: &SlotState, is_end: bool) -> Option<Stuck> {
    let leg = legs.iter().find(|leg| leg.version > view_version)?;
    let version = leg.version;
    if let Some((_, parked)) = state.parked.iter().find(|(stream, _)| *stream == order) {
        let why = format!("version {} is parked: {}", parked.version, parked.cause);
        return Some(Stuck { version, at: "dead-letters", why });
    }
    let checkpoint = state.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.offset);
    let (at, why) = match &leg.published {
        None if is_end => ("relay", "it is not on Kafka yet".to_owned()),
        None => ("relay", format!("it is not among the {RECORDS} records published after it was recorded")),
        Some(place) if place.offset >= checkpoint => {
            ("projector", format!("it is at offset {}, and the projector's checkpoint is {checkpoint}", place.offset))
        }
        Some(place) => {
            ("projector", format!("the checkpoint {checkpoint} is behind its offset {}, and the view lacks it", place.offset))
        }
    };
    Some(Stuck { version, at, why })
}

/// The first message that whoever it is for does not take.
fn untold(legs: &[Leg]) -> Option<Stuck> {
    let of_leg = |leg: &Leg| {
        let refused = |receipt: &&Receipt| receipt.state == "failed" || (receipt.state == "pending" && receipt.cause.is_some());
        let receipt = leg.notified.iter().flatten().find(refused)?.clone();
        let Receipt { kind, recipient, state, attempts, cause, .. } = receipt;
        let cause = cause.unwrap_or_default();
        let why = format!("the {kind} to {recipient} is {state} after {attempts} attempts: {cause}");
        Some(Stuck { version: leg.version, at: "notifier", why })
    };
    legs.iter().find_map(of_leg)
}
