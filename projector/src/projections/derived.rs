//! What is derived from a view: entries in sorted lists and contributions to counters.

use std::fmt;

use chrono::{DateTime, Utc};
use events::{Currency, ProductId};
use read_model::{index, stats::DayField};
use uuid::Uuid;

/// The name of a sorted list within a slot: see [`read_model::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexName {
    name: &'static str,
    of: Option<Uuid>,
}

impl IndexName {
    /// A list with a fixed name.
    #[must_use]
    pub const fn fixed(name: &'static str) -> Self {
        Self { name, of: None }
    }

    /// One of many lists, `name` followed by an id.
    #[must_use]
    pub const fn of(name: &'static str, id: Uuid) -> Self {
        Self { name, of: Some(id) }
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.of {
            Some(id) => write!(f, "{}", id.simple()),
            None => Ok(()),
        }
    }
}

/// One view's place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The list.
    pub index: IndexName,
    /// What it is sorted by.
    pub rank: Rank,
    /// The view.
    pub id: Uuid,
}

/// What a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rank {
    /// A number.
    Number(i64),
    /// Text, without regard to case.
    Text(String),
}

impl IndexEntry {
    /// An entry sorted by time.
    #[must_use]
    pub const fn timed(index: IndexName, at: DateTime<Utc>, id: Uuid) -> Self {
        Self { index, rank: Rank::Number(at.timestamp_micros()), id }
    }

    /// The member of the sorted set.
    #[must_use]
    pub fn member(&self) -> String {
        match &self.rank {
            Rank::Number(number) => index::counted(*number, self.id),
            Rank::Text(text) => index::named(text, self.id),
        }
    }
}

/// Something that views add up to: see [`read_model::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// In [`read_model::stats::DAYS`].
    Day(DayField),
    /// In [`read_model::stats::PRODUCT_UNITS`].
    ProductUnits(ProductId),
    /// In [`read_model::stats::PRODUCT_REVENUE`].
    ProductRevenue(ProductId, Currency),
}
