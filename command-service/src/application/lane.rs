//! Lanes: how streams spread over the event store, and the locks that order their writers.

use std::num::NonZeroU16;

use events::{Context, StreamId};
use sha2::{Digest, Sha256};

use crate::domain::ClaimKind;

/// The number of lanes of a store: fixed for the database's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes(NonZeroU16);

/// One lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub u16);

impl Lane {
    /// The form in which Postgres keeps it.
    #[must_use]
    pub fn as_i16(self) -> i16 {
        // A lane is below `Lanes::MAX`, which fits.
        i16::try_from(self.0).unwrap_or(i16::MAX)
    }

    /// From the form in which Postgres keeps it.
    #[must_use]
    pub fn from_i16(lane: i16) -> Self {
        Self(u16::try_from(lane).unwrap_or_default())
    }
}

impl Lanes {
    /// More lanes than this bring nothing and make batches small.
    pub const MAX: u16 = 1024;

    /// Checks the bounds: 1 to [`Self::MAX`].
    #[must_use]
    pub const fn new(lanes: u16) -> Option<Self> {
        match NonZeroU16::new(lanes) {
            Some(lanes) if lanes.get() <= Self::MAX => Some(Self(lanes)),
            _ => None,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0.get()
    }

    /// Every lane, ascending.
    pub fn all(self) -> impl Iterator<Item = Lane> {
        (0..self.count()).map(Lane)
    }

    /// The lane of a stream. Pinned: changing it would split streams over lanes.
    #[must_use]
    pub fn of(self, stream: StreamId) -> Lane {
        // SplitMix64's finaliser over both halves: UUIDv7 share their first bytes, so that a plain modulo would not do.
        let (high, low) = stream.as_u64_pair();
        let mut hash = high ^ low.rotate_left(32);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        let lane = hash % u64::from(self.count());
        Lane(u16::try_from(lane).unwrap_or_default())
    }
}

/// The advisory lock of a lane: held by the transaction that appends to it.
#[must_use]
pub fn lane_lock(context: Context, lane: Lane) -> i64 {
    lock(&[b"lane", context.name().as_bytes(), &lane.0.to_be_bytes()])
}

/// The advisory lock of a claim: held by the transaction that takes it.
#[must_use]
pub fn claim_lock(context: Context, kind: ClaimKind, value: &[u8]) -> i64 {
    lock(&[b"claim", context.name().as_bytes(), &kind.number().to_be_bytes(), value])
}

/// The advisory lock of a relay group: held by the session that owns it.
#[must_use]
pub fn relay_lock(context: Context, group: u16) -> i64 {
    lock(&[b"relay", context.name().as_bytes(), &group.to_be_bytes()])
}

/// Two things with one lock only wait for each other without need, so 64 bits of a good hash are enough.
fn lock(parts: &[&[u8]]) -> i64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_hash_is_pinned() {
        let lanes = Lanes::new(16).unwrap();
        let lane = |id: &str| lanes.of(id.parse().unwrap()).0;
        assert_eq!(lane("00000000-0000-0000-0000-000000000000"), 0);
        assert_eq!(lane("0190a5e4-7b1c-7c3e-8f00-0123456789ab"), 12);
        assert_eq!(lane("ffffffff-ffff-ffff-ffff-fffffffffffe"), 15);
    }

    #[test]
    fn spreads_ids_of_one_moment_evenly() {
        let lanes = Lanes::new(16).unwrap();
        let mut counts = [0_u32; 16];
        for _ in 0..16_000 {
            counts[usize::from(lanes.of(Uuid::now_v7()).0)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
