//! Which new traces are recorded: a share of them, chosen by their ids, as the samplers of other languages choose.

use std::sync::atomic::{AtomicU64, Ordering};

/// Ids below are recorded, compared by 63 bits. Without an exporter: none.
static BOUND: AtomicU64 = AtomicU64::new(0);

/// Ids are compared by so many values.
const VALUES: f64 = (1_u64 << 63) as f64;

/// Records this share of the traces that begin in this process, 0 to 1.
pub(crate) fn set_share(share: f64) {
    BOUND.store(bound(share), Ordering::Relaxed);
}

pub(super) fn is_chosen(trace_id: u128) -> bool {
    is_below(trace_id, BOUND.load(Ordering::Relaxed))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 63 bits' values, which fits")]
fn bound(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * VALUES) as u64
}

/// The low half of an id is random in every system that makes any, so that all of them choose the same.
fn is_below(trace_id: u128, bound: u64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace_id.to_be_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_ids_is_chosen() {
        const IDS: u32 = 100_000;
        for (share, least, most) in [(0.0, 0, 0), (0.01, 700, 1_300), (0.5, 49_000, 51_000), (1.0, IDS, IDS)] {
            let mut random = fastrand::Rng::with_seed(7);
            let chosen = (0..IDS).filter(|_| is_below(random.u128(1..), bound(share))).count();
            assert!((least as usize..=most as usize).contains(&chosen), "{share}: {chosen}");
        }
    }

    #[test]
    fn without_an_exporter_none_is() {
        assert!((0..1_000).all(|_| !is_chosen(fastrand::u128(1..))));
    }
}
