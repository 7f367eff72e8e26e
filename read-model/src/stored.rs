//! A view as it lies in Redis: a fixed binary header, then the JSON that goes out to clients as it is.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0 | format, 1 |
//! | 1 | flags: 1 stale, 2 parked |
//! | 2–9 | version, big-endian |
//! | 10–25 | the owner's user id; zero for none |
//! | 26– | JSON |

use uuid::Uuid;

const FORMAT: u8 = 1;
/// Bytes before the JSON.
pub const HEADER_BYTES: usize = 26;

/// What a reader should know of a view beside its version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Up to date as far as the projector knows.
    pub const NONE: Self = Self(0);
    /// Known to lack later events.
    pub const STALE: Self = Self(1);
    /// Its stream is parked in the dead letters; implies stale.
    pub const PARKED: Self = Self(3);

    /// Whether it lacks later events.
    #[must_use]
    pub const fn is_stale(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether its stream is parked.
    #[must_use]
    pub const fn is_parked(self) -> bool {
        self.0 & 2 != 0
    }
}

/// What stands before a view's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// See [`Flags`].
    pub flags: Flags,
    /// The version of the last event in the view.
    pub version: u64,
    /// The user that the view belongs to, for authorisation; none for guests' orders and payments and for products.
    pub owner: Option<Uuid>,
}

impl Header {
    /// The stored form of a view.
    #[must_use]
    pub fn encode(&self, json: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + json.len());
        bytes.extend([FORMAT, self.flags.0]);
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(self.owner.unwrap_or_default().as_bytes());
        bytes.extend(json);
        bytes
    }
}

/// A view as read from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredView<'a> {
    /// What stands before the JSON.
    pub header: Header,
    /// The JSON.
    pub json: &'a [u8],
}

/// The bytes are no stored view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored view is malformed or of another format")]
pub struct StoredViewError;

impl<'a> StoredView<'a> {
    /// Splits header and JSON.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, StoredViewError> {
        let (header, json) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(StoredViewError)?;
        let [FORMAT, flags, rest @ ..] = header else { return Err(StoredViewError) };
        let (version, owner) = rest.split_first_chunk::<8>().ok_or(StoredViewError)?;
        let owner = Uuid::from_slice(owner).map_err(|_| StoredViewError)?;
        let header =
            Header { flags: Flags(*flags), version: u64::from_be_bytes(*version), owner: (!owner.is_nil()).then_some(owner) };
        Ok(Self { header, json })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for owner in [None, Some(Uuid::from_u128(9))] {
            let header = Header { flags: Flags::PARKED, version: u64::MAX - 1, owner };
            let bytes = header.encode(b"{}");
            assert_eq!(StoredView::decode(&bytes), Ok(StoredView { header, json: b"{}" }));
        }
        assert!(Flags::PARKED.is_stale() && Flags::PARKED.is_parked() && !Flags::NONE.is_stale());
    }

    #[test]
    fn refuses_other_formats_and_short_values() {
        assert_eq!(StoredView::decode(b"{}"), Err(StoredViewError));
        let mut bytes = Header { flags: Flags::NONE, version: 1, owner: None }.encode(b"{}");
        bytes[0] = 2;
        assert_eq!(StoredView::decode(&bytes), Err(StoredViewError));
    }
}
