//! What may come back, and what is refunded.

use super::*;
use crate::domain::{Aggregate, order::MAX_RETURNS};

#[track_caller]
fn rejects(history: Vec<OrderEvent>, lines: &[(u16, u32)], rule: OrderError) {
    given::<Order>(history).when(Command::Return(return_of(9, lines))).refused_by(rule);
}

#[test]
fn refunds_what_was_paid() {
    let command = Command::Return(return_of(1, &[(2, 1), (1, 2)]));
    given::<Order>(delivered()).when(command).then([came_back(1, &[(2, 1, 1895), (1, 2, 510)]).into()]);
}

#[test]
fn a_return_keeps_its_reason() {
    let command = Command::Return(Return { reason: Some(reason()), ..return_of(1, &[(1, 2)]) });
    let event = OrderReturned { reason: Some(reason()), ..came_back(1, &[(1, 2, 510)]) };
    given::<Order>(delivered()).when(command).then([event.into()]);
}

#[test]
fn a_repeated_return_changes_nothing_whatever_it_names() {
    given::<Order>(partly_returned()).when(Command::Return(return_of(1, &[(1, 2)]))).changes_nothing();
    given::<Order>(partly_returned()).when(Command::Return(return_of(1, &[(9, 99)]))).changes_nothing();
    given::<Order>(fully_returned()).when(Command::Return(return_of(2, &[(1, 4), (2, 1)]))).changes_nothing();
}

#[test]
fn rejects_more_than_is_left() {
    let excess = |left, asked| OrderError::ReturnExceedsOrdered { line: 1, left, asked };
    rejects(delivered(), &[(1, 7)], excess(6, 7));
    rejects(partly_returned(), &[(1, 5)], excess(4, 5));
}

#[test]
fn rejects_lines_that_the_order_does_not_have() {
    for line in [0, 3, u16::MAX] {
        rejects(delivered(), &[(1, 1), (line, 1)], OrderError::UnknownLine { line });
    }
}

#[test]
fn rejects_a_line_that_is_named_twice() {
    rejects(delivered(), &[(1, 1), (2, 1), (1, 1)], OrderError::DuplicateLine { line: 1 });
}

#[test]
fn rejects_a_return_of_nothing() {
    rejects(delivered(), &[], OrderError::NothingToReturn);
}

#[test]
fn everything_back_is_a_returned_order() {
    assert!(matches!(order(partly_returned()), Order::Delivered(_)));
    let Order::Returned(delivery) = order(fully_returned()) else { panic!("all of it came back") };
    assert_eq!(delivery.returned, [6, 1]);
    assert_eq!(delivery.refunded, delivery.terms.total);
}

#[test]
fn rejects_more_returns_than_are_kept() {
    let pieces = MAX_RETURNS + 1;
    let lines = vec![ordered(1, LANTERN, u32::try_from(pieces).unwrap(), 1)];
    let placed = OrderPlaced { lines, total: minor(pieces as u64), ..was_placed() };
    let history = [placed.into(), OrderDelivered {}.into()].into_iter();
    let returns = (0..MAX_RETURNS as u128).map(|id| came_back(id, &[(1, 1, 1)]).into());
    let order = given::<Order>(history.chain(returns)).0;
    let again = order.decide(&Command::Return(return_of(0, &[(1, 1)])));
    assert_eq!(again, Ok(vec![]));
    let another = order.decide(&Command::Return(return_of(u128::MAX, &[(1, 1)])));
    assert_eq!(another, Err(OrderError::TooManyReturns));
}
