//! What may be ordered, by whom, and what it costs.

use events::money::{MAX_MINOR, MAX_QUANTITY};

use super::*;
use crate::domain::order::MAX_LINES;

#[track_caller]
fn accepts(asked: PlaceOrder, placed: OrderPlaced) {
    given::<Order>([]).when(Command::Place(asked)).then([placed.into()]);
}

#[track_caller]
fn rejects(asked: PlaceOrder, rule: OrderError) {
    given::<Order>([]).when(Command::Place(asked)).refused_by(rule);
}

#[test]
fn an_order_says_what_to_pay_with() {
    let method = || Some(PaymentMethod::parse("pm_1").unwrap());
    accepts(PlaceOrder { payment_method: method(), ..asked() }, OrderPlaced { payment_method: method(), ..was_placed() });
}

#[test]
fn numbers_lines_takes_list_prices_and_adds_up() {
    accepts(asked(), was_placed());
}

#[test]
fn a_guest_may_order() {
    accepts(PlaceOrder { customer: Customer::Guest, ..asked() }, OrderPlaced { user_id: None, ..was_placed() });
}

#[test]
fn a_product_may_stand_on_several_lines() {
    let lines = vec![line(LANTERN, 1, pence(255)), line(LANTERN, 2, pence(255))];
    let placed = vec![ordered(1, LANTERN, 1, 255), ordered(2, LANTERN, 2, 255)];
    accepts(PlaceOrder { lines, ..asked() }, OrderPlaced { lines: placed, total: minor(765), ..was_placed() });
}

#[test]
fn a_negotiated_price_replaces_the_list_price() {
    let lines = vec![NewLine { negotiated: Some(pence(200)), ..line(LANTERN, 2, pence(255)) }];
    let placed = vec![ordered(1, LANTERN, 2, 200)];
    accepts(PlaceOrder { lines, ..asked() }, OrderPlaced { lines: placed, total: minor(400), ..was_placed() });
}

#[test]
fn what_is_free_can_be_ordered() {
    let lines = vec![NewLine { negotiated: Some(pence(0)), ..line(LANTERN, 2, pence(255)) }];
    let placed = vec![ordered(1, LANTERN, 2, 0)];
    accepts(PlaceOrder { lines, ..asked() }, OrderPlaced { lines: placed, total: minor(0), ..was_placed() });
}

#[test]
fn rejects_an_order_without_lines() {
    rejects(PlaceOrder { lines: vec![], ..asked() }, OrderError::NoLines);
    rejects(PlaceOrder { lines: vec![], currency: Some(Currency::GBP), ..asked() }, OrderError::NoLines);
}

#[test]
fn takes_2000_lines_and_rejects_one_more() {
    let lines = |count| PlaceOrder { lines: vec![line(LANTERN, 1, pence(1)); count], ..asked() };
    let placed = (1..=2000).map(|number| ordered(number, LANTERN, 1, 1)).collect();
    accepts(lines(MAX_LINES), OrderPlaced { lines: placed, total: minor(2000), ..was_placed() });
    rejects(lines(MAX_LINES + 1), OrderError::TooManyLines { lines: 2001 });
}

#[test]
fn rejects_a_user_who_was_never_registered_even_in_history() {
    let customer = Customer::User { id: ANN, standing: Standing::Unknown };
    rejects(PlaceOrder { customer, ..asked() }, OrderError::UnknownUser);
    rejects(PlaceOrder { customer, fulfilment: Fulfilment::External, ..asked() }, OrderError::UnknownUser);
}

#[test]
fn rejects_a_deactivated_user_but_not_in_history() {
    let customer = Customer::User { id: ANN, standing: Standing::Deactivated };
    rejects(PlaceOrder { customer, ..asked() }, OrderError::CustomerDeactivated);
    let history = PlaceOrder { customer, fulfilment: Fulfilment::External, ..asked() };
    accepts(history, OrderPlaced { fulfilment: Fulfilment::External, ..was_placed() });
}

#[test]
fn rejects_an_unknown_product_and_names_the_line_even_in_history() {
    let lines = vec![line(LANTERN, 1, pence(255)), NewLine { quote: None, ..line(CLOCK, 1, pence(0)) }];
    let rule = || OrderError::UnknownProduct { line: 2, product_id: CLOCK };
    rejects(PlaceOrder { lines: lines.clone(), ..asked() }, rule());
    rejects(PlaceOrder { lines, fulfilment: Fulfilment::External, ..asked() }, rule());
}

#[test]
fn a_negotiated_price_does_not_make_an_unknown_product_known() {
    let lines = vec![NewLine { quote: None, negotiated: Some(pence(100)), ..line(CLOCK, 1, pence(0)) }];
    rejects(PlaceOrder { lines, ..asked() }, OrderError::UnknownProduct { line: 1, product_id: CLOCK });
}

#[test]
fn rejects_a_discontinued_product_but_not_in_history() {
    let gone = Some(ProductQuote { version: 3, price: pence(1895), orderable: false });
    let lines = || vec![line(LANTERN, 6, pence(255)), NewLine { quote: gone, ..line(CLOCK, 1, pence(0)) }];
    rejects(PlaceOrder { lines: lines(), ..asked() }, OrderError::ProductDiscontinued { line: 2, product_id: CLOCK });
    let history = PlaceOrder { lines: lines(), fulfilment: Fulfilment::External, ..asked() };
    accepts(history, OrderPlaced { fulfilment: Fulfilment::External, ..was_placed() });
}

#[test]
fn rejects_a_second_currency() {
    let lines = vec![line(LANTERN, 1, pence(255)), line(CLOCK, 1, cents(1895))];
    let rule = OrderError::CurrencyMismatch { line: 2, expected: Currency::GBP, found: Currency::EUR };
    rejects(PlaceOrder { lines, ..asked() }, rule);
}

#[test]
fn rejects_prices_in_another_currency_than_was_asked_for() {
    let rule = OrderError::CurrencyMismatch { line: 1, expected: Currency::EUR, found: Currency::GBP };
    rejects(PlaceOrder { currency: Some(Currency::EUR), ..asked() }, rule);
    accepts(PlaceOrder { currency: Some(Currency::GBP), ..asked() }, was_placed());
}

#[test]
fn rejects_a_total_that_can_not_be_counted() {
    let one_line = vec![line(LANTERN, MAX_QUANTITY, pence(MAX_MINOR))];
    rejects(PlaceOrder { lines: one_line, ..asked() }, OrderError::TotalTooLarge { line: 1 });
    let two_lines = vec![line(LANTERN, 1, pence(MAX_MINOR)), line(CLOCK, 1, pence(1))];
    rejects(PlaceOrder { lines: two_lines, ..asked() }, OrderError::TotalTooLarge { line: 2 });
}

#[test]
fn a_refusal_names_the_line() {
    let refusal = OrderError::ReturnExceedsOrdered { line: 7, left: 4, asked: 5 }.to_string();
    assert_eq!(refusal, "line 7: 5 pieces can't come back, 4 are left to return: ask for no more than that");
}
