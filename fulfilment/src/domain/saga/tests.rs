//! Given what a saga has heard, when it hears one thing more, then it does this.

mod properties;

use events::{
    MinorUnits, OrderId, ProductId, Quantity, ReturnId,
    orders::{Fulfilment, OrderCancelled, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderReturned, OrderShipped},
    text::{PaymentMethod, Reason},
};
use uuid::Uuid;

use super::{Effect, Ending, Input, OrderState, Outcome, Payment, Saga, Stage, Step, StockState, react};

const ORDER: OrderId = OrderId(Uuid::from_u128(0xA));
const LANTERN: ProductId = ProductId(Uuid::from_u128(0xB1));
const TEAPOT: ProductId = ProductId(Uuid::from_u128(0xB2));

fn reason(text: &str) -> Reason {
    Reason::parse(text).unwrap()
}

fn line(line: u16, product_id: ProductId, quantity: u32) -> OrderLine {
    let quantity = Quantity::new(quantity).unwrap();
    OrderLine { line, product_id, product_version: 1, quantity, unit_price: MinorUnits::new(250).unwrap() }
}

fn placed() -> OrderPlaced {
    OrderPlaced {
        user_id: None,
        fulfilment: Fulfilment::Managed,
        currency: "GBP".parse().unwrap(),
        lines: vec![line(1, LANTERN, 2), line(2, TEAPOT, 1), line(3, LANTERN, 3)],
        total: MinorUnits::new(1_500).unwrap(),
        payment_method: Some(PaymentMethod::parse("pm_1").unwrap()),
    }
}

fn begun() -> Saga {
    given([])
}

fn given(inputs: impl IntoIterator<Item = Input>) -> Saga {
    let begun = react(Saga::begin(ORDER, &placed()).unwrap(), Input::Begun).0;
    inputs.into_iter().fold(begun, |saga, input| react(saga, input).0)
}

fn done(step: Step) -> Input {
    Input::Answered(step, Outcome::Done)
}

fn refused(step: Step) -> Input {
    Input::Answered(step, Outcome::Refused(reason("no")))
}

fn cancelled() -> Input {
    Input::Order(OrderCancelled { reason: reason("changed my mind") }.into())
}

fn shipped() -> Input {
    Input::Order(OrderShipped { carrier: None, tracking: None }.into())
}

fn returned(number: u128, refund: u64) -> Input {
    let refund = MinorUnits::new(refund).unwrap();
    Input::Order(OrderReturned { return_id: ReturnId(Uuid::from_u128(number)), lines: Vec::new(), refund, reason: None }.into())
}

fn reserved() -> Vec<Input> {
    vec![done(Step::Reserve(LANTERN)), done(Step::Reserve(TEAPOT))]
}

fn confirmed() -> Vec<Input> {
    [reserved(), vec![done(Step::Authorise), done(Step::Confirm), Input::Order(OrderConfirmed {}.into())]].concat()
}

fn sent() -> Vec<Input> {
    [confirmed(), vec![shipped(), done(Step::Capture), done(Step::Commit(LANTERN)), done(Step::Commit(TEAPOT))]].concat()
}

/// What is done after each of these, until nothing is.
fn answering_all(mut saga: Saga) -> (Saga, Vec<Step>) {
    let mut steps = Vec::new();
    while let Some(under_way) = saga.under_way.clone() {
        steps.push(under_way.step);
        saga = react(saga, done(under_way.step)).0;
    }
    (saga, steps)
}

#[test]
fn an_order_that_another_system_carries_out_is_left_alone() {
    assert_eq!(Saga::begin(ORDER, &OrderPlaced { fulfilment: Fulfilment::External, ..placed() }), None);
}

#[test]
fn it_begins_with_a_timer_and_the_first_product() {
    let (saga, effects) = react(Saga::begin(ORDER, &placed()).unwrap(), Input::Begun);
    assert_eq!(effects, [Effect::StartTimer, Effect::Take(Step::Reserve(LANTERN))]);
    // Both lines of the product in one reservation.
    assert_eq!(saga.stock[&LANTERN].quantity, 5);
    assert_eq!(saga.stage(), Stage::Running);
}

