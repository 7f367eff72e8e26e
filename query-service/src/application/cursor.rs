//! Where a list goes on: opaque to clients, and bound to the generation that it was made in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::QueryError;

/// Longer texts are refused unread: the longest member is a product's name of 200 characters and its id.
const MAX_TEXT: usize = 2_048;

/// The last member of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The generation of the index.
    pub generation: u32,
    /// The list that the cursor belongs to: one of another list is refused.
    pub list: u8,
    /// The last member that was given out.
    pub last: Vec<u8>,
}

impl Cursor {
    /// The text that clients get.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(5 + self.last.len());
        bytes.push(self.list);
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(&self.last);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client sent, for the list `list`.
    pub fn decode(text: &str, list: u8) -> Result<Self, QueryError> {
        if text.len() > MAX_TEXT {
            return Err(QueryError::BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| QueryError::BadCursor)?;
        let (head, last) = bytes.split_first_chunk::<5>().ok_or(QueryError::BadCursor)?;
        let [of, generation @ ..] = head;
        if *of != list || last.is_empty() {
            return Err(QueryError::BadCursor);
        }
        Ok(Self { generation: u32::from_be_bytes(*generation), list, last: last.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_in_its_own_list_only() {
        let cursor = Cursor { generation: 7, list: 3, last: b"lantern\x00123".to_vec() };
        let text = cursor.encode();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{text}");
        assert_eq!(Cursor::decode(&text, 3).unwrap(), cursor);
        assert!(Cursor::decode(&text, 4).is_err());
    }

    #[test]
    fn refuses_what_it_did_not_make() {
        for text in ["", "AAAA", "AwAAAAc", "not base64!", &"A".repeat(4_096)] {
            assert!(matches!(Cursor::decode(text, 0), Err(QueryError::BadCursor)), "{text}");
        }
    }
}
