//! Which earlier purchase a credit gives back.
//!
//! A credit names no invoice. It fits what the same customer bought earlier: the same product at the same unit
//! price, with quantity left. The latest purchase is taken first, and a credit may be split over several; it
//! is taken whole or not at all, because half a credit would reconcile with nothing.

use std::collections::HashMap;

use super::rejects::Reason;

/// What purchases and credits are matched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The customer, as an index into the plan's users.
    pub user: usize,
    /// The product, as an index into the plan's products.
    pub product: usize,
    /// The unit price in pence.
    pub price: u64,
}

/// A number of pieces of one order's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// The order, as an index into the plan's orders.
    pub order: usize,
    /// The line's number in the order, from 1.
    pub line: u32,
    /// Pieces.
    pub quantity: u32,
}

/// What customers bought and have not yet given back.
#[derive(Debug, Default)]
pub struct Purchases(HashMap<Key, Vec<Portion>>);

impl Purchases {
    /// Remembers a purchase; call it in order of time.
    pub fn bought(&mut self, key: Key, portion: Portion) {
        self.0.entry(key).or_default().push(portion);
    }

    /// Takes a credit of `quantity` pieces from earlier purchases, the latest first, or refuses it whole.
    pub fn give_back(&mut self, key: Key, quantity: u32) -> Result<Vec<Portion>, (Reason, String)> {
        let Some(bought) = self.0.get_mut(&key) else {
            return Err((Reason::NoEarlierPurchase, String::new()));
        };
        let left: u64 = bought.iter().map(|portion| u64::from(portion.quantity)).sum();
        if left < u64::from(quantity) {
            return Err((Reason::OnlyPartMatches, format!("{left} of {quantity} left to give back")));
        }
        let mut wanted = quantity;
        let mut taken = Vec::new();
        for portion in bought.iter_mut().rev().filter(|portion| portion.quantity > 0) {
            let quantity = wanted.min(portion.quantity);
            portion.quantity -= quantity;
            wanted -= quantity;
            taken.push(Portion { quantity, ..*portion });
            if wanted == 0 {
                break;
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { user: 1, product: 2, price: 255 };

    fn portion(order: usize, quantity: u32) -> Portion {
        Portion { order, line: 1, quantity }
    }

    #[test]
    fn takes_the_latest_purchase_first_and_splits() {
        let mut purchases = Purchases::default();
        purchases.bought(KEY, portion(1, 6));
        purchases.bought(KEY, portion(2, 4));
        assert_eq!(purchases.give_back(KEY, 3), Ok(vec![portion(2, 3)]));
        assert_eq!(purchases.give_back(KEY, 2), Ok(vec![portion(2, 1), portion(1, 1)]));
        assert_eq!(purchases.give_back(KEY, 5), Ok(vec![portion(1, 5)]));
    }

    #[test]
    fn refuses_a_credit_whole_and_leaves_the_rest_to_later_ones() {
        let mut purchases = Purchases::default();
        purchases.bought(KEY, portion(1, 6));
        assert_eq!(purchases.give_back(KEY, 7).unwrap_err().0, Reason::OnlyPartMatches);
        assert_eq!(purchases.give_back(KEY, 6), Ok(vec![portion(1, 6)]));
        assert_eq!(purchases.give_back(KEY, 1).unwrap_err().0, Reason::OnlyPartMatches);
    }

    #[test]
    fn another_price_or_customer_is_no_purchase() {
        let mut purchases = Purchases::default();
        purchases.bought(KEY, portion(1, 6));
        for other in [Key { price: 254, ..KEY }, Key { user: 9, ..KEY }, Key { product: 9, ..KEY }] {
            assert_eq!(purchases.give_back(other, 1).unwrap_err().0, Reason::NoEarlierPurchase);
        }
    }
}
