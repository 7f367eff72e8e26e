//! Counters of the `orders` context. Each slot counts its own orders; readers add the slots up.
//!
//! | key ([`crate::Slot::counters`]) | type | field or member | counts |
//! |---|---|---|---|
//! | [`DAYS`] | hash | [`DayField`] | orders, units and money by day (UTC, of `occurred_at`) |
//! | [`PRODUCT_UNITS`] | sorted set | product id, simple form | pieces sold and not returned |
//! | [`PRODUCT_REVENUE`] | hash | [`revenue_field`] | minor units sold and not refunded |

use std::fmt;

use chrono::NaiveDate;
use events::{Currency, ProductId};

/// Orders, units and money by day.
pub const DAYS: &str = "days";
/// Pieces by product.
pub const PRODUCT_UNITS: &str = "product-units";
/// Revenue by product and currency.
pub const PRODUCT_REVENUE: &str = "product-revenue";

/// What is counted by day. Orders, units and gross revenue count on the day an order was placed, and not at all once it
/// is cancelled; returns count on the day of the return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DayCounter {
    /// Orders placed and not cancelled.
    Orders,
    /// Orders placed and cancelled later.
    Cancelled,
    /// Pieces ordered.
    Units,
    /// Pieces that came back.
    ReturnedUnits,
    /// Minor units ordered.
    Gross(Currency),
    /// Minor units paid back.
    Refunds(Currency),
}

/// The field of a day's counter in [`DAYS`]: `2010-12-01|gross|GBP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DayField {
    /// The day, UTC.
    pub day: NaiveDate,
    /// What is counted.
    pub counter: DayCounter,
}

impl fmt::Display for DayField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.day;
        match self.counter {
            DayCounter::Orders => write!(f, "{day}|orders"),
            DayCounter::Cancelled => write!(f, "{day}|cancelled"),
            DayCounter::Units => write!(f, "{day}|units"),
            DayCounter::ReturnedUnits => write!(f, "{day}|returned-units"),
            DayCounter::Gross(currency) => write!(f, "{day}|gross|{currency}"),
            DayCounter::Refunds(currency) => write!(f, "{day}|refunds|{currency}"),
        }
    }
}

impl DayField {
    /// Reads a field's name; none when it is no such name.
    #[must_use]
    pub fn parse(field: &str) -> Option<Self> {
        let mut parts = field.split('|');
        let day = parts.next()?.parse().ok()?;
        let counter = match (parts.next()?, parts.next()) {
            ("orders", None) => DayCounter::Orders,
            ("cancelled", None) => DayCounter::Cancelled,
            ("units", None) => DayCounter::Units,
            ("returned-units", None) => DayCounter::ReturnedUnits,
            ("gross", Some(currency)) => DayCounter::Gross(currency.parse().ok()?),
            ("refunds", Some(currency)) => DayCounter::Refunds(currency.parse().ok()?),
            _ => return None,
        };
        Some(Self { day, counter })
    }
}

/// The field of a product's revenue in [`PRODUCT_REVENUE`].
#[must_use]
pub fn revenue_field(product: ProductId, currency: Currency) -> String {
    format!("{}|{currency}", product.0.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_round_trip() {
        let day = NaiveDate::from_ymd_opt(2010, 12, 1).unwrap();
        for counter in [
            DayCounter::Orders,
            DayCounter::Cancelled,
            DayCounter::Units,
            DayCounter::ReturnedUnits,
            DayCounter::Gross(Currency::GBP),
            DayCounter::Refunds(Currency::EUR),
        ] {
            let field = DayField { day, counter };
            assert_eq!(DayField::parse(&field.to_string()), Some(field));
        }
        assert_eq!(DayField::parse("2010-12-01|nonsense"), None);
    }
}
