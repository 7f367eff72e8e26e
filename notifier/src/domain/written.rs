//! What messages to people are written from.

use events::{Money, OrderId};
use serde::{Deserialize, Serialize};

/// The facts of one message, as the ledger keeps them. Nothing personal: whom it goes to is looked up when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Which order it is about.
    pub order_id: OrderId,
    /// What happened to it.
    #[serde(flatten)]
    pub news: News,
    /// W3C trace context of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// What happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "kebab-case")]
pub enum News {
    /// It will be fulfilled.
    Confirmed,
    /// It will not be fulfilled.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// The goods have left.
    Shipped {
        /// With whom.
        carrier: Option<String>,
        /// Under which code.
        tracking: Option<String>,
    },
    /// Money was paid back.
    Refunded {
        /// How much.
        amount: Money,
    },
}

/// An amount as people read it: `39.98 GBP`, with as many decimals as the currency has.
#[must_use]
pub fn amount(money: Money) -> String {
    let exponent = iso_currency::Currency::from_code(money.currency.code()).and_then(|currency| currency.exponent());
    let (minor, digits) = (money.minor.get(), usize::from(exponent.unwrap_or(0)));
    let text = format!("{minor:0>width$}", width = digits + 1);
    let (whole, rest) = text.split_at(text.len() - digits);
    let point = if digits == 0 { "" } else { "." };
    format!("{whole}{point}{rest} {}", money.currency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::{Currency, MinorUnits};

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (minor, code, text) in [
            (3998, "GBP", "39.98 GBP"),
            (5, "EUR", "0.05 EUR"),
            (0, "EUR", "0.00 EUR"),
            (1200, "JPY", "1200 JPY"),
            (1, "BHD", "0.001 BHD"),
        ] {
            let currency: Currency = code.parse().unwrap();
            assert_eq!(amount(Money { minor: MinorUnits::new(minor).unwrap(), currency }), text);
        }
    }

    #[test]
    fn notes_round_trip() {
        let order_id = OrderId(uuid::Uuid::from_u128(1));
        for news in [
            News::Confirmed,
            News::Cancelled { reason: "out of stock".to_owned() },
            News::Shipped { carrier: None, tracking: Some("X1".to_owned()) },
            News::Refunded { amount: Money { minor: MinorUnits::ZERO, currency: Currency::GBP } },
        ] {
            let note = Note { order_id, news, traceparent: Some("00-1-2-01".to_owned()) };
            let text = serde_json::to_string(&note).unwrap();
            assert_eq!(serde_json::from_str::<Note>(&text).unwrap(), note, "{text}");
        }
    }
}
