//! A product of the catalogue, and its stock: what is on hand, and what of that is set aside for orders.
#![deny(clippy::wildcard_enum_match_arm)]

mod command;
mod error;
mod stock;
#[cfg(test)]
mod tests;

use events::{
    Money, ProductEvent,
    products::{
        ProductCreated, ProductDiscontinued, ProductRenamed, ProductRepriced, StockAdjusted, StockCommitted, StockReleased,
        StockReserved,
    },
    text::{ProductName, Sku},
};
use serde::{Deserialize, Serialize};

use super::{Aggregate, Claim, ClaimKind, order::ProductQuote};

pub use command::{Command, InvalidDelta, Reserve, StockDelta};
pub use error::ProductError;
pub use stock::{MAX_ON_HAND, MAX_OPEN_RESERVATIONS, Reservation, Stock};

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Product {
    /// There is none yet.
    #[default]
    Uncreated,
    /// Can be ordered.
    Active(Item),
    /// Can't be ordered any more; its stock can still be counted and its open reservations still end.
    Discontinued(Item),
}

/// What is known of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The stock-keeping unit.
    pub sku: Sku,
    /// The name that customers see.
    pub name: ProductName,
    /// The list price of one piece.
    pub price: Money,
    /// What there is of it.
    pub stock: Stock,
}

impl Product {
    /// Whether there is such a product, discontinued or not.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.item().is_some()
    }

    /// What is known of the product.
    #[must_use]
    pub const fn item(&self) -> Option<&Item> {
        match self {
            Self::Uncreated => None,
            Self::Active(item) | Self::Discontinued(item) => Some(item),
        }
    }

    /// What an order needs to know of the product, which stands at `version`.
    #[must_use]
    pub fn quote(&self, version: u64) -> Option<ProductQuote> {
        let item = self.item()?;
        Some(ProductQuote { version, price: item.price, orderable: matches!(self, Self::Active(_)) })
    }

    fn existing(&self) -> Result<&Item, ProductError> {
        self.item().ok_or(ProductError::ProductNotFound)
    }

    fn change(&self, name: Option<&ProductName>, price: Option<Money>) -> Result<Vec<ProductEvent>, ProductError> {
        let item = self.existing()?;
        if name.is_none() && price.is_none() {
            return Err(ProductError::NothingToChange);
        }
        let price = price.filter(|price| *price != item.price);
        if let Some(price) = price {
            if let Self::Discontinued(_) = self {
                return Err(ProductError::ProductDiscontinued);
            }
            if price.currency != item.price.currency {
                return Err(ProductError::PriceCurrencyChanged { from: item.price.currency, to: price.currency });
            }
        }
        let renamed = name.filter(|name| **name != item.name).map(|name| ProductRenamed { name: name.clone() }.into());
        let repriced = price.map(|price| ProductRepriced { price }.into());
        Ok(renamed.into_iter().chain(repriced).collect())
    }

    fn reserve(&self, asked: &Reserve) -> Result<Vec<ProductEvent>, ProductError> {
        let Reserve { reservation_id, order_id, quantity, .. } = *asked;
        let stock = &self.existing()?.stock;
        // A repeated request is answered before anything else is asked: the stock is set aside, whatever happened since.
        if let Some(open) = stock.reservation(reservation_id) {
            return if *open == (Reservation { order_id, quantity }) {
                Ok(Vec::new())
            } else {
                Err(ProductError::ReservationConflict { order_id: open.order_id, quantity: open.quantity })
            };
        }
        if let Self::Discontinued(_) = self {
            return Err(ProductError::ProductDiscontinued);
        }
        stock.check_reserve(quantity)?;
        Ok(vec![StockReserved { reservation_id, order_id, quantity }.into()])
    }

    fn map(self, change: impl FnOnce(&mut Item)) -> Self {
        match self {
            Self::Uncreated => Self::Uncreated,
            Self::Active(mut item) => {
                change(&mut item);
                Self::Active(item)
            }
            Self::Discontinued(mut item) => {
                change(&mut item);
                Self::Discontinued(item)
            }
        }
    }
}

