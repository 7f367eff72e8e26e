//! Money and quantities. Arithmetic is checked: an overflow is an error, never a wrong amount.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The largest amount that is accepted: 2^53 − 1 minor units, so that a reader that parses JSON numbers as doubles
/// (JavaScript does) never rounds money.
pub const MAX_MINOR: u64 = (1 << 53) - 1;

/// The largest quantity on one line or in one stock movement.
pub const MAX_QUANTITY: u32 = 1_000_000_000;

/// Why an amount or a quantity was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// More than [`MAX_MINOR`].
    #[error("an amount is at most {MAX_MINOR} minor units")]
    TooLarge,
    /// A result below zero.
    #[error("an amount is never negative")]
    Negative,
    /// Not an ISO 4217 code.
    #[error("a currency is an ISO 4217 code of three upper-case letters, such as EUR")]
    UnknownCurrency,
    /// Two currencies met in one sum.
    #[error("amounts in different currencies can't be added")]
    CurrencyMismatch,
    /// Zero, or more than [`MAX_QUANTITY`].
    #[error("a quantity is a whole number from 1 to {MAX_QUANTITY}")]
    Quantity,
}

/// An amount in the minor unit of a currency (pence, cents): 0 to [`MAX_MINOR`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MinorUnits(u64);

impl MinorUnits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Checks the bound.
    pub const fn new(minor: u64) -> Result<Self, MoneyError> {
        if minor > MAX_MINOR { Err(MoneyError::TooLarge) } else { Ok(Self(minor)) }
    }

    /// The number of minor units.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, or [`MoneyError::TooLarge`].
    pub const fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        // Both are below 2^53, so that the sum can't wrap.
        Self::new(self.0 + other.0)
    }

    /// The difference, or [`MoneyError::Negative`].
    pub const fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        match self.0.checked_sub(other.0) {
            Some(minor) => Ok(Self(minor)),
            None => Err(MoneyError::Negative),
        }
    }

    /// The price of `quantity` pieces at this price each.
    pub fn times(self, quantity: Quantity) -> Result<Self, MoneyError> {
        self.0.checked_mul(u64::from(quantity.get())).map_or(Err(MoneyError::TooLarge), Self::new)
    }
}

impl<'de> Deserialize<'de> for MinorUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for MinorUnits {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MinorUnits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": MAX_MINOR })
    }
}

/// An ISO 4217 currency code, such as `GBP`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Pounds sterling.
    pub const GBP: Self = Self(*b"GBP");
    /// Euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency)?;
        if !bytes.iter().all(u8::is_ascii_uppercase) {
            return Err(MoneyError::UnknownCurrency);
        }
        match iso_currency::Currency::from_code(code) {
            Some(_) => Ok(Self(bytes)),
            None => Err(MoneyError::UnknownCurrency),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        code.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code" })
    }
}

/// An amount of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Money {
    /// How many minor units (pence, cents).
    pub minor: MinorUnits,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// The sum, or [`MoneyError::CurrencyMismatch`] or [`MoneyError::TooLarge`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        Ok(Self { minor: self.minor.checked_add(other.minor)?, currency: self.currency })
    }
}

/// A number of pieces: 1 to [`MAX_QUANTITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(u32);

impl Quantity {
    /// Checks the bounds.
    pub const fn new(pieces: u32) -> Result<Self, MoneyError> {
        if pieces == 0 || pieces > MAX_QUANTITY { Err(MoneyError::Quantity) } else { Ok(Self(pieces)) }
    }

    /// The number of pieces.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_QUANTITY })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_amounts_that_a_double_would_round() {
        assert_eq!(MinorUnits::new(MAX_MINOR + 1), Err(MoneyError::TooLarge));
        assert!(serde_json::from_str::<MinorUnits>("9007199254740992").is_err());
        assert!(serde_json::from_str::<MinorUnits>("-1").is_err());
    }

    #[test]
    fn arithmetic_is_checked() {
        let most = MinorUnits::new(MAX_MINOR).unwrap();
        let one = MinorUnits::new(1).unwrap();
        assert_eq!(most.checked_add(one), Err(MoneyError::TooLarge));
        assert_eq!(MinorUnits::ZERO.checked_sub(one), Err(MoneyError::Negative));
        assert_eq!(most.times(Quantity::new(MAX_QUANTITY).unwrap()), Err(MoneyError::TooLarge));
        assert_eq!(one.times(Quantity::new(3).unwrap()).unwrap().get(), 3);
    }

    #[test]
    fn one_currency_a_sum() {
        let pound = Money { minor: MinorUnits::ZERO, currency: Currency::GBP };
        let euro = Money { minor: MinorUnits::ZERO, currency: Currency::EUR };
        assert_eq!(pound.checked_add(euro), Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn knows_iso_4217() {
        assert_eq!("GBP".parse(), Ok(Currency::GBP));
        for code in ["gbp", "QQQ", "GB", "GBPX", ""] {
            assert_eq!(code.parse::<Currency>(), Err(MoneyError::UnknownCurrency), "{code}");
        }
    }

    #[test]
    fn a_quantity_is_never_zero() {
        assert_eq!(Quantity::new(0), Err(MoneyError::Quantity));
        assert!(serde_json::from_str::<Quantity>("0").is_err());
        assert!(serde_json::from_str::<Quantity>("1.5").is_err());
    }
}
