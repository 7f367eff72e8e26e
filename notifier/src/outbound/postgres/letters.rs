//! What messages to people are written from.

use std::collections::HashMap;

use events::{Currency, MinorUnits, Money, OrderId, Personal, Quantity, UserId, orders::OrderLine, text};
use sqlx::types::Uuid;

use super::{PostgresError, PostgresStore, to_u64};

/// An order as it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whether we carry it out.
    pub managed: bool,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// What it costs.
    pub total: Money,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What customers call it; none as long as the catalogue was not read that far.
    pub product: Option<String>,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one.
    pub unit_price: Money,
    /// The price of all of them.
    pub price: Money,
}

/// A person, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Whether the account is open.
    pub active: bool,
    /// The name.
    pub name: Option<Personal<text::PersonName>>,
    /// The address.
    pub email: Option<Personal<text::Email>>,
}

impl PostgresStore {
    /// An order; none as long as the topic was not read that far.
    pub async fn order(&self, order_id: OrderId) -> Result<Option<Order>, PostgresError> {
        let found = sqlx::query!("SELECT managed, currency, total, lines FROM notifier.orders WHERE order_id = $1", order_id.0);
        let Some(row) = found.fetch_optional(&self.pool).await? else { return Ok(None) };
        let lines: Vec<OrderLine> = serde_json::from_value(row.lines).map_err(decode)?;
        let currency: Currency = row.currency.parse().map_err(decode)?;
        let money = |minor: MinorUnits| Money { minor, currency };
        let products: Vec<Uuid> = lines.iter().map(|line| line.product_id.0).collect();
        let names = sqlx::query!("SELECT product_id, name FROM notifier.products WHERE product_id = ANY ($1)", &products);
        let names: HashMap<Uuid, String> =
            names.fetch_all(&self.pool).await?.into_iter().map(|row| (row.product_id, row.name)).collect();
        let lines = lines.iter().map(|line| Line {
            product: names.get(&line.product_id.0).cloned(),
            quantity: line.quantity,
            unit_price: money(line.unit_price),
            // It added up when the order was placed.
            price: money(line.unit_price.times(line.quantity).unwrap_or_default()),
        });
        let total = money(MinorUnits::new(to_u64(row.total)).map_err(decode)?);
        Ok(Some(Order { managed: row.managed, lines: lines.collect(), total }))
    }

    /// A person; none as long as the topic was not read that far.
    pub async fn person(&self, user_id: UserId) -> Result<Option<Person>, PostgresError> {
        let found = sqlx::query!("SELECT active, name, email FROM notifier.users WHERE user_id = $1", user_id.0);
        let Some(row) = found.fetch_optional(&self.pool).await? else { return Ok(None) };
        let name = row.name.map(serde_json::from_value).transpose().map_err(decode)?;
        let email = row.email.map(serde_json::from_value).transpose().map_err(decode)?;
        Ok(Some(Person { active: row.active, name, email }))
    }
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> PostgresError {
    PostgresError(sqlx::Error::Decode(Box::new(error)))
}
