//! Owning a relay group: a session advisory lock on a connection of its own.

use std::time::Duration;

use sqlx::{Connection, PgConnection, postgres::PgListener};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{PostgresError, PostgresStore};
use crate::application::lane::relay_lock;

/// How often the owner shows that it lives.
const PING: Duration = Duration::from_secs(1);
/// Postgres ends a session that has shown nothing for this long, in milliseconds: a stopped process loses the group.
const IDLE_SESSION_TIMEOUT: &str = "5000";

/// A relay group that this process owns, until it is dropped or lost.
#[derive(Debug)]
pub struct Ownership {
    lost: CancellationToken,
    _released: tokio_util::sync::DropGuard,
}

impl Ownership {
    /// Tries to become the group's owner; none while another process is.
    pub async fn acquire(store: &PostgresStore, group: u16) -> Result<Option<Self>, PostgresError> {
        let name = format!("orderflow-{}-relay-{group}", store.context());
        let settings = [("idle_session_timeout", IDLE_SESSION_TIMEOUT), ("statement_timeout", "3000")];
        let mut connection = store.connect(&name, &settings).await?;
        let key = relay_lock(store.context(), group);
        let acquired =
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "acquired!""#, key).fetch_one(&mut connection).await?;
        if !acquired {
            connection.close().await?;
            return Ok(None);
        }
        let (lost, released) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(hold(connection, name, lost.clone(), released.clone()));
        Ok(Some(Self { lost, _released: released.drop_guard() }))
    }

    /// Cancelled when the group was lost.
    #[must_use]
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

async fn hold(mut connection: PgConnection, name: String, lost: CancellationToken, released: CancellationToken) {
    let _lost_at_the_end = lost.drop_guard();
    loop {
        tokio::select! {
            () = released.cancelled() => {
                // Closing the session gives the lock back.
                if let Err(error) = connection.close().await {
                    debug!(%error, name, "the session of a relay group did not close well");
                }
                return;
            }
            () = tokio::time::sleep(PING) => {}
        }
        let ping = tokio::time::timeout(PING * 3, connection.ping());
        match ping.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return warn!(%error, name, "a relay group was lost"),
            Err(_) => return warn!(name, "a relay group was lost: Postgres does not answer"),
        }
    }
}

/// The channel on which other processes tell of a context's new events.
fn channel(store: &PostgresStore) -> String {
    format!("orderflow_{}", store.context())
}

/// Listens for new events of other processes; reconnects by itself.
pub async fn listen(store: &PostgresStore) -> Result<PgListener, PostgresError> {
    let mut listener = PgListener::connect_with(store.relay_pool()).await?;
    listener.listen(&channel(store)).await?;
    Ok(listener)
}

/// Tells other processes that there are new events. Not part of any append: NOTIFY in a transaction serialises commits.
pub async fn notify(store: &PostgresStore) -> Result<(), PostgresError> {
    sqlx::query!("SELECT pg_notify($1, '')", channel(store)).execute(store.relay_pool()).await?;
    Ok(())
}
