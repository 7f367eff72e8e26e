//! Texts that people write: trimmed, bounded, free of control characters.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Empty, longer than allowed, or with control characters.
    #[error("a {what} has 1 to {max} characters, none of them a control character")]
    Malformed {
        /// What the text is.
        what: &'static str,
        /// The bound, in characters.
        max: usize,
    },
    /// Not an e-mail address.
    #[error("an e-mail address looks like name@domain, has at most 254 characters and no spaces")]
    Email,
    /// Not a provider's token.
    #[error("a payment method is a provider's token: 1 to {max} visible ASCII characters without spaces", max = PaymentMethod::MAX)]
    PaymentMethod,
}

fn clean(text: &str, what: &'static str, max: usize) -> Result<String, TextError> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > max {
        return Err(TextError::Malformed { what, max });
    }
    Ok(text.to_owned())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The longest that is accepted, in characters.
            pub const MAX: usize = $max;

            /// Trims and checks the text.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                clean(text, $what, Self::MAX).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": 1, "maxLength": Self::MAX })
            }
        }
    };
}

text!(
    /// The name of a product.
    ProductName, "product name", 200
);
text!(
    /// A stock-keeping unit. Two that differ only by case name the same product.
    Sku, "SKU", 64
);
text!(
    /// Why something was done, in a person's words.
    Reason, "reason", 200
);
text!(
    /// A carrier's name.
    Carrier, "carrier", 100
);
text!(
    /// A carrier's tracking code.
    TrackingCode, "tracking code", 100
);
text!(
    /// What a payment provider calls something that it did, so that both sides can find it.
    ProviderReference, "provider's reference", 200
);
text!(
    /// The name of a person. Kept only as [`crate::Personal`] in events.
    PersonName, "name", 200
);

impl Sku {
    /// The form under which a SKU is unique: upper case.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.0.to_uppercase()
    }
}

/// An e-mail address. Kept only as [`crate::Personal`] in events.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// The longest that is accepted, in bytes (RFC 5321, erratum 1690).
    pub const MAX: usize = 254;

    /// Trims and checks the shape. Whether the mailbox exists, only a mail can tell.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        let shaped = text.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.')
        });
        if !shaped || text.len() > Self::MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(TextError::Email);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which an address is unique: lower case.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Email {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Email".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "email", "maxLength": Self::MAX })
    }
}

/// A way to pay, as a provider's token for it: opaque here, and worth something only together with our account there. Its
/// [`fmt::Debug`] hides it, and it has no [`fmt::Display`], so that it gets into no log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// The longest that is accepted, in characters.
    pub const MAX: usize = 200;

    /// Checks that it is a token: 1 to [`Self::MAX`] visible ASCII characters.
    pub fn parse(token: &str) -> Result<Self, TextError> {
        let fits = (1..=Self::MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(token.to_owned())) } else { Err(TextError::PaymentMethod) }
    }

    /// The token, for the provider only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(…)")
    }
}

impl<'de> Deserialize<'de> for PaymentMethod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&token).map_err(D::Error::custom)
    }
}

impl JsonSchema for PaymentMethod {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PaymentMethod".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": Self::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_bounds() {
        assert_eq!(ProductName::parse("  Lantern ").unwrap().as_str(), "Lantern");
        assert!(ProductName::parse(" ").is_err());
        assert!(ProductName::parse("a\nb").is_err());
        assert!(ProductName::parse(&"ä".repeat(200)).is_ok());
        assert!(ProductName::parse(&"a".repeat(201)).is_err());
    }

    #[test]
    fn payment_methods_are_tokens_that_nothing_shows() {
        let token = "pm_1Nz$~!";
        let method = PaymentMethod::parse(token).unwrap();
        assert_eq!(method.expose(), token);
        assert_eq!(format!("{method:?}"), "PaymentMethod(…)");
        assert!(PaymentMethod::parse(&"a".repeat(200)).is_ok());
        for bad in ["", " pm_1", "pm 1", "pm_1\n", "pm_ä", &"a".repeat(201)] {
            let refused = serde_json::from_value::<PaymentMethod>(bad.into()).unwrap_err().to_string();
            assert_eq!(PaymentMethod::parse(bad), Err(TextError::PaymentMethod), "{bad}");
            assert!(bad.len() < 4 || !refused.contains(bad), "{refused}");
        }
    }

    #[test]
    fn e_mail_addresses() {
        assert_eq!(Email::parse("Ann@Example.org").unwrap().canonical(), "ann@example.org");
        for bad in ["", "ann", "@x", "ann@", "a b@x.org", "ann@.org", "ann@org."] {
            assert_eq!(Email::parse(bad), Err(TextError::Email), "{bad}");
        }
    }
}
