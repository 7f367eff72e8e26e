//! Telephone numbers, sealed.

use events::{Personal, UserId};

use super::{PostgresError, PostgresStore};
use crate::domain::phone::Phone;

impl PostgresStore {
    /// Sets a user's number.
    pub async fn set_phone(&self, user_id: UserId, phone: &Personal<Phone>) -> Result<(), PostgresError> {
        let phone = serde_json::to_value(phone).map_err(|error| PostgresError(sqlx::Error::Encode(error.into())))?;
        sqlx::query!(
            "INSERT INTO notifier.contacts (user_id, phone) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET phone = excluded.phone",
            user_id.0,
            phone,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A user's number, if there is one.
    pub async fn phone(&self, user_id: UserId) -> Result<Option<Personal<Phone>>, PostgresError> {
        let found = sqlx::query_scalar!("SELECT phone FROM notifier.contacts WHERE user_id = $1", user_id.0);
        let phone = found.fetch_optional(&self.pool).await?.map(serde_json::from_value).transpose();
        phone.map_err(|error| PostgresError(sqlx::Error::Decode(error.into())))
    }

    /// Forgets a user's number; false when there was none.
    pub async fn forget_phone(&self, user_id: UserId) -> Result<bool, PostgresError> {
        let deleted = sqlx::query!("DELETE FROM notifier.contacts WHERE user_id = $1", user_id.0).execute(&self.pool).await?;
        Ok(deleted.rows_affected() > 0)
    }
}
