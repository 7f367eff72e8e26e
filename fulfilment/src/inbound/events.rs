//! What happens to orders, as their topic tells it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use consumer::{Event, Handler, Position, Received};
use events::{DecodeError, OrderId};
use tokio::sync::Notify;

use crate::outbound::postgres::{Heard, PostgresError, Store, Unreadable};

/// Lets sagas hear what happens to their orders.
pub struct Orders {
    store: Store,
    since: Option<DateTime<Utc>>,
    due: Arc<Notify>,
}

impl Orders {
    /// Orders that were placed before `since` are left alone; `due` hears that there may be new steps.
    #[must_use]
    pub fn new(store: Store, since: Option<DateTime<Utc>>, due: Arc<Notify>) -> Self {
        Self { store, since, due }
    }
}

impl Handler for Orders {
    type Error = PostgresError;

    async fn handle(&self, partition: &[Received]) -> Result<(), PostgresError> {
        let heard: Vec<Heard> = partition.iter().filter_map(heard).collect();
        self.store.hear(&heard, self.since).await?;
        self.due.notify_one();
        Ok(())
    }

    async fn unreadable(&self, position: &Position, key: Option<&[u8]>, why: &DecodeError) -> Result<(), PostgresError> {
        let (topic, cause) = (position.topic.as_str(), why.to_string());
        let unreadable = Unreadable { topic, partition: position.partition, offset: position.offset, key, cause: &cause };
        self.store.keep(unreadable).await
    }
}

fn heard(received: &Received) -> Option<Heard> {
    let Event::Order(event) = &received.event else { return None };
    let envelope = &received.envelope;
    Some(Heard {
        order_id: OrderId(envelope.stream_id),
        version: envelope.version,
        event: event.clone(),
        recorded_at: envelope.recorded_at,
        traceparent: envelope.traceparent.as_deref().map(str::to_owned),
    })
}
