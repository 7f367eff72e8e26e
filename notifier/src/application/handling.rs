//! Events come in, effects go into the ledger: one transaction for the records of a partition that came together.

use std::{collections::HashSet, sync::Arc};

use chrono::Utc;
use consumer::{Handler, Position, Received};
use events::{Context, DecodeError};

use super::{
    folding::{Changes, Folding, Horizon},
    mailboxes::Mailboxes,
};
use crate::outbound::postgres::{PostgresError, PostgresStore};

/// Handles events.
pub struct Handling {
    store: PostgresStore,
    mailboxes: Arc<Mailboxes>,
    horizon: Horizon,
}

/// Why records could not be handled now.
#[derive(Debug, thiserror::Error)]
pub enum HandlingError {
    /// The ledger can't be written.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// An event can't be written as JSON again: a defect.
    #[error("an event can't be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Handling {
    /// Writes into `store` what is within the horizon, and wakes whom it concerns.
    #[must_use]
    pub fn new(store: PostgresStore, mailboxes: Arc<Mailboxes>, horizon: Horizon) -> Self {
        Self { store, mailboxes, horizon }
    }
}

impl Handler for Handling {
    type Error = HandlingError;

    async fn handle(&self, partition: &[Received]) -> Result<(), HandlingError> {
        let Some(first) = partition.first() else { return Ok(()) };
        let context = first.event.context();
        let mut handling = self.store.begin_handling(&first.position).await?;
        let folding = handling.known(context, &streams(partition)).await?;
        let changes = fold(folding, partition, &self.horizon)?;
        if changes.versions.is_empty() {
            return Ok(());
        }
        let filled = handling.commit(context, &changes).await?;
        self.mailboxes.wake(&filled);
        Ok(())
    }

    async fn unreadable(&self, position: &Position, key: Option<&[u8]>, why: &DecodeError) -> Result<(), HandlingError> {
        tracing::error!(kafka.position = %position, error = %why, "an event can't be read: it is kept in notifier.unreadable");
        let key = key.map(|key| printable(&String::from_utf8_lossy(key)));
        Ok(self.store.keep_unreadable(position, key.as_deref(), &printable(&why.to_string())).await?)
    }
}

/// Contexts whose events cause anything: all, as endpoints may ask for any.
pub const CONTEXTS: [Context; Context::ALL.len()] = Context::ALL;

/// What Postgres takes as text, which is not everything, and no novels.
fn printable(text: &str) -> String {
    /// Characters.
    const MOST: usize = 500;
    text.chars().filter(|letter| !letter.is_control()).take(MOST).collect()
}

fn streams(partition: &[Received]) -> Vec<uuid::Uuid> {
    let streams: HashSet<_> = partition.iter().map(|received| received.envelope.stream_id).collect();
    streams.into_iter().collect()
}

fn fold(mut folding: Folding, partition: &[Received], horizon: &Horizon) -> Result<Changes, serde_json::Error> {
    let now = Utc::now();
    for received in partition {
        folding.fold(&received.envelope, &received.event, horizon, now)?;
    }
    Ok(folding.changes())
}
