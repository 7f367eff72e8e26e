//! Hot views, kept in process as they go out.
//!
//! Redis tells this process when a key changes that it has read (client-side caching, RESP3, default mode), on the very
//! connection that the reads use. So a reply and the invalidation behind it arrive in order, but the reply is put into
//! the cache by another task, which the invalidation may overtake. That is why a read first leaves a placeholder: an
//! invalidation removes it, and the late value then finds no place.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use quick_cache::{Weighter, sync::Cache};
use read_model::{Header, StoredView, stored::HEADER_BYTES};

use super::{RedisReadError, view_key::ViewKey};

/// What an entry takes beside the JSON: key, header, the cache's own links, and two allocations.
const ENTRY_OVERHEAD: u64 = 256;

/// The number of entries that the cache sizes its tables for, by bytes of capacity: our views have 300 to 1,000 bytes.
const TYPICAL_ENTRY: u64 = 1_024;

/// A view, ready to be sent. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct View {
    /// Version, owner and flags.
    pub header: Header,
    /// The JSON, as the projector wrote it.
    pub json: Bytes,
    /// The version as a strong entity tag; made once, because hot views are sent often.
    pub etag: HeaderValue,
}

impl View {
    /// Takes over a stored value without copying its JSON.
    pub(super) fn decode(stored: Vec<u8>) -> Result<Self, RedisReadError> {
        let header = StoredView::decode(&stored).map_err(|error| RedisReadError::Malformed(error.to_string()))?.header;
        let etag = HeaderValue::try_from(format!("\"{}\"", header.version))
            .map_err(|error| RedisReadError::Malformed(error.to_string()))?;
        Ok(Self { header, json: Bytes::from(stored).slice(HEADER_BYTES..), etag })
    }
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<ViewKey, View> for Bytewise {
    fn weight(&self, _key: &ViewKey, view: &View) -> u64 {
        ENTRY_OVERHEAD + u64::try_from(view.json.len()).unwrap_or(u64::MAX / 2)
    }
}

/// A cache of views, bounded in bytes.
pub(super) struct ViewCache(Cache<ViewKey, View, Bytewise>);

impl ViewCache {
    pub(super) fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / TYPICAL_ENTRY).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(entries, bytes, Bytewise))
    }

    pub(super) fn get(&self, key: &ViewKey) -> Option<View> {
        self.0.get(key)
    }

    /// The cached view, or what `load` reads, which is then kept unless it was invalidated meanwhile. Readers that come
    /// while it loads share its result. `limit` bounds the whole: a reader whose predecessor failed loads anew.
    pub(super) async fn get_or_load(
        &self,
        key: ViewKey,
        limit: Duration,
        load: impl Future<Output = Result<Option<View>, RedisReadError>>,
    ) -> Result<Option<View>, RedisReadError> {
        let read = async {
            let guard = match self.0.get_value_or_guard_async(&key).await {
                Ok(view) => return Ok(Some(view)),
                Err(guard) => guard,
            };
            let Some(view) = load.await? else { return Ok(None) };
            // An error says that the placeholder was invalidated or the view is too large: it is served, not kept.
            drop(guard.insert(view.clone()));
            Ok(Some(view))
        };
        tokio::time::timeout(limit, read)
            .await
            .unwrap_or_else(|_| Err(RedisReadError::Unavailable("no answer in time".to_owned())))
    }

    pub(super) fn remove(&self, key: &ViewKey) {
        self.0.remove(key);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

#[cfg(test)]
mod tests;
