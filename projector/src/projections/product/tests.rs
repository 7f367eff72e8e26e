use events::{
    Currency, MinorUnits, Money, OrderId, ReservationId,
    products::{
        AdjustmentReason, ProductDiscontinued, ProductRenamed, ProductRepriced, StockAdjusted, StockCommitted, StockReleased,
        StockReserved,
    },
    text::{ProductName, Sku},
};

use super::*;

const STREAM: Uuid = Uuid::from_u128(1);

fn price(minor: u64) -> Money {
    Money { minor: MinorUnits::new(minor).unwrap(), currency: Currency::GBP }
}

fn created() -> ProductEvent {
    let (sku, name) = (Sku::parse("85123A").unwrap(), ProductName::parse("White Lantern").unwrap());
    ProductCreated { sku, name, price: price(255) }.into()
}

fn adjusted(delta: i64) -> ProductEvent {
    StockAdjusted { delta, reason: AdjustmentReason::Received }.into()
}

const RESERVATION: (ReservationId, OrderId) = (ReservationId(Uuid::from_u128(2)), OrderId(Uuid::from_u128(3)));

fn reserved(pieces: u32) -> ProductEvent {
    let (reservation_id, order_id) = RESERVATION;
    StockReserved { reservation_id, order_id, quantity: Quantity::new(pieces).unwrap() }.into()
}

fn released(pieces: u32) -> ProductEvent {
    let (reservation_id, order_id) = RESERVATION;
    StockReleased { reservation_id, order_id, quantity: Quantity::new(pieces).unwrap() }.into()
}

fn committed(pieces: u32) -> ProductEvent {
    let (reservation_id, order_id) = RESERVATION;
    StockCommitted { reservation_id, order_id, quantity: Quantity::new(pieces).unwrap() }.into()
}

fn fold(events: &[ProductEvent]) -> Folded<ProductView> {
    let keys = KeyRing::default();
    let mut view = None;
    for (event, version) in events.iter().zip(1..) {
        let meta = Meta { stream: STREAM, version, occurred_at: chrono::DateTime::UNIX_EPOCH };
        view = Some(ProductProjection::apply(view, event, &meta, &keys)?);
    }
    existing(view)
}

fn entries(view: &ProductView) -> Vec<(String, String)> {
    ProductProjection::index_entries(view).iter().map(|entry| (entry.index.to_string(), entry.member())).collect()
}

#[test]
fn stock_follows_its_movements() {
    for (events, expected) in [
        (vec![created()], (0, 0, 0)),
        (vec![created(), adjusted(10)], (10, 0, 10)),
        (vec![created(), adjusted(10), reserved(4)], (10, 4, 6)),
        (vec![created(), adjusted(10), reserved(4), released(4)], (10, 0, 10)),
        (vec![created(), adjusted(10), reserved(4), committed(4)], (6, 0, 6)),
        (vec![created(), adjusted(10), adjusted(-3)], (7, 0, 7)),
    ] {
        let view = fold(&events).unwrap();
        assert_eq!((view.on_hand, view.reserved, view.available), expected, "{events:?}");
        let member = read_model::index::counted(view.available, STREAM);
        assert!(entries(&view).contains(&("stock".to_owned(), member)), "{events:?}");
    }
}

#[test]
fn a_product_is_listed_by_name_and_while_active_by_stock() {
    let renamed = ProductRenamed { name: ProductName::parse("Red Lantern").unwrap() }.into();
    let view = fold(&[created(), renamed, ProductRepriced { price: price(99) }.into()]).unwrap();
    assert_eq!((view.price, view.version), (price(99), 3));
    let name = read_model::index::named("Red Lantern", STREAM);
    assert_eq!(entries(&view)[0], ("name".to_owned(), name.clone()));
    let view = fold(&[created(), ProductDiscontinued {}.into()]).unwrap();
    assert_eq!(view.status, ProductStatus::Discontinued);
    assert_eq!(entries(&view).len(), 1);
}

#[test]
fn what_cannot_have_happened_is_refused_and_changes_nothing() {
    let meta = Meta { stream: STREAM, version: 2, occurred_at: chrono::DateTime::UNIX_EPOCH };
    let view = fold(&[created(), adjusted(i64::MAX)]).unwrap();
    for event in [created(), adjusted(1)] {
        let refused = ProductProjection::apply(Some(view.clone()), &event, &meta, &KeyRing::default()).unwrap_err();
        assert_eq!(refused.view.as_ref(), Some(&view));
    }
    assert!(ProductProjection::apply(None, &adjusted(1), &meta, &KeyRing::default()).is_err());
}
