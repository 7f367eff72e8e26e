//! Numbers of a run as figures.

use std::time::Duration;

/// A count, which stays far below 2⁵³.
#[must_use]
pub(crate) fn figure(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let figure = count as f64;
    figure
}

/// So many in this time, a second.
#[must_use]
pub(crate) fn per_second(count: u64, took: Duration) -> f64 {
    figure(count) / took.as_secs_f64()
}
