//! The partitions of stored answers: made ahead, dropped whole.

use chrono::{Days, NaiveDate};
use sqlx::{AssertSqlSafe, PgConnection};

use super::PostgresError;

/// Days for which a partition is ready before it is needed.
const AHEAD: u64 = 3;
/// Whole days for which answers are kept beyond the day they were stored on: 24 hours reach into the day before.
const BEHIND: u64 = 1;

/// Makes the partitions of today and the next days, and drops those that hold only expired answers.
pub async fn maintain(connection: &mut PgConnection, today: NaiveDate) -> Result<(), PostgresError> {
    for day in (0..=AHEAD).filter_map(|days| today.checked_add_days(Days::new(days))) {
        let Some(next) = day.succ_opt() else { continue };
        // Dates are formatted by us: there is nothing to escape, and DDL takes no parameters.
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} PARTITION OF idempotency FOR VALUES FROM ('{day}') TO ('{next}')",
            partition(day)
        );
        ignore_race(sqlx::query(AssertSqlSafe(create)).execute(&mut *connection).await.map(drop))?;
    }
    let Some(oldest) = today.checked_sub_days(Days::new(BEHIND)) else { return Ok(()) };
    let partitions = sqlx::query_scalar!(
        r#"SELECT c.relname::text AS "name!" FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
           WHERE i.inhparent = 'idempotency'::regclass"#
    )
    .fetch_all(&mut *connection)
    .await?;
    for expired in partitions.iter().filter(|name| name.as_str() < partition(oldest).as_str()) {
        ignore_race(
            sqlx::query(AssertSqlSafe(format!("DROP TABLE IF EXISTS {expired}"))).execute(&mut *connection).await.map(drop),
        )?;
    }
    Ok(())
}

fn partition(day: NaiveDate) -> String {
    format!("idempotency_{}", day.format("%Y%m%d"))
}

/// Two instances that start at once may both make a partition; one of them is told so.
fn ignore_race(result: Result<(), sqlx::Error>) -> Result<(), PostgresError> {
    match result {
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P07" | "23505" | "42710")) => Ok(()),
        other => Ok(other?),
    }
}