impl Aggregate for Product {
    type Command = Command;
    type Event = ProductEvent;
    type Error = ProductError;

    const SHAPE: &'static str = "product/1";

    fn decide(&self, command: &Command) -> Result<Vec<ProductEvent>, ProductError> {
        match command {
            Command::Create { sku, name, price } => match self {
                Self::Uncreated => Ok(vec![ProductCreated { sku: sku.clone(), name: name.clone(), price: *price }.into()]),
                Self::Active(_) | Self::Discontinued(_) => Err(ProductError::AlreadyCreated),
            },
            Command::Change { name, price } => self.change(name.as_ref(), *price),
            Command::AdjustStock { delta, reason } => {
                self.existing()?.stock.check_adjust(*delta)?;
                Ok(vec![StockAdjusted { delta: delta.get(), reason: *reason }.into()])
            }
            Command::Discontinue => match self {
                Self::Uncreated => Err(ProductError::ProductNotFound),
                Self::Active(_) => Ok(vec![ProductDiscontinued {}.into()]),
                Self::Discontinued(_) => Err(ProductError::AlreadyDiscontinued),
            },
            Command::Reserve(asked) => self.reserve(asked),
            Command::Release { reservation_id } => {
                let Reservation { order_id, quantity } = self.existing()?.stock.open(*reservation_id)?;
                Ok(vec![StockReleased { reservation_id: *reservation_id, order_id, quantity }.into()])
            }
            Command::Commit { reservation_id } => {
                let Reservation { order_id, quantity } = self.existing()?.stock.open(*reservation_id)?;
                Ok(vec![StockCommitted { reservation_id: *reservation_id, order_id, quantity }.into()])
            }
        }
    }

    fn evolve(self, event: &ProductEvent) -> Self {
        match event {
            ProductEvent::Created(ProductCreated { sku, name, price }) => {
                Self::Active(Item { sku: sku.clone(), name: name.clone(), price: *price, stock: Stock::default() })
            }
            ProductEvent::Renamed(ProductRenamed { name }) => self.map(|item| item.name = name.clone()),
            ProductEvent::Repriced(ProductRepriced { price }) => self.map(|item| item.price = *price),
            ProductEvent::Discontinued(ProductDiscontinued {}) => match self {
                Self::Uncreated => Self::Uncreated,
                Self::Active(item) | Self::Discontinued(item) => Self::Discontinued(item),
            },
            ProductEvent::StockAdjusted(StockAdjusted { delta, .. }) => self.map(|item| item.stock.adjusted(*delta)),
            ProductEvent::StockReserved(StockReserved { reservation_id, order_id, quantity }) => {
                let reservation = Reservation { order_id: *order_id, quantity: *quantity };
                self.map(|item| item.stock.reserved(*reservation_id, reservation))
            }
            ProductEvent::StockReleased(StockReleased { reservation_id, .. }) => {
                self.map(|item| item.stock.released(*reservation_id))
            }
            ProductEvent::StockCommitted(StockCommitted { reservation_id, quantity, .. }) => {
                self.map(|item| item.stock.committed(*reservation_id, *quantity))
            }
        }
    }

    fn claims(command: &Command) -> Vec<Claim<ProductError>> {
        match command {
            // A discontinued product keeps its SKU: history stays unambiguous.
            Command::Create { sku, .. } => {
                vec![Claim::Take(ClaimKind::Sku, sku.canonical().into_bytes(), ProductError::SkuTaken)]
            }
            Command::Reserve(Reserve { product_id, reservation_id, .. }) => {
                let value = [product_id.0.into_bytes(), reservation_id.0.into_bytes()].concat();
                vec![Claim::Take(ClaimKind::Reservation, value, ProductError::ReservationClosed)]
            }
            Command::Change { .. }
            | Command::AdjustStock { .. }
            | Command::Discontinue
            | Command::Release { .. }
            | Command::Commit { .. } => Vec::new(),
        }
    }
}
