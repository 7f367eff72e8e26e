//! The keys of personal data, each wrapped by the master key.

use std::collections::HashMap;

use events::{DataKey, PersonalError};
use sqlx::PgPool;
use uuid::Uuid;

use super::PostgresError;

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database failed.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The master key does not open it: it was wrapped by another one.
    #[error("the master key does not open the key {key_id}: is PERSONAL_DATA_KEY the one that it was made with?")]
    Unwrap {
        /// The key.
        key_id: Uuid,
        /// What went wrong.
        source: PersonalError,
    },
    /// The key can't be wrapped.
    #[error("the new key can't be wrapped")]
    Wrap(#[source] PersonalError),
}

/// Personal keys in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresKeys {
    pool: PgPool,
    master: DataKey,
}

impl PostgresKeys {
    /// Over the pool of the `users` context.
    #[must_use]
    pub fn new(pool: PgPool, master: DataKey) -> Self {
        Self { pool, master }
    }

    /// The key with this id, made if it is new.
    pub async fn get_or_create(&self, key_id: Uuid) -> Result<DataKey, KeyError> {
        let key = DataKey::generate();
        let wrapped = self.master.seal_bytes(key_id, key.as_bytes()).map_err(KeyError::Wrap)?;
        // The update changes nothing; it makes RETURNING give the row that was there first.
        let stored = sqlx::query_scalar!(
            "INSERT INTO personal_keys (key_id, wrapped) VALUES ($1, $2)
             ON CONFLICT (key_id) DO UPDATE SET key_id = excluded.key_id RETURNING wrapped",
            key_id,
            wrapped,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(PostgresError::from)?;
        self.unwrap(key_id, &stored)
    }

    /// The keys with these ids; those that were destroyed or never made are absent.
    pub async fn get(&self, key_ids: &[Uuid]) -> Result<HashMap<Uuid, DataKey>, KeyError> {
        let rows = sqlx::query!("SELECT key_id, wrapped FROM personal_keys WHERE key_id = ANY ($1)", key_ids)
            .fetch_all(&self.pool)
            .await
            .map_err(PostgresError::from)?;
        rows.into_iter().map(|row| Ok((row.key_id, self.unwrap(row.key_id, &row.wrapped)?))).collect()
    }

    fn unwrap(&self, key_id: Uuid, wrapped: &[u8]) -> Result<DataKey, KeyError> {
        let bytes = self.master.open_bytes(key_id, wrapped).map_err(|source| KeyError::Unwrap { key_id, source })?;
        let bytes = bytes.try_into().map_err(|_| KeyError::Unwrap { key_id, source: PersonalError::Malformed })?;
        Ok(DataKey::from_bytes(bytes))
    }
}
