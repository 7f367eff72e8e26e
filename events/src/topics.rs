//! Topic names. `prefix` is `orderflow` unless configured; tests use their own.

use crate::Context;

/// The events of a context, for ever, keyed by stream id.
#[must_use]
pub fn events(prefix: &str, context: Context) -> String {
    format!("{prefix}.{context}.v1")
}

/// The relay's cursors of a context: compacted, one partition a relay group.
#[must_use]
pub fn relay_cursors(prefix: &str, context: Context) -> String {
    format!("{prefix}.{context}.relay-cursors.v1")
}

/// Events that a projection could not handle, with their cause.
#[must_use]
pub fn dead_letters(prefix: &str) -> String {
    format!("{prefix}.dead-letters.v1")
}
