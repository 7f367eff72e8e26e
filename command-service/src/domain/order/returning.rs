//! Taking goods back: never more than were ordered, at the price that they were ordered for.

use std::collections::BTreeSet;

use events::{
    MinorUnits,
    orders::{OrderReturned, ReturnedLine},
};

use super::{Delivery, Order, OrderError, Return, Terms};

/// The most returns of one order, so that its state stays bounded.
pub const MAX_RETURNS: usize = 2_000;

impl From<Terms> for Delivery {
    fn from(terms: Terms) -> Self {
        let returned = vec![0; terms.lines.len()];
        Self { terms, returned, refunded: MinorUnits::ZERO, return_ids: BTreeSet::new() }
    }
}

impl Delivery {
    /// The event that takes goods back.
    pub(super) fn take_back(&self, asked: &Return) -> Result<OrderReturned, OrderError> {
        if asked.lines.is_empty() {
            return Err(OrderError::NothingToReturn);
        }
        if self.return_ids.len() >= MAX_RETURNS {
            return Err(OrderError::TooManyReturns);
        }
        let (mut named, mut refund, mut lines) = (BTreeSet::new(), MinorUnits::ZERO, Vec::with_capacity(asked.lines.len()));
        for &(number, quantity) in &asked.lines {
            let index = usize::from(number).checked_sub(1).ok_or(OrderError::UnknownLine { line: number })?;
            let (line, returned) =
                self.terms.lines.get(index).zip(self.returned.get(index)).ok_or(OrderError::UnknownLine { line: number })?;
            if !named.insert(number) {
                return Err(OrderError::DuplicateLine { line: number });
            }
            let (asked, left) = (quantity.get(), line.quantity.get().saturating_sub(*returned));
            if asked > left {
                return Err(OrderError::ReturnExceedsOrdered { line: number, left, asked });
            }
            // Can't overflow: no more comes back than was ordered, and that added up.
            let amount = line.unit_price.times(quantity).map_err(|_| OrderError::TotalTooLarge { line: number })?;
            refund = refund.checked_add(amount).map_err(|_| OrderError::TotalTooLarge { line: number })?;
            lines.push(ReturnedLine { line: number, quantity, refund: amount });
        }
        Ok(OrderReturned { return_id: asked.return_id, lines, refund, reason: asked.reason.clone() })
    }

    fn is_complete(&self) -> bool {
        self.terms.lines.iter().zip(&self.returned).all(|(line, returned)| *returned >= line.quantity.get())
    }
}

impl Order {
    pub(super) fn evolve_returned(self, event: &OrderReturned) -> Self {
        let mut delivery = match self {
            Self::Unplaced => return Self::Unplaced,
            // Nothing of an order that did not arrive comes back. `decide` sees to that; were such an event ever met, then the
            // goods were there.
            Self::Placed(terms) | Self::Confirmed(terms) | Self::Shipped(terms) | Self::Cancelled(terms) => terms.into(),
            Self::Delivered(delivery) | Self::Returned(delivery) => delivery,
        };
        for line in &event.lines {
            let index = usize::from(line.line).checked_sub(1);
            if let Some(returned) = index.and_then(|index| delivery.returned.get_mut(index)) {
                *returned = returned.saturating_add(line.quantity.get());
            }
        }
        delivery.refunded = delivery.refunded.checked_add(event.refund).unwrap_or(delivery.terms.total);
        delivery.return_ids.insert(event.return_id);
        if delivery.is_complete() { Self::Returned(delivery) } else { Self::Delivered(delivery) }
    }
}
