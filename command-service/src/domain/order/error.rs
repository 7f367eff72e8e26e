//! The rules of orders.

use events::{Currency, ProductId, money::MAX_MINOR};

use super::super::{Rule, RuleKind};
use super::{MAX_LINES, MAX_RETURNS};

/// The rule that refused a command to an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum OrderError {
    /// Anything but placing, before that.
    #[error("there is no order with this id: place it first")]
    OrderNotFound,
    /// Placing an id that has an order.
    #[error("an order with this id was placed already: use another id")]
    AlreadyPlaced,
    /// An empty order.
    #[error("an order has at least one line: name what is ordered")]
    NoLines,
    /// A huge order.
    #[error("an order has at most {MAX_LINES} lines, not {lines}: split it into several orders")]
    TooManyLines {
        /// How many lines were given.
        lines: usize,
    },
    /// The user was never registered.
    #[error("the user who orders does not exist: register the user first, or order as a guest")]
    UnknownUser,
    /// The user closed the account.
    #[error("the user who orders is deactivated: register the person again, or order as a guest")]
    CustomerDeactivated,
    /// A product that was never created.
    #[error("line {line}: there is no product {product_id}: create it first, or leave the line out")]
    UnknownProduct {
        /// The line, from 1.
        line: u16,
        /// The product that it names.
        product_id: ProductId,
    },
    /// A product that is no longer sold.
    #[error("line {line}: product {product_id} is discontinued and can't be ordered any more: leave the line out")]
    ProductDiscontinued {
        /// The line, from 1.
        line: u16,
        /// The product that it names.
        product_id: ProductId,
    },
    /// Prices in several currencies.
    #[error("line {line}: the price is in {found} and the order in {expected}: an order has one currency, split it")]
    CurrencyMismatch {
        /// The line, from 1.
        line: u16,
        /// The order's currency.
        expected: Currency,
        /// The currency of the line's price.
        found: Currency,
    },
    /// More than can be counted.
    #[error("line {line}: the order's total would be more than {MAX_MINOR} minor units: split the order")]
    TotalTooLarge {
        /// The line, from 1, at which the sum became too large.
        line: u16,
    },
    /// Confirming twice.
    #[error("this order is confirmed already: ship it next, or cancel it")]
    AlreadyConfirmed,
    /// Shipping too early.
    #[error("this order is not confirmed yet: confirm it before it ships")]
    NotConfirmed,
    /// What is only possible before the goods leave.
    #[error("this order has shipped already: it can be delivered, and then returned")]
    AlreadyShipped,
    /// Delivering too early.
    #[error("this order has not shipped yet: ship it before it is delivered")]
    NotShipped,
    /// What is only possible before the goods arrive.
    #[error("this order is delivered already: its goods can only be returned")]
    AlreadyDelivered,
    /// Returning too early.
    #[error("this order is not delivered yet: an order that has not shipped can be cancelled, a delivered one returned")]
    NotDelivered,
    /// Anything, after cancelling.
    #[error("this order is cancelled, and that is final: place a new one")]
    AlreadyCancelled,
    /// Anything, after all came back.
    #[error("everything in this order has come back already: there is nothing left to do")]
    AlreadyReturned,
    /// A return of nothing.
    #[error("a return has at least one line: name what came back")]
    NothingToReturn,
    /// More returns than one order keeps.
    #[error("an order takes at most {MAX_RETURNS} returns: put several lines into one")]
    TooManyReturns,
    /// A line that the order does not have.
    #[error("line {line}: the order has no such line; lines are numbered from 1")]
    UnknownLine {
        /// The line that was asked for.
        line: u16,
    },
    /// A line named twice in one return.
    #[error("line {line} is named twice in this return: name it once, with the sum of pieces")]
    DuplicateLine {
        /// The line that was asked for.
        line: u16,
    },
    /// More coming back than was ordered.
    #[error("line {line}: {asked} pieces can't come back, {left} are left to return: ask for no more than that")]
    ReturnExceedsOrdered {
        /// The line that was asked for.
        line: u16,
        /// How many pieces were ordered and have not come back.
        left: u32,
        /// How many were to come back.
        asked: u32,
    },
}

impl Rule for OrderError {
    fn name(&self) -> &'static str {
        self.into()
    }

    fn kind(&self) -> RuleKind {
        match self {
            Self::OrderNotFound => RuleKind::NotFound,
            Self::AlreadyPlaced
            | Self::AlreadyConfirmed
            | Self::NotConfirmed
            | Self::AlreadyShipped
            | Self::NotShipped
            | Self::AlreadyDelivered
            | Self::NotDelivered
            | Self::AlreadyCancelled
            | Self::AlreadyReturned => RuleKind::Conflict,
            Self::NoLines
            | Self::TooManyLines { .. }
            | Self::UnknownUser
            | Self::CustomerDeactivated
            | Self::UnknownProduct { .. }
            | Self::ProductDiscontinued { .. }
            | Self::CurrencyMismatch { .. }
            | Self::TotalTooLarge { .. }
            | Self::NothingToReturn
            | Self::TooManyReturns
            | Self::UnknownLine { .. }
            | Self::DuplicateLine { .. }
            | Self::ReturnExceedsOrdered { .. } => RuleKind::Unprocessable,
        }
    }
}
