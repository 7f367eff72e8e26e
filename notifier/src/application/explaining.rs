//! What would be sent because of the events since some time, and what the ledger says of that. The events are read from the
//! topics, the effects planned by the same pure function as when they were handled, with the endpoints that there are now;
//! nothing is written or sent.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::{Context, Envelope, Event};
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::folding::Horizon;
use crate::{
    domain::effect::Effect,
    outbound::{
        postgres::{PostgresError, PostgresStore},
        topic_reader::TopicReader,
    },
};

/// Events that are looked up in the database at a time.
const TOGETHER: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Events that were published from then on.
    pub from: DateTime<Utc>,
    /// Only up to then, by the time when they were recorded.
    pub until: Option<DateTime<Utc>>,
    /// Effects that are told, at most.
    pub limit: usize,
}

/// One line of the answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// An effect.
    Effect(Explained),
    /// All was told; so many events were read.
    Done {
        /// Events.
        events: u64,
        /// Effects.
        effects: usize,
        /// Whether there are more than were asked for.
        more: bool,
    },
    /// It could not go on.
    Error(String),
}

/// One effect.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// When the event was recorded.
    pub at: DateTime<Utc>,
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The aggregate it happened to.
    pub subject: Uuid,
    /// What would be sent.
    pub kind: &'static str,
    /// The endpoint or the user.
    pub recipient: Uuid,
    /// Under which id.
    pub message_id: Uuid,
    /// Its state in the ledger; absent when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// Why it would only be written down if it were handled now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
}

/// Explains.
#[derive(Clone)]
pub struct Explaining {
    store: PostgresStore,
    topics: TopicReader,
    horizon: Horizon,
}

type Read = (Envelope<'static>, Event);

impl Explaining {
    /// From these topics and this ledger.
    #[must_use]
    pub fn new(store: PostgresStore, topics: TopicReader, horizon: Horizon) -> Self {
        Self { store, topics, horizon }
    }

    /// Tells it, context by context, until nobody listens.
    pub async fn explain(&self, question: Question, told: mpsc::Sender<Told>) {
        let (mut events, mut effects) = (0_u64, 0_usize);
        for context in Context::ALL {
            match self.context(context, question, &told, &mut events, &mut effects).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(cause) => {
                    drop(told.send(Told::Error(cause)).await);
                    return;
                }
            }
        }
        drop(told.send(Told::Done { events, effects, more: effects >= question.limit }).await);
    }

    /// Whether to go on.
    async fn context(
        &self,
        context: Context,
        question: Question,
        told: &mpsc::Sender<Told>,
        events: &mut u64,
        effects: &mut usize,
    ) -> Result<bool, String> {
        let (sender, mut reading) = mpsc::channel::<Read>(TOGETHER);
        let topics = self.topics.clone();
        let reader = tokio::task::spawn_blocking(move || {
            let is_asked_for = |envelope: &Envelope<'_>| question.until.is_none_or(|until| envelope.recorded_at < until);
            topics.read(context, question.from, |envelope, event| {
                !is_asked_for(&envelope) || sender.blocking_send((envelope, event)).is_ok()
            })
        });
        let mut together = Vec::with_capacity(TOGETHER);
        while reading.recv_many(&mut together, TOGETHER).await > 0 {
            *events += u64::try_from(together.len()).unwrap_or(0);
            for line in self.lines(context, &together).await.map_err(|error| error.to_string())? {
                if *effects >= question.limit {
                    return Ok(false);
                }
                *effects += 1;
                if told.send(Told::Effect(line)).await.is_err() {
                    return Ok(false);
                }
            }
            together.clear();
        }
        match reader.await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(format!("the topic of {context} can't be read: {error}")),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn lines(&self, context: Context, together: &[Read]) -> Result<Vec<Explained>, PostgresError> {
        let streams: Vec<Uuid> = together.iter().map(|(envelope, _)| envelope.stream_id).collect();
        let mut folding = self.store.known(context, &streams).await?;
        let mut planned: Vec<(&Envelope<'_>, Effect)> = Vec::new();
        for (envelope, event) in together {
            match folding.explain(envelope, event) {
                Ok(effects) => planned.extend(effects.into_iter().map(|effect| (envelope, effect))),
                Err(error) => tracing::warn!(%error, event.id = %envelope.id, "an event can't be encoded"),
            }
        }
        let ids: Vec<Uuid> = planned.iter().map(|(_, effect)| effect.id()).collect();
        let mut states: HashMap<Uuid, String> = self.store.states(&ids).await?.into_iter().collect();
        let now = Utc::now();
        let lines = planned.into_iter().map(|(envelope, effect)| Explained {
            at: envelope.recorded_at,
            event_id: effect.event_id.0,
            subject: envelope.stream_id,
            kind: effect.kind.name(),
            recipient: effect.recipient,
            message_id: effect.id(),
            ledger: states.remove(&effect.id()),
            skipped: self.horizon.skip(&effect, envelope.recorded_at, now),
            event_type: effect.event_type,
        });
        Ok(lines.collect())
    }
}
