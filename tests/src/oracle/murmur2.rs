//! The hash by which every Kafka client finds a key's partition, as Java's `Utils.murmur2` has it: signed arithmetic.

/// The partition of a key.
#[must_use]
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

fn murmur2(data: &[u8]) -> i32 {
    const M: i32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32.cast_signed() ^ i32::try_from(data.len()).expect("a short key");
    let mut rest = data;
    while let [a, b, c, d, more @ ..] = rest {
        let mut k = i32::from(*a) | i32::from(*b) << 8 | i32::from(*c) << 16 | i32::from(*d) << 24;
        k = k.wrapping_mul(M);
        k = unsigned_shift(k, 24) ^ k;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
        rest = more;
    }
    for (place, byte) in rest.iter().enumerate().rev() {
        hash ^= i32::from(*byte) << (8 * place);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= unsigned_shift(hash, 13);
    hash = hash.wrapping_mul(M);
    hash ^ unsigned_shift(hash, 15)
}

const fn unsigned_shift(number: i32, by: u32) -> i32 {
    (number.cast_unsigned() >> by).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_kafka_does() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }
}
