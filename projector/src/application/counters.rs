//! Counters of a partition kept in memory between chunks.
//!
//! Redis is told the new values, not the differences: one command sets any number of them, where a difference needs one
//! each. The slot's revision makes that safe, as it does for views: whoever else wrote would have been noticed.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::projections::Counter;

/// Counters kept for each partition, about a megabyte: two for each of 8,000 products. A shop with more of them than that
/// fetches some anew in each chunk.
const COUNTERS: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// The most recently used counters.
pub struct CounterCache(LruCache<Counter, i64>);

impl Default for CounterCache {
    fn default() -> Self {
        let mut counters = LruCache::unbounded();
        counters.resize(COUNTERS);
        Self(counters)
    }
}

impl CounterCache {
    /// A counter's value, if it is known.
    pub fn get(&mut self, counter: &Counter) -> Option<i64> {
        self.0.get(counter).copied()
    }

    /// Notes a counter's value.
    pub fn put(&mut self, counter: Counter, value: i64) {
        self.0.put(counter, value);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
