//! An order's life: placed → confirmed → shipped → delivered, cancelled before it ships, returned after it arrived.
#![deny(clippy::wildcard_enum_match_arm)]

mod command;
mod error;
mod placing;
mod returning;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use events::{
    Currency, MinorUnits, OrderEvent, ProductId, Quantity, ReturnId, UserId,
    orders::{Fulfilment, OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped},
};
use serde::{Deserialize, Serialize};

use super::Aggregate;

pub use command::{Command, Customer, NewLine, Payer, PlaceOrder, ProductQuote, Return, Standing};
pub use error::OrderError;
pub use placing::MAX_LINES;
pub use returning::MAX_RETURNS;

/// An order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Order {
    /// There is none yet.
    #[default]
    Unplaced,
    /// Waits to be confirmed.
    Placed(Terms),
    /// Will be fulfilled.
    Confirmed(Terms),
    /// The goods have left.
    Shipped(Terms),
    /// The goods have arrived; some may have come back.
    Delivered(Delivery),
    /// All of the goods have come back.
    Returned(Delivery),
    /// Will not be fulfilled.
    Cancelled(Terms),
}

/// What was agreed on when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who ordered; nobody when it was a guest.
    pub user_id: Option<UserId>,
    /// Who carries it out.
    pub fulfilment: Fulfilment,
    /// The currency of every amount.
    pub currency: Currency,
    /// The sum of all lines.
    pub total: MinorUnits,
    /// The lines, of which the first has the number 1.
    pub lines: Vec<Line>,
}

/// One line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What was ordered.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub unit_price: MinorUnits,
}

/// An order that arrived, and what came back of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What was agreed on.
    #[serde(flatten)]
    pub terms: Terms,
    /// How many pieces of each line came back, in the order of the lines.
    pub returned: Vec<u32>,
    /// The sum of all refunds.
    pub refunded: MinorUnits,
    /// The returns so far.
    pub return_ids: BTreeSet<ReturnId>,
}

impl Order {
    /// Whether there is such an order, in whatever state.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.terms().is_some()
    }

    /// Whose order it is: nobody's when it does not exist or a guest placed it.
    #[must_use]
    pub const fn owner(&self) -> Option<UserId> {
        match self.terms() {
            Some(terms) => terms.user_id,
            None => None,
        }
    }

    /// What was agreed on when the order was placed.
    #[must_use]
    pub const fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Unplaced => None,
            Self::Placed(terms) | Self::Confirmed(terms) | Self::Shipped(terms) | Self::Cancelled(terms) => Some(terms),
            Self::Delivered(delivery) | Self::Returned(delivery) => Some(&delivery.terms),
        }
    }

    fn check_confirm(&self) -> Result<(), OrderError> {
        match self {
            Self::Placed(_) => Ok(()),
            Self::Unplaced => Err(OrderError::OrderNotFound),
            Self::Confirmed(_) => Err(OrderError::AlreadyConfirmed),
            Self::Shipped(_) => Err(OrderError::AlreadyShipped),
            Self::Delivered(_) => Err(OrderError::AlreadyDelivered),
            Self::Returned(_) => Err(OrderError::AlreadyReturned),
            Self::Cancelled(_) => Err(OrderError::AlreadyCancelled),
        }
    }

    fn check_cancel(&self) -> Result<(), OrderError> {
        match self {
            Self::Placed(_) | Self::Confirmed(_) => Ok(()),
            Self::Unplaced => Err(OrderError::OrderNotFound),
            Self::Shipped(_) => Err(OrderError::AlreadyShipped),
            Self::Delivered(_) => Err(OrderError::AlreadyDelivered),
            Self::Returned(_) => Err(OrderError::AlreadyReturned),
            Self::Cancelled(_) => Err(OrderError::AlreadyCancelled),
        }
    }

    fn check_ship(&self) -> Result<(), OrderError> {
        match self {
            Self::Confirmed(_) => Ok(()),
            Self::Unplaced => Err(OrderError::OrderNotFound),
            Self::Placed(_) => Err(OrderError::NotConfirmed),
            Self::Shipped(_) => Err(OrderError::AlreadyShipped),
            Self::Delivered(_) => Err(OrderError::AlreadyDelivered),
            Self::Returned(_) => Err(OrderError::AlreadyReturned),
            Self::Cancelled(_) => Err(OrderError::AlreadyCancelled),
        }
    }

    fn check_deliver(&self) -> Result<(), OrderError> {
        match self {
            Self::Shipped(_) => Ok(()),
            Self::Unplaced => Err(OrderError::OrderNotFound),
            Self::Placed(_) | Self::Confirmed(_) => Err(OrderError::NotShipped),
            Self::Delivered(_) => Err(OrderError::AlreadyDelivered),
            Self::Returned(_) => Err(OrderError::AlreadyReturned),
            Self::Cancelled(_) => Err(OrderError::AlreadyCancelled),
        }
    }

    /// The order in another status. An order that was never placed has nothing that could change.
    fn into_status(self, status: impl FnOnce(Terms) -> Self) -> Self {
        match self {
            Self::Unplaced => Self::Unplaced,
            Self::Placed(terms) | Self::Confirmed(terms) | Self::Shipped(terms) | Self::Cancelled(terms) => status(terms),
            Self::Delivered(delivery) | Self::Returned(delivery) => status(delivery.terms),
        }
    }
}

