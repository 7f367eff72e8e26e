//! Owning relay groups: session advisory locks, all of a database's on one connection of their own.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use events::Context;
use sqlx::{Connection, PgConnection, postgres::PgListener};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, warn};

use super::{PostgresError, PostgresStore};
use crate::application::lane::relay_lock;

/// The name by which the session is found in `pg_stat_activity`.
const NAME: &str = "orderflow-relay-owner";
/// How often the owner shows that it lives, when it has nothing else to say.
const PING: Duration = Duration::from_secs(1);
/// How long an answer may take before the session counts as lost.
const ANSWER: Duration = Duration::from_secs(3);
/// How long opening the session may take.
const CONNECT: Duration = Duration::from_secs(8);
/// How long nobody tries again after that failed: many groups ask for one session.
const PAUSE: Duration = Duration::from_millis(500);
/// Postgres ends a session that has shown nothing for this long, in milliseconds: a stopped process loses its groups.
const IDLE_SESSION_TIMEOUT: &str = "5000";

/// The session with which this process owns relay groups of one database. It is opened when it is needed and kept, so that
/// standing by for another process costs a statement now and then, and no connections.
#[derive(Debug, Clone)]
pub struct RelayOwner(mpsc::UnboundedSender<Request>);

#[derive(Debug)]
enum Request {
    Acquire { key: i64, reply: oneshot::Sender<Result<Option<CancellationToken>, PostgresError>> },
    Release { key: i64 },
}

/// A relay group that this process owns, until it is dropped or lost.
#[derive(Debug)]
pub struct Ownership {
    key: i64,
    lost: CancellationToken,
    owner: RelayOwner,
}

impl RelayOwner {
    /// For the groups of all contexts whose stores are in the same database as this one. It ends when it and all that it gave
    /// out are dropped.
    #[must_use]
    pub fn start(store: PostgresStore) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(Keeper { store, session: None, failed: None }.run(requests));
        Self(sender)
    }

    /// Tries to become the group's owner; none while another process is.
    pub async fn acquire(&self, context: Context, group: u16) -> Result<Option<Ownership>, PostgresError> {
        let key = relay_lock(context, group);
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Request::Acquire { key, reply });
        let lost = answer.await.unwrap_or_else(|_| Err(unavailable("the session of the relays has ended")))?;
        Ok(lost.map(|lost| Ownership { key, lost, owner: self.clone() }))
    }
}

impl Ownership {
    /// Cancelled when the group was lost.
    #[must_use]
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let _ = self.owner.0.send(Request::Release { key: self.key });
    }
}

struct Keeper {
    store: PostgresStore,
    session: Option<Session>,
    /// When the last session could not be opened.
    failed: Option<Instant>,
}

struct Session {
    connection: PgConnection,
    held: HashSet<i64>,
    /// Cancelled when the session is gone.
    lost: CancellationToken,
    _gone: DropGuard,
}

impl Keeper {
    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        loop {
            match tokio::time::timeout(PING, requests.recv()).await {
                Ok(Some(Request::Acquire { key, reply })) => {
                    let answer = self.acquire(key).await;
                    // Who asked has gone: what was got for it goes back.
                    if let Err(Ok(Some(_))) = reply.send(answer) {
                        self.release(key).await;
                    }
                }
                Ok(Some(Request::Release { key })) => self.release(key).await,
                Ok(None) => return self.close().await,
                Err(_) => self.ping().await,
            }
        }
    }

    async fn acquire(&mut self, key: i64) -> Result<Option<CancellationToken>, PostgresError> {
        if self.session.is_none() {
            self.session = Some(self.open().await?);
        }
        let Some(session) = &mut self.session else { return Ok(None) };
        let asked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "acquired!""#, key);
        let answer = tokio::time::timeout(ANSWER, asked.fetch_one(&mut session.connection)).await;
        match answer.map_err(|_| unavailable("Postgres does not answer")).and_then(|answer| answer.map_err(PostgresError::from)) {
            Ok(true) => {
                session.held.insert(key);
                Ok(Some(session.lost.clone()))
            }
            Ok(false) => Ok(None),
            Err(error) => {
                self.lose(&error);
                Err(error)
            }
        }
    }

    async fn open(&mut self) -> Result<Session, PostgresError> {
        if self.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Err(unavailable("a session for the relays could not be opened a moment ago"));
        }
        let settings = [("idle_session_timeout", IDLE_SESSION_TIMEOUT), ("statement_timeout", "3000")];
        let opened = tokio::time::timeout(CONNECT, self.store.connect(NAME, &settings)).await;
        let connection = opened.unwrap_or_else(|_| Err(unavailable("Postgres does not answer")));
        self.failed = connection.is_err().then(Instant::now);
        let lost = CancellationToken::new();
        Ok(Session { connection: connection?, held: HashSet::new(), _gone: lost.clone().drop_guard(), lost })
    }

    /// What a former session held is free already.
    async fn release(&mut self, key: i64) {
        let Some(session) = &mut self.session else { return };
        if !session.held.remove(&key) {
            return;
        }
        let asked = sqlx::query_scalar!(r#"SELECT pg_advisory_unlock($1) AS "released!""#, key);
        match tokio::time::timeout(ANSWER, asked.fetch_one(&mut session.connection)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.lose(&PostgresError::from(error)),
            Err(_) => self.lose(&unavailable("Postgres does not answer")),
        }
    }

    async fn ping(&mut self) {
        let Some(session) = &mut self.session else { return };
        match tokio::time::timeout(ANSWER, session.connection.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lose(&PostgresError::from(error)),
            Err(_) => self.lose(&unavailable("Postgres does not answer")),
        }
    }

    /// Gives the session up; with the connection go its locks.
    fn lose(&mut self, why: &PostgresError) {
        if let Some(session) = self.session.take() {
            warn!(error = %why, groups = session.held.len(), "the session that owns relay groups was lost");
        }
    }

    /// Closing the session gives its locks back at once.
    async fn close(self) {
        let Some(session) = self.session else { return };
        if let Err(error) = session.connection.close().await {
            debug!(%error, "the session that owns relay groups did not close well");
        }
    }
}

fn unavailable(why: &'static str) -> PostgresError {
    PostgresError::Unavailable(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, why)))
}

/// The channel on which other processes tell of a context's new events.
#[must_use]
pub fn channel(store: &PostgresStore) -> String {
    format!("orderflow_{}", store.context())
}

/// Listens for new events of other processes, of all these stores, which share a database; reconnects by itself.
pub async fn listen(stores: &[PostgresStore]) -> Result<Option<PgListener>, PostgresError> {
    let Some(first) = stores.first() else { return Ok(None) };
    let mut listener = PgListener::connect_with(first.relay_pool()).await?;
    let channels: Vec<_> = stores.iter().map(channel).collect();
    listener.listen_all(channels.iter().map(String::as_str)).await?;
    Ok(Some(listener))
}

/// Tells other processes that there are new events. Not part of any append: NOTIFY in a transaction serialises commits.
pub async fn notify(store: &PostgresStore) -> Result<(), PostgresError> {
    sqlx::query!("SELECT pg_notify($1, '')", channel(store)).execute(store.relay_pool()).await?;
    Ok(())
}
