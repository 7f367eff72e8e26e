//! Storing a batch, and finding out what became of it when the answer is lost.

use std::time::{Duration, Instant};

use chrono::Utc;
use tracing::{info, warn};

use super::{ANSWER, Failure, Writer};
use crate::{
    domain::Aggregate,
    outbound::postgres::{Obstacle, PostgresError, append::Append, read},
};

/// How long the outcome of a lost append is looked for before the callers are told that it is unknown.
const RESOLVE: Duration = Duration::from_secs(5);
/// How long to wait between attempts to reach Postgres.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

impl<A: Aggregate> Writer<A> {
    /// Appends; none when it met a conflict and had no effect.
    pub(super) async fn append(&mut self, append: &Append) -> Result<Option<Vec<Obstacle>>, Failure> {
        let Some(connection) = &mut self.connection else { return Err(Failure::Unavailable) };
        let started = Instant::now();
        let running = append.run(connection, Utc::now().date_naive());
        let result = tokio::time::timeout(ANSWER, running).await.unwrap_or_else(|_| Err(no_answer()));
        self.meters.append_seconds.record(started.elapsed());
        match result {
            Ok(obstacles) => Ok(Some(obstacles)),
            Err(PostgresError::Conflict(error)) => {
                warn!(%error, context = %self.context, "an append met a conflict");
                Ok(None)
            }
            Err(PostgresError::Unavailable(error)) => {
                warn!(%error, context = %self.context, "the connection was lost during an append");
                self.connection = None;
                self.resolve(append).await
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Finds out whether an append whose answer was lost took effect: first ends whatever the old session still does.
    async fn resolve(&mut self, append: &Append) -> Result<Option<Vec<Obstacle>>, Failure> {
        let Some((lane, seq, id)) = append.last_event() else { return Err(Failure::Unavailable) };
        let deadline = Instant::now() + RESOLVE;
        while Instant::now() < deadline {
            let pool = self.store.pool();
            let found = async {
                let ended = end_session(pool, &self.connection_name).await?;
                Ok::<_, PostgresError>((ended, read::event_at(pool, lane, seq).await?))
            };
            match tokio::time::timeout(RESOLVE, found).await {
                Ok(Ok((_, Some(found)))) if found == id => {
                    info!(context = %self.context, "the lost append had been stored");
                    return Ok(Some(Vec::new()));
                }
                // Only a session that is gone can't store it any more.
                Ok(Ok((true, _))) => return Ok(None),
                _ => tokio::time::sleep(RECONNECT_PAUSE).await,
            }
        }
        Err(Failure::Unknown)
    }
}

/// Postgres took longer than it may.
pub(super) fn no_answer() -> PostgresError {
    PostgresError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
}

/// Ends the session of a lost connection and waits for that; true when it is gone, so that nothing of it can take effect
/// later.
async fn end_session(pool: &sqlx::PgPool, name: &str) -> Result<bool, PostgresError> {
    let ended = sqlx::query_scalar!(
        r#"SELECT pg_terminate_backend(pid, 2000) AS "ended!" FROM pg_stat_activity WHERE application_name = $1"#,
        name,
    )
    .fetch_all(pool)
    .await?;
    Ok(ended.into_iter().all(|ended| ended))
}