impl Aggregate for Order {
    type Command = Command;
    type Event = OrderEvent;
    type Error = OrderError;

    const SHAPE: &'static str = "order/1";

    fn decide(&self, command: &Command) -> Result<Vec<OrderEvent>, OrderError> {
        match command {
            Command::Place(_) if self.exists() => Err(OrderError::AlreadyPlaced),
            Command::Place(asked) => Ok(vec![placing::place(asked)?.into()]),
            Command::Confirm => self.check_confirm().map(|()| vec![OrderConfirmed {}.into()]),
            Command::Cancel { reason } => self.check_cancel().map(|()| vec![OrderCancelled { reason: reason.clone() }.into()]),
            Command::Ship { carrier, tracking } => {
                let shipped = OrderShipped { carrier: carrier.clone(), tracking: tracking.clone() };
                self.check_ship().map(|()| vec![shipped.into()])
            }
            Command::Deliver => self.check_deliver().map(|()| vec![OrderDelivered {}.into()]),
            Command::Return(asked) => match self {
                Self::Unplaced => Err(OrderError::OrderNotFound),
                Self::Placed(_) | Self::Confirmed(_) | Self::Shipped(_) => Err(OrderError::NotDelivered),
                Self::Cancelled(_) => Err(OrderError::AlreadyCancelled),
                Self::Delivered(delivery) | Self::Returned(delivery) if delivery.return_ids.contains(&asked.return_id) => {
                    Ok(Vec::new())
                }
                Self::Returned(_) => Err(OrderError::AlreadyReturned),
                Self::Delivered(delivery) => Ok(vec![delivery.take_back(asked)?.into()]),
            },
        }
    }

    fn evolve(self, event: &OrderEvent) -> Self {
        match event {
            OrderEvent::Placed(placed) => Self::Placed(Terms::from(placed)),
            OrderEvent::Confirmed(OrderConfirmed {}) => self.into_status(Self::Confirmed),
            OrderEvent::Cancelled(OrderCancelled { .. }) => self.into_status(Self::Cancelled),
            OrderEvent::Shipped(OrderShipped { .. }) => self.into_status(Self::Shipped),
            OrderEvent::Delivered(OrderDelivered {}) => self.into_status(|terms| Self::Delivered(Delivery::from(terms))),
            OrderEvent::Returned(returned) => self.evolve_returned(returned),
        }
    }
}
