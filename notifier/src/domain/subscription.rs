//! Which events an endpoint gets.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use uuid::Uuid;

/// Types of events: one (`order.placed.v1`), all of an aggregate (`order.*`), all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EventTypes(String);

/// The text is no pattern of event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event type looks like order.placed.v1, order.* or *")]
pub struct PatternError;

impl EventTypes {
    /// The longest that is accepted, in bytes.
    pub const MAX: usize = 64;

    /// Checks the shape. A type that this build does not know may come with the next.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let stem = text.strip_suffix('*').unwrap_or(text);
        let is_type = |text: &str| {
            text.len() <= Self::MAX
                && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-".contains(letter))
        };
        let fits = match stem {
            "" => text == "*",
            stem if stem.len() < text.len() => stem.ends_with('.') && is_type(stem),
            stem => stem.contains('.') && !stem.ends_with('.') && is_type(stem),
        };
        if fits { Ok(Self(text.to_owned())) } else { Err(PatternError) }
    }

    /// Whether events of this type are meant.
    #[must_use]
    pub fn include(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => event_type.starts_with(stem),
            None => event_type == self.0,
        }
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// An endpoint, as far as planning goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The endpoint.
    pub endpoint: Uuid,
    /// What it gets.
    pub event_types: Vec<EventTypes>,
}

impl Subscription {
    /// Whether it gets events of this type.
    #[must_use]
    pub fn includes(&self, event_type: &str) -> bool {
        self.event_types.iter().any(|types| types.include(event_type))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_one_type_some_or_all() {
        let types = |text| EventTypes::parse(text).unwrap();
        assert!(types("order.placed.v1").include("order.placed.v1"));
        assert!(!types("order.placed.v1").include("order.placed.v10"));
        assert!(types("order.*").include("order.placed.v1"));
        assert!(!types("order.*").include("orders.placed.v1"));
        assert!(types("*").include("payment.captured.v1"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "order", "order.", "or*", "order.*.v1", "**", ".*x", "Order.*", "order placed.v1", &"a.".repeat(40)] {
            assert_eq!(EventTypes::parse(text), Err(PatternError), "{text}");
        }
    }
}
