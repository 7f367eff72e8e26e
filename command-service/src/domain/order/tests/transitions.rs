//! An order's life, step by step.

use serde_json::json;

use super::*;
use crate::domain::{
    Aggregate, Claim, Rule, RuleKind,
    tests::{expected, table},
};

/// State, command, what follows.
const OUTCOMES: &str = "
    unplaced        | place          | placed
    unplaced        | confirm        | OrderNotFound
    unplaced        | cancel         | OrderNotFound
    unplaced        | ship           | OrderNotFound
    unplaced        | deliver        | OrderNotFound
    unplaced        | return         | OrderNotFound
    unplaced        | return 1 again | OrderNotFound
    placed          | place          | AlreadyPlaced
    placed          | confirm        | confirmed
    placed          | cancel         | cancelled
    placed          | ship           | NotConfirmed
    placed          | deliver        | NotShipped
    placed          | return         | NotDelivered
    placed          | return 1 again | NotDelivered
    confirmed       | place          | AlreadyPlaced
    confirmed       | confirm        | AlreadyConfirmed
    confirmed       | cancel         | cancelled
    confirmed       | ship           | shipped
    confirmed       | deliver        | NotShipped
    confirmed       | return         | NotDelivered
    confirmed       | return 1 again | NotDelivered
    shipped         | place          | AlreadyPlaced
    shipped         | confirm        | AlreadyShipped
    shipped         | cancel         | AlreadyShipped
    shipped         | ship           | AlreadyShipped
    shipped         | deliver        | delivered
    shipped         | return         | NotDelivered
    shipped         | return 1 again | NotDelivered
    delivered       | place          | AlreadyPlaced
    delivered       | confirm        | AlreadyDelivered
    delivered       | cancel         | AlreadyDelivered
    delivered       | ship           | AlreadyDelivered
    delivered       | deliver        | AlreadyDelivered
    delivered       | return         | returned
    delivered       | return 1 again | returned
    partly returned | place          | AlreadyPlaced
    partly returned | confirm        | AlreadyDelivered
    partly returned | cancel         | AlreadyDelivered
    partly returned | ship           | AlreadyDelivered
    partly returned | deliver        | AlreadyDelivered
    partly returned | return         | returned
    partly returned | return 1 again | accepted, nothing changes
    returned        | place          | AlreadyPlaced
    returned        | confirm        | AlreadyReturned
    returned        | cancel         | AlreadyReturned
    returned        | ship           | AlreadyReturned
    returned        | deliver        | AlreadyReturned
    returned        | return         | AlreadyReturned
    returned        | return 1 again | accepted, nothing changes
    cancelled       | place          | AlreadyPlaced
    cancelled       | confirm        | AlreadyCancelled
    cancelled       | cancel         | AlreadyCancelled
    cancelled       | ship           | AlreadyCancelled
    cancelled       | deliver        | AlreadyCancelled
    cancelled       | return         | AlreadyCancelled
    cancelled       | return 1 again | AlreadyCancelled
";

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unplaced", Order::default()),
        ("placed", order(placed())),
        ("confirmed", order(confirmed())),
        ("shipped", order(shipped())),
        ("delivered", order(delivered())),
        ("partly returned", order(partly_returned())),
        ("returned", order(fully_returned())),
        ("cancelled", order(cancelled())),
    ];
    let commands = [
        ("place", Command::Place(asked())),
        ("confirm", Command::Confirm),
        ("cancel", cancel()),
        ("ship", ship()),
        ("deliver", Command::Deliver),
        ("return", Command::Return(return_of(9, &[(1, 1)]))),
        ("return 1 again", Command::Return(return_of(1, &[(1, 2)]))),
    ];
    assert_eq!(table(&states, &commands), expected(OUTCOMES));
}

#[test]
fn rejects_shipping_a_cancelled_order() {
    given::<Order>(cancelled()).when(ship()).refused_by(OrderError::AlreadyCancelled);
}

