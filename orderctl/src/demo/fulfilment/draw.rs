//! Which orders are placed, and how much stock there is for them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::import::jobs::{product_id, user_id};
use crate::import::plan::{Order, Plan};

/// Orders to place.
const ORDERS: usize = 500;
/// Lines of an order, at most: a retailer's are sometimes hundreds.
const LINES: usize = 8;
/// One order in so many is paid with a card that is declined,
const DECLINED: usize = 11;
/// and one in so many by way of a provider that fails twice first.
const FAILING: usize = 7;
/// Of one product in so many, there is enough for half of what is wanted.
const SCARCE: usize = 60;
/// Pieces of each product that no order wants.
pub(super) const SPARE: u64 = 10;

/// An order that is to be placed.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) id: Uuid,
    pub(super) user: Option<Uuid>,
    pub(super) lines: Vec<(Uuid, u32)>,
    pub(super) method: &'static str,
}

/// Orders from all over the file, with their customers, products and quantities; other ids in each run.
pub(super) fn draw(plan: &Plan, run: Uuid) -> Vec<Drawn> {
    let step = (plan.orders.len() / ORDERS).max(1);
    let drawn = plan.orders.iter().step_by(step).take(ORDERS);
    let order = |(number, order): (usize, &Order)| Drawn {
        id: Uuid::new_v5(&run, &number.to_be_bytes()),
        user: order.user.map(|user| user_id(&plan.users[user].customer)),
        lines: order.lines.iter().take(LINES).map(|line| (product_id(&plan.products[line.product].sku), line.quantity)).collect(),
        method: match number {
            number if number % DECLINED == 1 => "pm_declined",
            number if number % FAILING == 1 => "pm_fails_twice",
            _ => "pm_card",
        },
    };
    drawn.enumerate().map(order).collect()
}

/// How much is received of each product that the orders want.
pub(super) fn received(plan: &Plan, orders: &[Drawn]) -> BTreeMap<Uuid, u64> {
    let mut wanted: BTreeMap<Uuid, u64> = BTreeMap::new();
    for (product, quantity) in orders.iter().flat_map(|order| &order.lines) {
        *wanted.entry(*product).or_default() += u64::from(*quantity);
    }
    let ids = plan.products.iter().map(|product| product_id(&product.sku)).filter(|id| wanted.contains_key(id));
    let scarce: Vec<Uuid> = ids.step_by(SCARCE).collect();
    for product in scarce {
        wanted.entry(product).and_modify(|pieces| *pieces = (*pieces / 2).max(1));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn some_are_declined_some_fail_first_and_some_stock_is_short() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/online-retail-2010-12-to-2011-05.csv.xz");
        let plan = Plan::read(Path::new(file)).unwrap();
        let orders = draw(&plan, Uuid::from_u128(7));
        let paid = |method: &str| orders.iter().filter(|order| order.method == method).count();
        assert_eq!((orders.len(), paid("pm_declined"), paid("pm_fails_twice")), (ORDERS, 46, 65));
        let received = received(&plan, &orders);
        let wanted = |product: &Uuid| -> u64 {
            let lines = orders.iter().flat_map(|order| &order.lines).filter(|(id, _)| id == product);
            lines.map(|(_, quantity)| u64::from(*quantity)).sum()
        };
        let short = received.iter().filter(|(product, pieces)| **pieces < wanted(product)).count();
        assert!((5..60).contains(&short), "{short} products are short");
    }
}
