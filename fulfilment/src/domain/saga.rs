//! One order's fulfilment: what is known of it, and the next step that follows from that.
//!
//! Placed → reserve the stock of every product → authorise the payment → confirm; once shipped: capture, commit the stock;
//! after returns: refund. What ends it (refused, timed out, cancelled, aborted) turns it round: the steps done are undone
//! in reverse order, and at last the order is cancelled.
//!
//! A saga has at most one step under way, and the next is not stored but follows from what is known ([`Saga::next`]). So an
//! order's steps are in order, and turning round needs no list of compensations. A step is never given up while its outcome
//! is unknown: it is taken again under the same key until somebody answers, and undone after that; a request to undo that
//! overtook a lost one would leave stock reserved, or money set aside, for ever.
#![deny(clippy::wildcard_enum_match_arm)]

mod ending;
mod react;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use events::{
    Money, OrderId, ProductId, ReturnId,
    orders::{Fulfilment, OrderPlaced},
    text::{PaymentMethod, Reason},
};
use serde::{Deserialize, Serialize};

pub use ending::Ending;
pub use react::{Effect, Input, Outcome, react};
pub use step::Step;

/// What a saga knows of its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saga {
    /// The order.
    pub order_id: OrderId,
    /// What is paid for it.
    pub total: Money,
    /// What with. An order without cannot be authorised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<PaymentMethod>,
    /// What is needed of each product, and how far that is.
    pub stock: BTreeMap<ProductId, Stock>,
    /// How far the payment is.
    pub payment: Payment,
    /// How far the order itself is.
    pub order: OrderState,
    /// Why it is turned round, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What is to be paid back for returns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refunds: BTreeMap<ReturnId, Money>,
    /// Returns that are paid back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refunded: BTreeSet<ReturnId>,
    /// The step that is being taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
}

/// A step that is being taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Which.
    pub step: Step,
    /// Why it was refused, where there is no way round: the saga stands still until a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
}

/// What an order needs of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// How many pieces, of all lines together: perhaps more than anything holds.
    pub quantity: u64,
    /// How far that is.
    pub state: StockState,
}

/// How far the stock of one product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StockState {
    /// Not reserved, as far as is known.
    Wanted,
    /// Set aside for this order.
    Reserved,
    /// Off the stock on hand.
    Committed,
    /// Available to others again.
    Released,
}

/// How far the payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payment {
    /// Nothing is set aside, as far as is known.
    None,
    /// The provider has set the money aside.
    Authorised,
    /// The money is taken.
    Captured,
    /// What was set aside is given back.
    Voided,
}

/// How far the order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderState {
    /// It waits for us.
    Placed,
    /// It will be fulfilled.
    Confirmed,
    /// The goods have left.
    Shipped,
    /// It will not be fulfilled.
    Cancelled,
}

impl Saga {
    /// A saga for an order that was just placed; none for one that another system carries out.
    #[must_use]
    pub fn begin(order_id: OrderId, placed: &OrderPlaced) -> Option<Self> {
        if placed.fulfilment == Fulfilment::External {
            return None;
        }
        let mut stock: BTreeMap<ProductId, Stock> = BTreeMap::new();
        for line in &placed.lines {
            let wanted = Stock { quantity: line.quantity.get().into(), state: StockState::Wanted };
            stock.entry(line.product_id).and_modify(|stock| stock.quantity += u64::from(line.quantity.get())).or_insert(wanted);
        }
        Some(Self {
            order_id,
            total: Money { minor: placed.total, currency: placed.currency },
            method: placed.payment_method.clone(),
            stock,
            payment: Payment::None,
            order: OrderState::Placed,
            ending: None,
            refunds: BTreeMap::new(),
            refunded: BTreeSet::new(),
            under_way: None,
        })
    }

    /// The step that follows from what is known; none while one is under way, and while there is nothing to do.
    #[must_use]
    pub fn next(&self) -> Option<Step> {
        match (&self.under_way, &self.ending) {
            (Some(_), _) => None,
            (None, None) => self.forth(),
            (None, Some(_)) => self.back(),
        }
    }

    fn forth(&self) -> Option<Step> {
        if let Some(product) = self.first(StockState::Wanted) {
            return Some(Step::Reserve(product));
        }
        match (self.order, self.payment) {
            (_, Payment::None) => Some(Step::Authorise),
            (OrderState::Placed, _) => Some(Step::Confirm),
            (OrderState::Confirmed | OrderState::Cancelled, _) => None,
            (OrderState::Shipped, Payment::Authorised) => Some(Step::Capture),
            (OrderState::Shipped, Payment::Captured | Payment::Voided) => self
                .first(StockState::Reserved)
                .map(Step::Commit)
                .or_else(|| self.refunds.keys().next().map(|returned| Step::Refund(*returned))),
        }
    }

    fn back(&self) -> Option<Step> {
        if self.payment == Payment::Authorised {
            return Some(Step::Void);
        }
        let reserved = self.stock.iter().rev().find(|(_, stock)| stock.state == StockState::Reserved);
        match reserved {
            Some((product, _)) => Some(Step::Release(*product)),
            None => (self.order != OrderState::Cancelled).then_some(Step::Cancel),
        }
    }

    fn first(&self, state: StockState) -> Option<ProductId> {
        self.stock.iter().find(|(_, stock)| stock.state == state).map(|(product, _)| *product)
    }

    /// Where it is, to people and in metrics.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self { under_way: Some(UnderWay { refused: Some(_), .. }), .. } => Stage::Stuck,
            Self { ending: Some(_), under_way: None, order: OrderState::Cancelled, .. } if self.back().is_none() => {
                Stage::Cancelled
            }
            Self { ending: Some(_), .. } => Stage::Ending,
            Self { order: OrderState::Shipped, .. } if self.under_way.is_none() && self.forth().is_none() => Stage::Fulfilled,
            Self { order: OrderState::Confirmed, under_way: None, .. } => Stage::Confirmed,
            Self { .. } => Stage::Running,
        }
    }
}

/// Where a saga is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Steps are being taken.
    Running,
    /// Reserved, paid for, and waiting to be shipped.
    Confirmed,
    /// Shipped, paid for, and all that came back is paid back.
    Fulfilled,
    /// What was done is being undone.
    Ending,
    /// Undone, and the order is cancelled.
    Cancelled,
    /// Waiting for a person.
    Stuck,
}
