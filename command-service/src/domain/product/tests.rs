mod catalogue;
mod properties;
mod stock;

use events::{
    Currency, MinorUnits, Money, OrderId, ProductEvent, ProductId, Quantity, ReservationId,
    products::{AdjustmentReason, ProductCreated, ProductDiscontinued, StockAdjusted, StockReserved},
    text::{ProductName, Sku},
};
use uuid::Uuid;

use super::{Command, Product, Reserve, StockDelta};
use crate::domain::tests::given;

const ORDER: OrderId = OrderId(Uuid::from_u128(0xA));
const PRODUCT: ProductId = ProductId(Uuid::from_u128(0xB));

fn reservation(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(number))
}

fn pieces(number: u32) -> Quantity {
    Quantity::new(number).unwrap()
}

fn pence(minor: u64) -> Money {
    Money { minor: MinorUnits::new(minor).unwrap(), currency: Currency::GBP }
}

fn name(text: &str) -> ProductName {
    ProductName::parse(text).unwrap()
}

fn create() -> Command {
    Command::Create { sku: Sku::parse("85123a").unwrap(), name: name("White lantern"), price: pence(255) }
}

fn change(new_name: Option<&str>, price: Option<Money>) -> Command {
    Command::Change { name: new_name.map(name), price }
}

fn adjust(delta: i64) -> Command {
    Command::AdjustStock { delta: StockDelta::new(delta).unwrap(), reason: AdjustmentReason::Counted }
}

fn reserve(number: u128, quantity: u32) -> Command {
    let reservation_id = reservation(number);
    Command::Reserve(Reserve { product_id: PRODUCT, reservation_id, order_id: ORDER, quantity: pieces(quantity) })
}

fn release(number: u128) -> Command {
    Command::Release { reservation_id: reservation(number) }
}

fn commit(number: u128) -> Command {
    Command::Commit { reservation_id: reservation(number) }
}

fn created() -> ProductEvent {
    ProductCreated { sku: Sku::parse("85123a").unwrap(), name: name("White lantern"), price: pence(255) }.into()
}

fn discontinued() -> ProductEvent {
    ProductDiscontinued {}.into()
}

fn adjusted(delta: i64) -> ProductEvent {
    StockAdjusted { delta, reason: AdjustmentReason::Counted }.into()
}

fn reserved(number: u128, quantity: u32) -> ProductEvent {
    StockReserved { reservation_id: reservation(number), order_id: ORDER, quantity: pieces(quantity) }.into()
}

fn product(events: impl IntoIterator<Item = ProductEvent>) -> Product {
    given(events).0
}
