//! The rules of products.

use events::{Currency, OrderId, Quantity};

use super::super::{Rule, RuleKind};
use super::stock::{MAX_ON_HAND, MAX_OPEN_RESERVATIONS};

/// The rule that refused a command to a product.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum ProductError {
    /// Creating an id that is in the catalogue.
    #[error("a product with this id exists already: change that one, or create yours under another id")]
    AlreadyCreated,
    /// Another product has the SKU.
    #[error("another product has this SKU (upper and lower case are the same): use another one, or that product")]
    SkuTaken,
    /// Anything but creating, before that.
    #[error("there is no product with this id: create it first")]
    ProductNotFound,
    /// Reserving or repricing what is no longer sold.
    #[error("this product is discontinued: its stock can't be reserved and its price can't be changed any more")]
    ProductDiscontinued,
    /// Discontinuing twice.
    #[error("this product is discontinued already: there is nothing left to do")]
    AlreadyDiscontinued,
    /// A change of nothing.
    #[error("there is nothing to change: give a name, a price or both")]
    NothingToChange,
    /// A price in another currency.
    #[error("this product is priced in {from}, not in {to}: give a price in {from}, or create another product")]
    PriceCurrencyChanged {
        /// The product's currency.
        from: Currency,
        /// The currency that was asked for.
        to: Currency,
    },
    /// More asked for than is available.
    #[error("{asked} pieces are asked for and {available} are available: ask for fewer, or wait for stock")]
    InsufficientStock {
        /// How many pieces are on hand and not set aside.
        available: u64,
        /// How many were asked for.
        asked: u64,
    },
    /// More than can be counted.
    #[error("the stock on hand would grow beyond {MAX_ON_HAND} pieces: check the number")]
    StockOverflow,
    /// More reservations than one product keeps.
    #[error("this product has {MAX_OPEN_RESERVATIONS} open reservations: try again when some have ended")]
    TooManyReservations,
    /// A reservation's id used again for something else while it is open.
    #[error("this reservation is open already, of {quantity} pieces for order {order_id}: use a new reservation id", quantity = quantity.get())]
    ReservationConflict {
        /// For which order it is.
        order_id: OrderId,
        /// How many pieces it holds.
        quantity: Quantity,
    },
    /// A reservation's id used again after its end.
    #[error("this reservation was released or committed and can't come back: use a new reservation id")]
    ReservationClosed,
    /// Ending a reservation that is not open.
    #[error("no reservation with this id is open: it was never made, or was released or committed already")]
    ReservationNotFound,
}

impl Rule for ProductError {
    fn name(&self) -> &'static str {
        self.into()
    }

    fn kind(&self) -> RuleKind {
        match self {
            Self::ProductNotFound | Self::ReservationNotFound => RuleKind::NotFound,
            Self::AlreadyCreated
            | Self::SkuTaken
            | Self::ProductDiscontinued
            | Self::AlreadyDiscontinued
            | Self::TooManyReservations
            | Self::ReservationConflict { .. }
            | Self::ReservationClosed => RuleKind::Conflict,
            Self::NothingToChange | Self::PriceCurrencyChanged { .. } | Self::InsufficientStock { .. } | Self::StockOverflow => {
                RuleKind::Unprocessable
            }
        }
    }
}
