//! Why an event could not be handled, and which failures are the same one.

use events::Context;
use sha2::{Digest, Sha256};

/// Bytes of the hash that are kept: a shop has some groups of failures, not billions.
const FINGERPRINT_BYTES: usize = 8;

/// An event's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong.
    pub cause: String,
    /// The event's type; empty where it is not known.
    pub event_type: String,
    /// See [`fingerprint`].
    pub fingerprint: String,
    /// How often the event was tried.
    pub attempts: u32,
}

impl Failure {
    /// A failure in a context's projection.
    pub fn new(context: Context, event_type: &str, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self { fingerprint: fingerprint(context, event_type, &cause), event_type: event_type.to_owned(), cause, attempts: 1 }
    }
}

/// The same for equal failures, 16 hexadecimal digits: a hash of the projection, the event's type, and the cause without
/// what differs from one event to the next.
#[must_use]
pub fn fingerprint(context: Context, event_type: &str, cause: &str) -> String {
    let hash = Sha256::digest(format!("{context}\n{event_type}\n{}", normalised(cause)));
    hash.iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// The cause with `#` for every word that has a digit (ids, numbers, positions) and `"…"` for every quoted value.
fn normalised(cause: &str) -> String {
    let mut text = String::with_capacity(cause.len());
    // Every second part is between quotes; a quote that is never closed ends with the text.
    for (number, part) in cause.split('"').enumerate() {
        if number % 2 == 1 {
            text.push_str("\"…\"");
            continue;
        }
        let mut rest = part;
        while !rest.is_empty() {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
            let gap = rest.find(is_word).unwrap_or(rest.len());
            text.push_str(&rest[..gap]);
            rest = &rest[gap..];
            let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            let word = &rest[..end];
            text.push_str(if word.contains(|letter: char| letter.is_ascii_digit()) { "#" } else { word });
            rest = &rest[end..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_event_to_event_is_not_part_of_it() {
        let of = |cause| fingerprint(Context::Orders, "order.shipped.v1", cause);
        for (one, other) in [
            (
                "invalid type: integer `17`, expected a string at line 1 column 14",
                "invalid type: integer `3`, expected a string at line 9 column 2",
            ),
            ("invalid type: string \"abc\", expected u64", "invalid type: string \"x y\", expected u64"),
            ("no product 0192f3d2-7a0c-7c7e-8000-0242ac130003 here", "no product 11111111-7a0c-7c7e-8000-0242ac130003 here"),
        ] {
            assert_eq!(of(one), of(other), "{one}");
        }
        assert_ne!(of("an order is placed once"), of("the stream does not begin with this event"));
        assert_ne!(of("bad"), fingerprint(Context::Orders, "order.placed.v1", "bad"));
        assert_ne!(of("bad"), fingerprint(Context::Users, "order.shipped.v1", "bad"));
        assert_eq!(of("bad").len(), 16);
    }
}
