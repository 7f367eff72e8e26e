mod placing;
mod properties;
mod returning;
mod transitions;

use events::{
    Currency, MinorUnits, Money, OrderEvent, ProductId, Quantity, ReturnId, UserId,
    orders::{
        Fulfilment, OrderCancelled, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderReturned, OrderShipped,
        ReturnedLine,
    },
    text::{Carrier, PaymentMethod, Reason, TrackingCode},
};
use uuid::Uuid;

use super::{Command, Customer, NewLine, Order, OrderError, PlaceOrder, ProductQuote, Return, Standing};
use crate::domain::tests::given;

const ANN: UserId = UserId(Uuid::from_u128(0xA));
const LANTERN: ProductId = ProductId(Uuid::from_u128(0xB1));
const CLOCK: ProductId = ProductId(Uuid::from_u128(0xB2));

fn minor(minor: u64) -> MinorUnits {
    MinorUnits::new(minor).unwrap()
}

fn pence(amount: u64) -> Money {
    Money { minor: minor(amount), currency: Currency::GBP }
}

fn cents(amount: u64) -> Money {
    Money { minor: minor(amount), currency: Currency::EUR }
}

fn pieces(number: u32) -> Quantity {
    Quantity::new(number).unwrap()
}

fn line(product_id: ProductId, quantity: u32, price: Money) -> NewLine {
    let quote = Some(ProductQuote { version: 3, price, orderable: true });
    NewLine { product_id, quantity: pieces(quantity), quote, negotiated: None }
}

/// Six lanterns at 2.55 and a clock at 18.95, for Ann.
fn asked() -> PlaceOrder {
    PlaceOrder {
        customer: Customer::User { id: ANN, standing: Standing::Active },
        fulfilment: Fulfilment::Managed,
        currency: None,
        lines: vec![line(LANTERN, 6, pence(255)), line(CLOCK, 1, pence(1895))],
        payment_method: None,
    }
}

fn ordered(line: u16, product_id: ProductId, quantity: u32, unit_price: u64) -> OrderLine {
    OrderLine { line, product_id, product_version: 3, quantity: pieces(quantity), unit_price: minor(unit_price) }
}

/// What follows from [`asked`].
fn was_placed() -> OrderPlaced {
    OrderPlaced {
        user_id: Some(ANN),
        fulfilment: Fulfilment::Managed,
        currency: Currency::GBP,
        lines: vec![ordered(1, LANTERN, 6, 255), ordered(2, CLOCK, 1, 1895)],
        total: minor(3425),
        payment_method: None,
    }
}

fn reason() -> Reason {
    Reason::parse("changed my mind").unwrap()
}

fn return_of(id: u128, lines: &[(u16, u32)]) -> Return {
    let lines = lines.iter().map(|&(line, quantity)| (line, pieces(quantity))).collect();
    Return { return_id: ReturnId(Uuid::from_u128(id)), lines, reason: None }
}

fn placed() -> Vec<OrderEvent> {
    vec![was_placed().into()]
}

fn then(mut history: Vec<OrderEvent>, event: impl Into<OrderEvent>) -> Vec<OrderEvent> {
    history.push(event.into());
    history
}

fn confirmed() -> Vec<OrderEvent> {
    then(placed(), OrderConfirmed {})
}

fn shipped() -> Vec<OrderEvent> {
    then(confirmed(), OrderShipped { carrier: None, tracking: None })
}

fn delivered() -> Vec<OrderEvent> {
    then(shipped(), OrderDelivered {})
}

/// Two of the lanterns came back, by return 1.
fn partly_returned() -> Vec<OrderEvent> {
    then(delivered(), came_back(1, &[(1, 2, 510)]))
}

/// All of it came back, by returns 1 and 2.
fn fully_returned() -> Vec<OrderEvent> {
    then(partly_returned(), came_back(2, &[(1, 4, 1020), (2, 1, 1895)]))
}

fn cancelled() -> Vec<OrderEvent> {
    then(placed(), OrderCancelled { reason: reason() })
}

fn came_back(id: u128, lines: &[(u16, u32, u64)]) -> OrderReturned {
    let refund = lines.iter().map(|(_, _, refund)| refund).sum();
    let lines =
        lines.iter().map(|&(line, quantity, refund)| ReturnedLine { line, quantity: pieces(quantity), refund: minor(refund) });
    OrderReturned { return_id: ReturnId(Uuid::from_u128(id)), lines: lines.collect(), refund: minor(refund), reason: None }
}

fn order(history: Vec<OrderEvent>) -> Order {
    given(history).0
}

fn ship() -> Command {
    Command::Ship { carrier: None, tracking: None }
}

fn cancel() -> Command {
    Command::Cancel { reason: reason() }
}
