//! What happens to orders, as their topic tells it.
//!
//! A jump in an order's versions (a record that could not be read, or that a broker has lost) is filled from the event
//! store.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use consumer::{Handler, Position, Received};
use events::{DecodeError, DomainEvent, Event, OrderEvent, OrderId, RecordedEvent};
use tokio::sync::Notify;

use crate::outbound::{
    command_service::{CommandError, CommandService},
    postgres::{Gaps, HearError, Heard, PostgresError, Store, Unreadable},
};

/// Lets sagas hear what happens to their orders.
pub struct Orders {
    store: Store,
    commands: Arc<CommandService>,
    since: Option<DateTime<Utc>>,
    due: Arc<Notify>,
}

/// Why records were not heard.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// The sagas can't be reached.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Events are missing, and the write side does not give them.
    #[error("{missing}: {error}")]
    Missing {
        /// Which.
        missing: HearError,
        /// What it says instead.
        error: CommandError,
    },
}

impl Orders {
    /// Orders that were placed before `since` are left alone; `due` hears that there may be new steps. `commands` is asked for
    /// what the topic lacks.
    #[must_use]
    pub fn new(store: Store, commands: Arc<CommandService>, since: Option<DateTime<Utc>>, due: Arc<Notify>) -> Self {
        Self { store, commands, since, due }
    }

    /// Fetches what is missing before a record, and puts it there.
    async fn fill(&self, heard: &mut Vec<Heard>, missing: HearError) -> Result<(), OrdersError> {
        let (order, after, until) = match missing {
            HearError::Missing { order, after, until } => (order, after, until),
            HearError::Postgres(error) => return Err(error.into()),
        };
        tracing::warn!(order.id = %order, saga.version = after, stream.version = until + 1,
            "events of an order are missing on its topic: the event store is asked for them");
        metrics::counter!("orderflow_saga_gaps_total").increment(1);
        let found = self.commands.order_events(order, after).await;
        let found = found.map_err(|error| OrdersError::Missing { missing: HearError::Missing { order, after, until }, error })?;
        let place = heard.iter().position(|heard| heard.order_id == order && heard.version > until).unwrap_or(heard.len());
        let between = found.iter().filter(|event| event.version <= until).filter_map(recorded);
        heard.splice(place..place, between.collect::<Vec<_>>());
        Ok(())
    }
}

impl Handler for Orders {
    type Error = OrdersError;

    async fn handle(&self, partition: &[Received]) -> Result<(), OrdersError> {
        let mut heard: Vec<Heard> = partition.iter().filter_map(received).collect();
        let mut gaps = Gaps::Refuse;
        while let Err(error) = self.store.hear(&heard, self.since, gaps).await {
            let before = heard.len();
            self.fill(&mut heard, error).await?;
            // The event store has nothing that this build can read.
            if heard.len() == before {
                gaps = Gaps::Pass;
            }
        }
        self.due.notify_one();
        Ok(())
    }

    async fn unreadable(&self, position: &Position, key: Option<&[u8]>, why: &DecodeError) -> Result<(), OrdersError> {
        let (topic, cause) = (position.topic.as_str(), why.to_string());
        let unreadable = Unreadable { topic, partition: position.partition, offset: position.offset, key, cause: &cause };
        Ok(self.store.keep(unreadable).await?)
    }
}

fn received(received: &Received) -> Option<Heard> {
    let Event::Orders(event) = &received.event else { return None };
    let envelope = &received.envelope;
    Some(Heard {
        order_id: OrderId(envelope.stream_id),
        version: envelope.version,
        event: event.clone(),
        recorded_at: envelope.recorded_at,
        traceparent: envelope.traceparent.as_deref().map(str::to_owned),
    })
}

fn recorded(recorded: &RecordedEvent) -> Option<Heard> {
    let event = OrderEvent::decode(&recorded.event_type, recorded.data.get().as_bytes()).ok()?;
    Some(Heard {
        order_id: OrderId(recorded.stream_id),
        version: recorded.version,
        event,
        recorded_at: recorded.recorded_at,
        traceparent: recorded.traceparent.clone(),
    })
}
