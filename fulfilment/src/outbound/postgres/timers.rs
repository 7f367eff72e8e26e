//! The time for authorisations.

use super::{PostgresError, Store, hearing::count, row};
use crate::domain::saga::Input;

/// Timers that one look fires, at most.
const MOST: i64 = 100;

impl Store {
    /// Tells sagas whose time is over, each once, and says how many these were.
    pub async fn fire_due(&self) -> Result<u64, PostgresError> {
        let due = sqlx::query_scalar!("SELECT order_id FROM fulfilment.timers WHERE due <= now() ORDER BY due LIMIT $1", MOST,)
            .fetch_all(&self.pool)
            .await?;
        let mut fired = 0;
        for order in due {
            let mut transaction = self.pool.begin().await?;
            let rows = row::lock(&mut transaction, &[order]).await?;
            // It may have been stopped, or fired elsewhere, since it was found.
            let gone = sqlx::query!("DELETE FROM fulfilment.timers WHERE order_id = $1 AND due <= now()", order);
            if gone.execute(&mut *transaction).await?.rows_affected() == 0 {
                continue;
            }
            let mut came = Vec::new();
            for mut row in rows.into_values() {
                row.hear(Input::TimedOut);
                came.push(row.save(&mut transaction, &self.patience).await?);
            }
            transaction.commit().await?;
            came.into_iter().for_each(count);
            fired += 1;
        }
        Ok(fired)
    }
}
