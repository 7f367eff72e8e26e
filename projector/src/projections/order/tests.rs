use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Currency, OrderEvent, ProductId, ReturnId, UserId,
    orders::{Fulfilment, OrderCancelled, OrderConfirmed, OrderDelivered, OrderLine, OrderShipped, ReturnedLine},
    text::Reason,
};
use proptest::prelude::*;

use super::*;

const STREAM: Uuid = Uuid::from_u128(1);

fn meta(version: u64) -> Meta {
    let placed: DateTime<Utc> = "2010-12-01T23:00:00Z".parse().unwrap();
    let later = TimeDelta::hours(i64::try_from(version).unwrap() - 1);
    Meta { stream: STREAM, version, occurred_at: placed + later }
}

fn minor(amount: u64) -> MinorUnits {
    MinorUnits::new(amount).unwrap()
}

fn pieces(number: u32) -> Quantity {
    Quantity::new(number).unwrap()
}

fn placed() -> OrderEvent {
    let line = |line: u16, quantity, price| OrderLine {
        line,
        product_id: ProductId(Uuid::from_u128(u128::from(line) + 10)),
        product_version: 1,
        quantity: pieces(quantity),
        unit_price: minor(price),
    };
    let lines = vec![line(1, 3, 100), line(2, 1, 250)];
    let user_id = Some(UserId(Uuid::from_u128(5)));
    OrderPlaced {
        user_id,
        fulfilment: Fulfilment::External,
        currency: Currency::GBP,
        lines,
        total: minor(550),
        payment_method: None,
    }
    .into()
}

fn returned(line: u16, quantity: u32, refund: u64) -> OrderEvent {
    let lines = vec![ReturnedLine { line, quantity: pieces(quantity), refund: minor(refund) }];
    OrderReturned { return_id: ReturnId(Uuid::from_u128(9)), lines, refund: minor(refund), reason: None }.into()
}

fn life() -> Vec<OrderEvent> {
    vec![placed(), OrderConfirmed {}.into(), OrderShipped { carrier: None, tracking: None }.into(), OrderDelivered {}.into()]
}

fn cancelled() -> OrderEvent {
    OrderCancelled { reason: Reason::parse("changed my mind").unwrap() }.into()
}

fn fold(events: &[OrderEvent]) -> Folded<OrderView> {
    let keys = KeyRing::default();
    let mut view = None;
    for (event, version) in events.iter().zip(1..) {
        view = Some(OrderProjection::apply(view, event, &meta(version), &keys)?);
    }
    existing(view)
}

fn counted(view: &OrderView) -> BTreeMap<String, i64> {
    let name = |counter| match counter {
        Counter::Day(field) => field.to_string(),
        Counter::ProductUnits(product) => format!("units {}", product.0.as_u128()),
        Counter::ProductRevenue(product, currency) => format!("revenue {} {currency}", product.0.as_u128()),
    };
    OrderProjection::contribution(view).into_iter().map(|(counter, amount)| (name(counter), amount)).collect()
}

fn entries(view: &OrderView) -> Vec<String> {
    OrderProjection::index_entries(view).iter().map(|entry| format!("{} {}", entry.index, entry.member())).collect()
}

#[test]
fn a_placed_order_is_in_three_lists_and_counts_on_its_day() {
    let view = fold(&[placed()]).unwrap();
    assert_eq!((view.status, view.version, view.total.get()), (OrderStatus::Placed, 1, 550));
    let member = read_model::index::timed(meta(1).occurred_at, STREAM);
    let user = "user:00000000000000000000000000000005";
    assert_eq!(entries(&view), [format!("recent {member}"), format!("status:placed {member}"), format!("{user} {member}")]);
    let expected = [
        ("2010-12-01|gross|GBP", 550),
        ("2010-12-01|orders", 1),
        ("2010-12-01|units", 4),
        ("revenue 11 GBP", 300),
        ("revenue 12 GBP", 250),
        ("units 11", 3),
        ("units 12", 1),
    ];
    assert_eq!(counted(&view), expected.map(|(name, amount)| (name.to_owned(), amount)).into());
}

