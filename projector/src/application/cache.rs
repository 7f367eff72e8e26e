//! Views of a partition kept in memory between chunks.

use std::num::NonZeroUsize;

use events::StreamId;
use lru::LruCache;

use crate::projections::Projection;

/// The most recently used views, bounded by count and by size.
pub struct ViewCache<P: Projection> {
    // A stream without a view is remembered too: a parked first event has none.
    views: LruCache<StreamId, Option<P::View>>,
    bytes: usize,
    most_bytes: usize,
}

impl<P: Projection> ViewCache<P> {
    /// An empty cache of at most `most` views and about `most_bytes` bytes.
    pub fn new(most: NonZeroUsize, most_bytes: usize) -> Self {
        // Grows as needed: most partitions of most deployments see far fewer streams.
        let mut views = LruCache::unbounded();
        views.resize(most);
        Self { views, bytes: 0, most_bytes }
    }

    /// Takes a view out, for a chunk to change it. None: it is not here.
    pub fn take(&mut self, stream: StreamId) -> Option<Option<P::View>> {
        let view = self.views.pop(&stream)?;
        self.bytes -= size::<P>(view.as_ref());
        Some(view)
    }

    /// Puts a view (back), and drops the least recently used ones that no longer fit.
    pub fn put(&mut self, stream: StreamId, view: Option<P::View>) {
        self.bytes += size::<P>(view.as_ref());
        if let Some((_, dropped)) = self.views.push(stream, view) {
            self.bytes -= size::<P>(dropped.as_ref());
        }
        while self.bytes > self.most_bytes {
            let Some((_, dropped)) = self.views.pop_lru() else { break };
            self.bytes -= size::<P>(dropped.as_ref());
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.views.clear();
        self.bytes = 0;
    }
}

fn size<P: Projection>(view: Option<&P::View>) -> usize {
    /// Key, links and table slot of an entry.
    const OVERHEAD: usize = 96;
    OVERHEAD + view.map_or(0, P::size)
}
