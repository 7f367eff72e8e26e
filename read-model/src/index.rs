//! Index entries: members of sorted sets whose scores are all 0, so that the members' bytes are the order
//! (`ZRANGE … BYLEX`) and a member is an exact cursor.
//!
//! | context | index | member | lists |
//! |---|---|---|---|
//! | orders | `recent` | [`timed`] of placement | all orders |
//! | orders | `status:{status}` | [`timed`] of placement | orders in a status |
//! | orders | `user:{user id, simple}` | [`timed`] of placement | a user's orders |
//! | payments | `order:{order id, simple}` | [`timed`] of the first request | an order's payments |
//! | products | `name` | [`named`] | active and discontinued products by name |
//! | products | `stock` | [`counted`] of available pieces | active products by stock |

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Ordered by time: 16 hex digits of microseconds (biased, so that times before 1970 sort first), then the id.
#[must_use]
pub fn timed(at: DateTime<Utc>, id: Uuid) -> String {
    counted(at.timestamp_micros(), id)
}

/// Ordered by number: 16 hex digits (biased, so that negative numbers sort first), then the id.
#[must_use]
pub fn counted(number: i64, id: Uuid) -> String {
    format!("{}{}", count_prefix(number), id.simple())
}

/// The first 16 digits of [`counted`], for range ends.
#[must_use]
pub fn count_prefix(number: i64) -> String {
    format!("{:016x}", number.cast_unsigned() ^ (1 << 63))
}

/// Ordered by lower-case name, then the id behind a zero byte.
#[must_use]
pub fn named(name: &str, id: Uuid) -> String {
    format!("{}\0{}", name.to_lowercase(), id.simple())
}

/// The id at the end of any member.
#[must_use]
pub fn id_of(member: &[u8]) -> Option<Uuid> {
    let start = member.len().checked_sub(32)?;
    Uuid::try_parse_ascii(&member[start..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_sort_as_their_values() {
        let id = Uuid::from_u128(5);
        let members: Vec<_> = [i64::MIN, -1, 0, 1, i64::MAX].into_iter().map(|number| counted(number, id)).collect();
        assert!(members.is_sorted());
        assert!(named("Lantern", id) < named("lantern small", id));
        for member in [&members[1], &named("Ä\u{1f600}", id)] {
            assert_eq!(id_of(member.as_bytes()), Some(id));
        }
    }
}