#[test]
fn cancelling_a_confirmed_order_keeps_the_reason() {
    given::<Order>(confirmed()).when(cancel()).then([OrderCancelled { reason: reason() }.into()]);
    given::<Order>(then(confirmed(), OrderCancelled { reason: reason() })).when(ship()).refused_by(OrderError::AlreadyCancelled);
}

#[test]
fn shipping_keeps_carrier_and_tracking_code() {
    let carrier = || Some(Carrier::parse("Royal Mail").unwrap());
    let tracking = || Some(TrackingCode::parse("QK123").unwrap());
    let command = Command::Ship { carrier: carrier(), tracking: tracking() };
    given::<Order>(confirmed()).when(command).then([OrderShipped { carrier: carrier(), tracking: tracking() }.into()]);
}

#[test]
fn an_order_belongs_to_its_user_in_every_state() {
    for history in [placed(), confirmed(), shipped(), delivered(), partly_returned(), fully_returned(), cancelled()] {
        let order = order(history);
        assert!(order.exists());
        assert_eq!(order.owner(), Some(ANN));
    }
    assert!(!Order::default().exists());
    assert_eq!(Order::default().owner(), None);
    let guest = OrderPlaced { user_id: None, ..was_placed() };
    assert_eq!(order(vec![guest.into()]).owner(), None);
}

#[test]
fn the_terms_never_change() {
    let terms = order(placed()).terms().cloned();
    for history in [confirmed(), shipped(), delivered(), partly_returned(), fully_returned(), cancelled()] {
        assert_eq!(order(history).terms(), terms.as_ref());
    }
}

#[test]
fn an_order_claims_nothing_but_its_id() {
    let none: Vec<Claim<OrderError>> = Vec::new();
    assert_eq!(Order::claims(&Command::Place(asked())), none);
}

#[test]
fn rules_say_what_the_caller_can_make_of_them() {
    assert_eq!(OrderError::OrderNotFound.kind(), RuleKind::NotFound);
    assert_eq!(OrderError::AlreadyShipped.kind(), RuleKind::Conflict);
    assert_eq!(OrderError::UnknownUser.kind(), RuleKind::Unprocessable);
    let excess = OrderError::ReturnExceedsOrdered { line: 1, left: 4, asked: 5 };
    assert_eq!(excess.kind(), RuleKind::Unprocessable);
}

/// A snapshot carries [`Order::SHAPE`]. Whoever changes this JSON gives the shape a new name.
#[test]
fn the_shape_of_snapshots_has_the_name_order_1() {
    assert_eq!(Order::SHAPE, "order/1");
    let mut shape = json!({
        "status": "placed",
        "user_id": ANN,
        "fulfilment": "managed",
        "currency": "GBP",
        "total": 3425,
        "lines": [
            { "product_id": LANTERN, "quantity": 6, "unit_price": 255 },
            { "product_id": CLOCK, "quantity": 1, "unit_price": 1895 },
        ],
    });
    assert_eq!(serde_json::to_value(Order::default()).unwrap(), json!({ "status": "unplaced" }));
    for (status, history) in
        [("placed", placed()), ("confirmed", confirmed()), ("shipped", shipped()), ("cancelled", cancelled())]
    {
        shape["status"] = status.into();
        assert_eq!(serde_json::to_value(order(history)).unwrap(), shape);
    }
    shape["status"] = "delivered".into();
    shape["returned"] = json!([2, 0]);
    shape["refunded"] = 510.into();
    shape["return_ids"] = json!([ReturnId(Uuid::from_u128(1))]);
    assert_eq!(serde_json::to_value(order(partly_returned())).unwrap(), shape);
    shape["status"] = "returned".into();
    shape["returned"] = json!([6, 1]);
    shape["refunded"] = 3425.into();
    shape["return_ids"] = json!([ReturnId(Uuid::from_u128(1)), ReturnId(Uuid::from_u128(2))]);
    assert_eq!(serde_json::to_value(order(fully_returned())).unwrap(), shape);
}
