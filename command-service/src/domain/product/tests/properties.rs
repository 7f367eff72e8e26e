//! Random lives of a product.

use std::collections::BTreeMap;

use events::{Currency, MinorUnits, Money, ProductEvent, ReservationId, products::AdjustmentReason, text::Sku};
use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::{Command, ORDER, PRODUCT, Product, Reserve, StockDelta, name, pieces, reservation};
use crate::domain::tests::{play, scramble};

fn command() -> impl Strategy<Value = Command> {
    let price = || {
        let currency = prop_oneof![9 => Just(Currency::GBP), 1 => Just(Currency::EUR)];
        (0..1_000_u64, currency).prop_map(|(minor, currency)| Money { minor: MinorUnits::new(minor).unwrap(), currency })
    };
    let text = || "[a-c]{1,2}";
    // Few ids, so that they meet; few pieces, so that they run out.
    let id = || (0..4_u128).prop_map(reservation);
    let delta = prop_oneof![-20..20_i64, Just(1_000_000_000)].prop_filter_map("not zero", |delta| StockDelta::new(delta).ok());
    prop_oneof![
        2 => (text(), text(), price())
            .prop_map(|(sku, text, price)| Command::Create { sku: Sku::parse(&sku).unwrap(), name: name(&text), price }),
        1 => (option::of(text()), option::of(price()))
            .prop_map(|(text, price)| Command::Change { name: text.map(|text| name(&text)), price }),
        4 => delta.prop_map(|delta| Command::AdjustStock { delta, reason: AdjustmentReason::Counted }),
        1 => proptest::bool::weighted(0.2)
            .prop_map(|end| if end { Command::Discontinue } else { Command::Change { name: None, price: None } }),
        6 => (id(), 1..12_u32).prop_map(|(reservation_id, quantity)| {
            Command::Reserve(Reserve { product_id: PRODUCT, reservation_id, order_id: ORDER, quantity: pieces(quantity) })
        }),
        3 => id().prop_map(|reservation_id| Command::Release { reservation_id }),
        3 => id().prop_map(|reservation_id| Command::Commit { reservation_id }),
    ]
}

/// The stock by its simplest account: what is on hand, and what is set aside for whom.
fn account(history: &[ProductEvent]) -> (i128, BTreeMap<ReservationId, i128>) {
    let (mut on_hand, mut open) = (0, BTreeMap::new());
    for event in history {
        match event {
            ProductEvent::StockAdjusted(adjusted) => on_hand += i128::from(adjusted.delta),
            ProductEvent::StockReserved(reserved) => {
                open.insert(reserved.reservation_id, i128::from(reserved.quantity.get()));
            }
            ProductEvent::StockReleased(released) => {
                open.remove(&released.reservation_id);
            }
            ProductEvent::StockCommitted(committed) => {
                on_hand -= open.remove(&committed.reservation_id).unwrap();
            }
            ProductEvent::Created(_) | ProductEvent::Renamed(_) | ProductEvent::Repriced(_) | ProductEvent::Discontinued(_) => {}
        }
    }
    (on_hand, open)
}

proptest! {
    #[test]
    fn available_stock_is_never_negative_and_everything_decided_can_be_applied(
        commands in vec(command(), 1..60), order in vec(any::<Index>(), 0..60),
    ) {
        let history = play::<Product>(&commands, |product, history| {
            let Some(item) = product.item() else {
                prop_assert!(history.is_empty());
                return Ok(());
            };
            let (on_hand, open) = account(history);
            let set_aside = open.values().sum::<i128>();
            prop_assert!(on_hand >= set_aside, "{} on hand, {} set aside", on_hand, set_aside);
            prop_assert_eq!(i128::from(item.stock.on_hand()), on_hand);
            prop_assert_eq!(i128::from(item.stock.set_aside()), set_aside);
            prop_assert_eq!(i128::from(item.stock.available()), on_hand - set_aside);
            for (id, quantity) in open {
                prop_assert_eq!(item.stock.reservation(id).map(|open| i128::from(open.quantity.get())), Some(quantity));
            }
            Ok(())
        })?;
        scramble::<Product>(&history, &order, &commands);
    }
}
