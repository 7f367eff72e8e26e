//! What is on hand, and what is set aside.

use events::{
    money::MAX_QUANTITY,
    products::{StockCommitted, StockReleased},
};

use super::*;
use crate::domain::{
    Aggregate, Claim, ClaimKind,
    product::{InvalidDelta, MAX_ON_HAND, MAX_OPEN_RESERVATIONS, ProductError, Stock},
};

fn released(number: u128, quantity: u32) -> ProductEvent {
    StockReleased { reservation_id: reservation(number), order_id: ORDER, quantity: pieces(quantity) }.into()
}

fn committed(number: u128, quantity: u32) -> ProductEvent {
    StockCommitted { reservation_id: reservation(number), order_id: ORDER, quantity: pieces(quantity) }.into()
}

fn stock(events: impl IntoIterator<Item = ProductEvent>) -> Stock {
    product(events).item().unwrap().stock.clone()
}

#[track_caller]
fn assert_stock(stock: &Stock, on_hand: u64, set_aside: u64) {
    assert_eq!((stock.on_hand(), stock.set_aside(), stock.available()), (on_hand, set_aside, on_hand - set_aside));
}

#[test]
fn stock_comes_and_goes() {
    assert_stock(&stock([created()]), 0, 0);
    assert_stock(&stock([created(), adjusted(10), adjusted(-3)]), 7, 0);
    assert_stock(&stock([created(), adjusted(10), reserved(1, 4)]), 10, 4);
    assert_stock(&stock([created(), adjusted(10), reserved(1, 4), released(1, 4)]), 10, 0);
    assert_stock(&stock([created(), adjusted(10), reserved(1, 4), committed(1, 4)]), 6, 0);
}

#[test]
fn an_adjustment_keeps_its_reason() {
    let damaged = || (StockDelta::new(-2).unwrap(), AdjustmentReason::Damaged);
    let command = Command::AdjustStock { delta: damaged().0, reason: damaged().1 };
    let event = StockAdjusted { delta: -2, reason: AdjustmentReason::Damaged };
    given::<Product>([created(), adjusted(10)]).when(command).then([event.into()]);
}

#[test]
fn rejects_removing_what_is_set_aside() {
    let rule = ProductError::InsufficientStock { available: 6, asked: 7 };
    given::<Product>([created(), adjusted(10), reserved(1, 4)]).when(adjust(-7)).refused_by(rule);
}

#[test]
fn rejects_more_stock_than_can_be_counted() {
    let full = i64::try_from(MAX_ON_HAND).unwrap();
    given::<Product>([created(), adjusted(full - 1)]).when(adjust(1)).then([adjusted(1)]);
    given::<Product>([created(), adjusted(full)]).when(adjust(1)).refused_by(ProductError::StockOverflow);
}

#[test]
fn an_adjustment_is_never_zero_and_bounded() {
    let most = i64::from(MAX_QUANTITY);
    for pieces in [0, most + 1, -most - 1, i64::MIN, i64::MAX] {
        assert_eq!(StockDelta::new(pieces), Err(InvalidDelta), "{pieces}");
        assert!(serde_json::from_str::<StockDelta>(&pieces.to_string()).is_err(), "{pieces}");
    }
    for pieces in [1, -1, most, -most] {
        assert_eq!(serde_json::from_str::<StockDelta>(&pieces.to_string()).unwrap().get(), pieces);
    }
}

#[test]
fn rejects_setting_aside_more_than_is_available() {
    let rule = ProductError::InsufficientStock { available: 6, asked: 7 };
    given::<Product>([created(), adjusted(10), reserved(1, 4)]).when(reserve(2, 7)).refused_by(rule);
    given::<Product>([created(), adjusted(10), reserved(1, 4)]).when(reserve(2, 6)).then([reserved(2, 6)]);
}

#[test]
fn a_repeated_reservation_changes_nothing_even_when_nothing_is_left_to_sell() {
    given::<Product>([created(), adjusted(4), reserved(1, 4)]).when(reserve(1, 4)).changes_nothing();
    given::<Product>([created(), adjusted(4), reserved(1, 4), discontinued()]).when(reserve(1, 4)).changes_nothing();
}

#[test]
fn rejects_an_open_reservation_for_anything_else() {
    let rule = || ProductError::ReservationConflict { order_id: ORDER, quantity: pieces(4) };
    given::<Product>([created(), adjusted(10), reserved(1, 4)]).when(reserve(1, 3)).refused_by(rule());
    let for_another_order = Command::Reserve(Reserve {
        product_id: PRODUCT,
        reservation_id: reservation(1),
        order_id: OrderId(Uuid::from_u128(0xC)),
        quantity: pieces(4),
    });
    given::<Product>([created(), adjusted(10), reserved(1, 4)]).when(for_another_order).refused_by(rule());
}

#[test]
fn rejects_more_open_reservations_than_are_kept() {
    let many = (0..MAX_OPEN_RESERVATIONS as u128).map(|number| reserved(number, 1));
    let history = [created(), adjusted(1_000_000)].into_iter().chain(many);
    let full = product(history);
    let refused = full.decide(&reserve(u128::MAX, 1));
    assert_eq!(refused, Err(ProductError::TooManyReservations));
    assert_eq!(full.decide(&reserve(0, 1)), Ok(vec![]));
    let one_ended = full.evolve(&released(0, 1));
    assert_eq!(one_ended.decide(&reserve(u128::MAX, 1)), Ok(vec![reserved(u128::MAX, 1)]));
}

#[test]
fn ending_a_reservation_tells_what_it_held() {
    let history = || [created(), adjusted(10), reserved(1, 4), reserved(2, 5)];
    given::<Product>(history()).when(release(1)).then([released(1, 4)]);
    given::<Product>(history()).when(commit(2)).then([committed(2, 5)]);
}

#[test]
fn rejects_ending_a_reservation_twice() {
    for end in [released(1, 4), committed(1, 4)] {
        for again in [release(1), commit(1)] {
            let history = [created(), adjusted(10), reserved(1, 4), end.clone()];
            given::<Product>(history).when(again).refused_by(ProductError::ReservationNotFound);
        }
    }
}

#[test]
fn a_reservation_id_is_claimed_within_its_product() {
    let [Claim::Take(ClaimKind::Reservation, value, ProductError::ReservationClosed)] = &Product::claims(&reserve(1, 4))[..]
    else {
        panic!("one claim");
    };
    assert_eq!(value[..16], *PRODUCT.0.as_bytes());
    assert_eq!(value[16..], *reservation(1).0.as_bytes());
    assert_eq!(Product::claims(&release(1)), []);
}

#[test]
fn a_refusal_says_how_much_there_is() {
    let refusal = ProductError::InsufficientStock { available: 6, asked: 7 }.to_string();
    assert_eq!(refusal, "7 pieces are asked for and 6 are available: ask for fewer, or wait for stock");
}
