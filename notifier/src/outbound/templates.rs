//! What e-mails say: `templates/*.txt` and `*.html` (whose values are escaped), filled in with an order.

use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use super::postgres::letters::Order;
use crate::domain::written::{News, Note, amount};

/// Every template, by file name: the extension says how values are escaped.
const TEMPLATES: &[(&str, &str)] = &[
    ("layout.txt", include_str!("../../templates/layout.txt")),
    ("layout.html", include_str!("../../templates/layout.html")),
    ("order-confirmed.txt", include_str!("../../templates/order-confirmed.txt")),
    ("order-confirmed.html", include_str!("../../templates/order-confirmed.html")),
    ("order-cancelled.txt", include_str!("../../templates/order-cancelled.txt")),
    ("order-cancelled.html", include_str!("../../templates/order-cancelled.html")),
    ("order-shipped.txt", include_str!("../../templates/order-shipped.txt")),
    ("order-shipped.html", include_str!("../../templates/order-shipped.html")),
    ("order-refunded.txt", include_str!("../../templates/order-refunded.txt")),
    ("order-refunded.html", include_str!("../../templates/order-refunded.html")),
];

/// What an e-mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
}

/// The templates, parsed.
pub struct Templates {
    environment: Environment<'static>,
    shop: String,
}

#[derive(Serialize)]
struct Values<'a> {
    shop: &'a str,
    name: Option<&'a str>,
    order_id: String,
    lines: Vec<LineValues>,
    total: String,
    reason: Option<&'a str>,
    carrier: Option<&'a str>,
    tracking: Option<&'a str>,
    refund: Option<String>,
}

#[derive(Serialize)]
struct LineValues {
    product: String,
    quantity: u32,
    unit_price: String,
    price: String,
}

impl Templates {
    /// All of them, in the name of `shop`.
    pub fn new(shop: String) -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // A misspelt value is an error, not a gap.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut syntax = SyntaxConfig::builder();
        environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, shop })
    }

    /// Writes a letter to somebody (`name`, if it is known).
    pub fn write(&self, note: &Note, order: &Order, name: Option<&str>) -> Result<Letter, minijinja::Error> {
        let (template, subject) = match &note.news {
            News::Confirmed => ("order-confirmed", "is confirmed"),
            News::Cancelled { .. } => ("order-cancelled", "was cancelled"),
            News::Shipped { .. } => ("order-shipped", "is on its way"),
            News::Refunded { .. } => ("order-refunded", "was refunded"),
        };
        let values = self.values(note, order, name);
        let render = |extension: &str| self.environment.get_template(&format!("{template}.{extension}"))?.render(Serde(&values));
        let subject = format!("Your order {} {subject}", note.order_id);
        Ok(Letter { subject, text: render("txt")?, html: render("html")? })
    }

    fn values<'a>(&'a self, note: &'a Note, order: &Order, name: Option<&'a str>) -> Values<'a> {
        let lines = order.lines.iter().map(|line| LineValues {
            product: line.product.clone().unwrap_or_else(|| "An article".to_owned()),
            quantity: line.quantity.get(),
            unit_price: amount(line.unit_price),
            price: amount(line.price),
        });
        let mut values = Values {
            shop: &self.shop,
            name,
            order_id: note.order_id.to_string(),
            lines: lines.collect(),
            total: amount(order.total),
            reason: None,
            carrier: None,
            tracking: None,
            refund: None,
        };
        match &note.news {
            News::Confirmed => {}
            News::Cancelled { reason } => values.reason = Some(reason),
            News::Shipped { carrier, tracking } => (values.carrier, values.tracking) = (carrier.as_deref(), tracking.as_deref()),
            News::Refunded { amount: refund } => values.refund = Some(amount(*refund)),
        }
        values
    }
}

#[cfg(test)]
mod tests;