#[test]
fn each_step_sets_status_version_and_time() {
    let statuses = [OrderStatus::Placed, OrderStatus::Confirmed, OrderStatus::Shipped, OrderStatus::Delivered];
    for (length, status) in (1..).zip(statuses) {
        let view = fold(&life()[..length]).unwrap();
        assert_eq!((view.status, usize::try_from(view.version).unwrap()), (status, length));
        assert_eq!(view.delivered_at.is_some(), status == OrderStatus::Delivered);
        assert!(entries(&view)[1].starts_with(&format!("status:{} ", status.name())));
    }
}

#[test]
fn a_cancelled_order_counts_as_nothing_but_cancelled() {
    let view = fold(&[placed(), cancelled()]).unwrap();
    assert_eq!(view.cancel_reason.as_deref(), Some("changed my mind"));
    assert_eq!(counted(&view), [("2010-12-01|cancelled".to_owned(), 1)].into());
}

#[test]
fn a_return_counts_on_its_own_day() {
    let mut events = life();
    events.push(returned(1, 2, 200));
    let view = fold(&events).unwrap();
    assert_eq!((view.status, view.refunded.get(), view.lines[0].returned), (OrderStatus::Delivered, 200, 2));
    let counted = counted(&view);
    assert_eq!(counted["2010-12-02|returned-units"], 2);
    assert_eq!(counted["2010-12-02|refunds|GBP"], 200);
    assert_eq!((counted["2010-12-01|gross|GBP"], counted["units 11"], counted["revenue 11 GBP"]), (550, 1, 100));
}

#[test]
fn an_order_of_which_everything_came_back_is_returned() {
    let mut events = life();
    events.extend([returned(1, 3, 300), returned(2, 1, 250)]);
    assert_eq!(fold(&events).unwrap().status, OrderStatus::Returned);
}

#[test]
fn what_cannot_have_happened_is_refused_and_changes_nothing() {
    let delivered = fold(&life()).unwrap();
    let impossible = [placed(), returned(3, 1, 1), returned(1, 4, 400)];
    for event in impossible {
        let refused = OrderProjection::apply(Some(delivered.clone()), &event, &meta(5), &KeyRing::default()).unwrap_err();
        assert_eq!(refused.view.as_ref(), Some(&delivered), "{}", refused.cause);
    }
    let refused = OrderProjection::apply(None, &cancelled(), &meta(1), &KeyRing::default()).unwrap_err();
    assert_eq!(refused.view, None);
}

#[test]
fn a_view_survives_its_json() {
    let mut events = life();
    events.push(returned(1, 2, 200));
    let view = fold(&events).unwrap();
    let json = serde_json::to_vec(&view).unwrap();
    assert_eq!(serde_json::from_slice::<OrderView>(&json).unwrap(), view);
}

proptest! {
    /// Counters hold contribution(new) − contribution(old), summed up along the way: in the end, that is the last view's.
    #[test]
    fn differences_of_contributions_add_up_to_the_last_one(returns in prop::collection::vec((1_u16..3, 1_u32..3), 0..4)) {
        let mut events = life();
        events.extend(returns.iter().map(|(line, quantity)| returned(*line, *quantity, u64::from(*quantity) * 10)));
        let mut sums: BTreeMap<Counter, i64> = BTreeMap::new();
        let mut last = None;
        for length in 1..=events.len() {
            let Ok(view) = fold(&events[..length]) else { break };
            let before: Vec<_> = last.iter().flat_map(OrderProjection::contribution).collect();
            for (counter, amount) in before {
                *sums.entry(counter).or_default() -= amount;
            }
            for (counter, amount) in OrderProjection::contribution(&view) {
                *sums.entry(counter).or_default() += amount;
            }
            last = Some(view);
        }
        let mut whole: BTreeMap<Counter, i64> = BTreeMap::new();
        for (counter, amount) in last.iter().flat_map(OrderProjection::contribution) {
            *whole.entry(counter).or_default() += amount;
        }
        sums.retain(|_, amount| *amount != 0);
        whole.retain(|_, amount| *amount != 0);
        prop_assert_eq!(sums, whole);
    }
}
