//! Telephone numbers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A telephone number in the international form (E.164), such as +442079460000. Its [`fmt::Debug`] hides it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Phone(String);

/// The text is no telephone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a telephone number is + and 7 to 15 digits, the first of which is not 0")]
pub struct PhoneError;

impl Phone {
    /// Checks the shape; spaces, dashes and brackets are dropped.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let number: String = text.chars().filter(|letter| !" -()".contains(*letter)).collect();
        let digits = number.strip_prefix('+').ok_or(PhoneError)?;
        let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if fits && !digits.starts_with('0') { Ok(Self(number)) } else { Err(PhoneError) }
    }

    /// The number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_international() {
        assert_eq!(Phone::parse("+44 (20) 7946-0000").unwrap().as_str(), "+442079460000");
        assert_eq!(format!("{:?}", Phone::parse("+442079460000").unwrap()), "Phone(…)");
        for bad in ["", "+", "0044207946000", "+044207946000", "+44207x", "+123456", "+1234567890123456"] {
            assert_eq!(Phone::parse(bad), Err(PhoneError), "{bad}");
        }
    }
}