#[test]
fn what_succeeds_is_reserved_authorised_and_confirmed_in_this_order() {
    let (saga, steps) = answering_all(begun());
    assert_eq!(steps, [Step::Reserve(LANTERN), Step::Reserve(TEAPOT), Step::Authorise, Step::Confirm]);
    assert_eq!((saga.stage(), saga.order, saga.payment), (Stage::Confirmed, OrderState::Confirmed, Payment::Authorised));
}

#[test]
fn the_timer_stops_when_the_payment_is_authorised() {
    let (_, effects) = react(given(reserved()), done(Step::Authorise));
    assert_eq!(effects, [Effect::StopTimer, Effect::Take(Step::Confirm)]);
}

#[test]
fn what_is_shipped_is_captured_and_leaves_the_stock() {
    let (saga, effects) = react(given(confirmed()), shipped());
    assert_eq!(effects, [Effect::Take(Step::Capture)]);
    let (saga, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Capture, Step::Commit(LANTERN), Step::Commit(TEAPOT)]);
    assert_eq!(saga.stage(), Stage::Fulfilled);
    assert_eq!(react(saga, Input::Order(OrderDelivered {}.into())).1, []);
}

#[test]
fn what_comes_back_is_paid_back_once() {
    let (saga, effects) = react(given(sent()), returned(1, 500));
    let refund = Step::Refund(ReturnId(Uuid::from_u128(1)));
    assert_eq!(effects, [Effect::Take(refund)]);
    assert_eq!(saga.refunds.values().map(|money| money.minor).collect::<Vec<_>>(), [MinorUnits::new(500).unwrap()]);
    let saga = react(saga, done(refund)).0;
    assert_eq!(saga.stage(), Stage::Fulfilled);
    assert_eq!(react(saga, returned(1, 500)).1, []);
}

#[test]
fn a_return_waits_for_the_capture() {
    let (saga, _) = answering_all(given([confirmed(), vec![shipped(), returned(1, 500)]].concat()));
    assert_eq!(saga.stage(), Stage::Fulfilled);
    assert!(saga.refunds.is_empty() && saga.refunded.len() == 1);
}

#[test]
fn without_stock_what_is_reserved_is_released_and_the_order_cancelled() {
    let (saga, effects) = react(given([done(Step::Reserve(LANTERN))]), refused(Step::Reserve(TEAPOT)));
    assert_eq!(effects, [Effect::StopTimer, Effect::Take(Step::Release(LANTERN))]);
    let (saga, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Release(LANTERN), Step::Cancel]);
    assert_eq!((saga.stage(), saga.stock[&TEAPOT].state), (Stage::Cancelled, StockState::Wanted));
    assert_eq!(saga.ending.unwrap().name(), "out-of-stock");
}

#[test]
fn a_declined_payment_releases_in_reverse_order() {
    let (saga, _) = react(given(reserved()), refused(Step::Authorise));
    let (saga, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Release(TEAPOT), Step::Release(LANTERN), Step::Cancel]);
    assert_eq!(saga.ending, Some(Ending::Declined { reason: reason("no") }));
}

#[test]
fn a_step_whose_outcome_is_unknown_is_not_overtaken() {
    let (saga, effects) = react(given(reserved()), cancelled());
    assert_eq!(effects, [Effect::StopTimer]);
    assert_eq!(saga.under_way.as_ref().map(|under_way| under_way.step), Some(Step::Authorise));
    let (saga, effects) = react(saga, done(Step::Authorise));
    assert_eq!(effects, [Effect::Take(Step::Void)]);
    let (saga, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Void, Step::Release(TEAPOT), Step::Release(LANTERN)]);
    assert_eq!(saga.stage(), Stage::Cancelled);
}

