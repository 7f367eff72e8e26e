//! The keys that open personal data, fetched before the fold so that the fold stays pure.

use std::num::NonZeroUsize;

use events::{DataKey, Personal, PersonalError};
use lru::LruCache;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// Keys kept in memory: 10,000 take about a megabyte, and a chunk asks for some hundred.
const KEYS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// A bounded set of keys. A key that is not in it was erased, as far as the fold knows.
#[derive(Debug)]
pub struct KeyRing(LruCache<Uuid, DataKey>);

impl Default for KeyRing {
    fn default() -> Self {
        // Grows as needed: most workers see no personal data at all.
        let mut keys = LruCache::unbounded();
        keys.resize(KEYS);
        Self(keys)
    }
}

impl KeyRing {
    /// Adds a key.
    pub fn insert(&mut self, id: Uuid, key: DataKey) {
        self.0.put(id, key);
    }

    /// Whether the key is here; if so, it will be for the next some thousand insertions.
    pub fn contains(&mut self, id: Uuid) -> bool {
        self.0.get(&id).is_some()
    }

    /// The value, or none when its key was erased.
    pub fn open<T: Serialize + DeserializeOwned>(&self, sealed: &Personal<T>) -> Result<Option<T>, PersonalError> {
        self.0.peek(&sealed.kid).map(|key| sealed.open(key)).transpose()
    }
}
