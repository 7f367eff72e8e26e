//! What one worker writes: chunk by chunk, each all or nothing, and only on the revision that the one before it left.
//!
//! A transaction does that (`WATCH`, `MULTI`, `EXEC`), and not a function in Redis: what a function is given is copied to its
//! language and back, which took a third of the time that Redis has for a chunk. The state of the slot is watched all the
//! time between two chunks, so that a chunk costs one round trip.

use std::num::NonZeroUsize;

use read_model::Slot;
use redis::{AsyncConnectionConfig, Client, Pipeline, Value, aio::MultiplexedConnection};
use tokio::sync::Mutex;

use super::{
    CONNECT_TIMEOUT, RESPONSE_TIMEOUT, RedisStoreError,
    transaction::{Release, Writes, releases},
};
use crate::application::changes::Changes;

/// From one revision of a slot to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The one that has to be there; none: the slot has to be empty.
    pub from: Option<u64>,
    /// The one that will be there.
    pub to: u64,
}

/// Whether a chunk was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was.
    Written,
    /// The revision was another (another projector wrote, or Redis was emptied or restored), and nothing was written.
    Fenced,
}

/// Writes a slot over a connection of its own: what a connection watches, it watches for all that use it.
pub struct SlotWriter {
    client: Client,
    slot: Slot,
    log_changes: NonZeroUsize,
    watching: Mutex<Option<Watching>>,
}

/// A connection that watches the slot's state.
struct Watching {
    connection: MultiplexedConnection,
    /// The revision that was there when the watch had begun.
    rev: Option<u64>,
}

impl SlotWriter {
    /// Connects when it is first asked.
    pub(super) fn new(client: Client, slot: Slot, log_changes: NonZeroUsize) -> Self {
        Self { client, slot, log_changes, watching: Mutex::default() }
    }

    /// Writes a chunk if the slot's revision is still `step.from`.
    pub async fn apply(&self, step: Step, cluster: &str, changes: &Changes) -> Result<Applied, RedisStoreError> {
        let mut watching = self.watching.lock().await;
        // A connection on which anything went wrong is not used again: nobody knows what it watches.
        let Watching { mut connection, rev } = self.taken(&mut watching).await?;
        if rev != step.from {
            return Ok(Applied::Fenced);
        }
        let released = self.still_held(&mut connection, changes).await?;
        let mut pipe = redis::pipe();
        pipe.cmd("MULTI").ignore();
        let mut writes = Writes::new(&self.slot, &mut pipe);
        writes.checkpoint(step.to, cluster, changes);
        writes.log(changes, self.log_changes);
        writes.changes(changes, &released);
        pipe.cmd("EXEC");
        let (done, rev): (Value, Option<u64>) = self.watch(&mut pipe).query_async(&mut connection).await?;
        if done == Value::Nil {
            return Ok(Applied::Fenced);
        }
        *watching = Some(Watching { connection, rev });
        Ok(Applied::Written)
    }

    /// The revision of the slot; none when it is empty. Asked now and then, it also finds out in good time that the
    /// connection is gone.
    pub async fn revision(&self) -> Result<Option<u64>, RedisStoreError> {
        let mut watching = self.watching.lock().await;
        let Watching { mut connection, rev } = self.taken(&mut watching).await?;
        let now = redis::cmd("HGET").arg(self.slot.state()).arg("rev").query_async(&mut connection).await?;
        if now == rev {
            *watching = Some(Watching { connection, rev });
        }
        Ok(now)
    }

    /// The connection that watches, or a new one.
    async fn taken(&self, watching: &mut Option<Watching>) -> Result<Watching, RedisStoreError> {
        if let Some(watching) = watching.take() {
            return Ok(watching);
        }
        let mut connection = self.connect().await?;
        let (rev,) = self.watch(&mut redis::pipe()).query_async(&mut connection).await?;
        Ok(Watching { connection, rev })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisStoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Begins to watch the state, and then asks for its revision.
    fn watch<'p>(&self, pipe: &'p mut Pipeline) -> &'p mut Pipeline {
        pipe.cmd("WATCH").arg(self.slot.state()).ignore();
        pipe.cmd("HGET").arg(self.slot.state()).arg("rev")
    }

    /// Of the unique values that the chunk gives up, those that are not another's by now. While the state is watched nobody
    /// can claim one unnoticed: whoever does writes a chunk.
    async fn still_held<'c>(
        &self,
        connection: &mut MultiplexedConnection,
        changes: &'c Changes,
    ) -> Result<Vec<Release<'c>>, RedisStoreError> {
        let mut releases = releases(changes);
        if releases.is_empty() {
            return Ok(releases);
        }
        let mut pipe = redis::pipe();
        for release in &releases {
            pipe.cmd("HGET").arg(self.slot.owners(release.hash)).arg(release.value);
        }
        let owners: Vec<Option<String>> = pipe.query_async(connection).await?;
        let mut owners = owners.into_iter();
        releases.retain(|release| owners.next().flatten().as_ref() == Some(&release.owner));
        Ok(releases)
    }
}