#[test]
fn a_payment_that_nobody_knows_of_in_time_ends_it() {
    let (saga, effects) = react(given(reserved()), Input::TimedOut);
    assert_eq!((effects, saga.stage()), (vec![Effect::StopTimer], Stage::Ending));
    let (saga, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Authorise, Step::Void, Step::Release(TEAPOT), Step::Release(LANTERN), Step::Cancel]);
    assert_eq!(saga.ending, Some(Ending::TimedOut));
}

#[test]
fn a_timer_that_comes_late_changes_nothing() {
    let saga = given(confirmed());
    assert_eq!(react(saga.clone(), Input::TimedOut), (saga, vec![]));
}

#[test]
fn an_order_cancelled_after_it_was_confirmed_is_undone() {
    let (saga, effects) = react(given(confirmed()), cancelled());
    assert_eq!(effects, [Effect::Take(Step::Void)]);
    let (saga, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Void, Step::Release(TEAPOT), Step::Release(LANTERN)]);
    assert_eq!((saga.stage(), saga.ending), (Stage::Cancelled, Some(Ending::Cancelled)));
}

#[test]
fn an_order_that_will_not_be_confirmed_is_undone() {
    let (saga, _) = react(given([reserved(), vec![done(Step::Authorise)]].concat()), refused(Step::Confirm));
    let (_, steps) = answering_all(saga);
    assert_eq!(steps, [Step::Void, Step::Release(TEAPOT), Step::Release(LANTERN), Step::Cancel]);
}

#[test]
fn an_answer_that_comes_twice_changes_nothing() {
    let saga = given(reserved());
    assert_eq!(react(saga.clone(), done(Step::Reserve(LANTERN))), (saga, vec![]));
}

#[test]
fn where_there_is_no_way_round_a_person_decides() {
    let stuck = given([confirmed(), vec![shipped(), refused(Step::Capture)]].concat());
    assert_eq!((stuck.stage(), stuck.next()), (Stage::Stuck, None));
    assert_eq!(react(stuck.clone(), Input::Retry).1, [Effect::Take(Step::Capture)]);
    assert_eq!(react(stuck.clone(), Input::Skip).1, [Effect::Take(Step::Commit(LANTERN))]);
    // The goods have left.
    assert_eq!(react(stuck.clone(), Input::Abort(reason("never mind"))), (stuck, vec![]));
}

#[test]
fn an_operator_can_give_up_a_step_that_nobody_answers() {
    let (saga, effects) = react(given(reserved()), Input::Abort(reason("the provider is gone")));
    assert_eq!(effects, [Effect::StopTimer, Effect::Take(Step::Release(TEAPOT))]);
    let (saga, _) = answering_all(saga);
    assert_eq!(saga.stage(), Stage::Cancelled);
    assert_eq!(react(saga.clone(), done(Step::Authorise)), (saga, vec![]));
}

#[test]
fn every_step_has_a_key_of_its_own() {
    let products = [Step::Reserve(LANTERN), Step::Reserve(TEAPOT), Step::Commit(LANTERN), Step::Release(LANTERN)];
    let plain = [Step::Authorise, Step::Confirm, Step::Capture, Step::Void, Step::Cancel, Step::Refund(ReturnId(ORDER.0))];
    let keys: std::collections::HashSet<_> = products.into_iter().chain(plain).map(Step::key).collect();
    assert_eq!(keys.len(), 10);
}

#[test]
fn every_name_is_listed() {
    let return_id = ReturnId(Uuid::from_u128(0xC));
    let steps = [
        Step::Reserve(LANTERN),
        Step::Authorise,
        Step::Confirm,
        Step::Capture,
        Step::Commit(LANTERN),
        Step::Refund(return_id),
        Step::Void,
        Step::Release(LANTERN),
        Step::Cancel,
    ];
    assert_eq!(steps.map(Step::name), Step::NAMES);
    let why = || reason("no");
    let endings = [
        Ending::OutOfStock { product_id: LANTERN, reason: why() },
        Ending::Declined { reason: why() },
        Ending::TimedOut,
        Ending::Cancelled,
        Ending::Unconfirmed { reason: why() },
        Ending::Aborted { reason: why() },
    ];
    assert_eq!(endings.each_ref().map(Ending::name), Ending::NAMES);
}
