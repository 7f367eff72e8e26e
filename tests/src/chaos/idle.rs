//! Somebody else's session that leaves a transaction open, with a number and a snapshot of its own: to whoever goes by open
//! transactions, nothing that is written meanwhile is settled, and nothing that is dead may be removed.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// How long a transaction is idle at least, by Postgres' own clock.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// The pause between two looks whether it still is.
const LOOK: Duration = Duration::from_millis(500);

/// Transactions that sit idle.
#[derive(Debug, Default)]
pub(super) struct Idlers {
    sitting: JoinSet<()>,
    /// Cancelled once orders were seen that were sent while they sat there.
    probed: CancellationToken,
}

impl Idlers {
    /// Opens one more, which sits there for a minute and until orders were seen meanwhile.
    pub(super) fn open(&mut self, url: &str) {
        let (url, probed) = (url.to_owned(), self.probed.clone());
        self.sitting.spawn(async move {
            // A crash of Postgres ends the transaction; then the minute begins anew.
            while sit(&url, &probed).await.is_err() {
                sleep(LOOK).await;
            }
        });
    }

    /// Orders were accepted and seen: the system does not wait for those that sit there.
    pub(super) fn probed(&mut self) {
        std::mem::take(&mut self.probed).cancel();
    }

    /// Waits until all had their minute.
    pub(super) async fn finish(mut self) {
        self.probed();
        while let Some(ended) = self.sitting.join_next().await {
            ended.expect("a transaction sits idle");
        }
    }
}

async fn sit(url: &str, probed: &CancellationToken) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
    let open = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id(); SELECT count(*) FROM orders.events";
    connection.execute(open).await?;
    let mut looker = PgConnection::connect(url).await?;
    let idle = "SELECT extract(epoch FROM clock_timestamp() - state_change)::float8 FROM pg_stat_activity
        WHERE pid = $1 AND state = 'idle in transaction' AND backend_xid IS NOT NULL AND backend_xmin IS NOT NULL";
    loop {
        // None when Postgres has ended the session.
        let idle: f64 = sqlx::query_scalar(idle).bind(pid).fetch_one(&mut looker).await?;
        if idle >= MINUTE.as_secs_f64() && probed.is_cancelled() {
            return connection.close().await;
        }
        sleep(LOOK).await;
    }
}
