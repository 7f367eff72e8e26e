use std::borrow::Cow;

use events::{
    Currency, DomainEvent, EventId, MinorUnits, ProductId, Quantity, UserId,
    orders::{Fulfilment, OrderConfirmed, OrderLine, OrderShipped},
};

use super::*;
use crate::domain::effect::Kind;

const ORDER: Uuid = Uuid::from_u128(2);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_791_192_000, 0).unwrap()
}

fn envelope(version: u64, event: &OrderEvent) -> Envelope<'static> {
    Envelope {
        id: EventId(Uuid::from_u128(u128::from(version))),
        stream_id: ORDER,
        event_type: Cow::Borrowed(event.event_type()),
        version,
        lane: 0,
        seq: version,
        occurred_at: now(),
        recorded_at: now(),
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    }
}

fn placed() -> OrderEvent {
    let price = MinorUnits::new(5).unwrap();
    let line = OrderLine {
        line: 1,
        product_id: ProductId(Uuid::from_u128(3)),
        product_version: 1,
        quantity: Quantity::new(1).unwrap(),
        unit_price: price,
    };
    let user_id = Some(UserId(Uuid::from_u128(7)));
    let fulfilment = Fulfilment::Managed;
    OrderPlaced { user_id, fulfilment, currency: Currency::GBP, lines: vec![line], total: price, payment_method: None }.into()
}

fn fold(folding: &mut Folding, events: &[(u64, OrderEvent)], age: Duration) {
    let horizon = Horizon { max_age: HOUR, email: true, sms: false };
    for (version, event) in events {
        folding.fold(&envelope(*version, event), &event.clone().into(), &horizon, now() + age).unwrap();
    }
}

#[test]
fn an_order_is_known_from_the_same_batch_on() {
    let mut folding = Folding::default();
    fold(&mut folding, &[(1, placed()), (2, OrderConfirmed {}.into())], Duration::ZERO);
    let changes = folding.changes();
    assert_eq!(changes.effects.iter().map(|planned| planned.effect.kind).collect::<Vec<_>>(), [Kind::ConfirmedMail]);
    assert_eq!((changes.versions[&ORDER], changes.orders.len()), (2, 1));
    assert!(changes.effects[0].skipped.is_none());
}

#[test]
fn what_was_handled_changes_nothing() {
    let known = HashMap::from([(ORDER, 2)]);
    let mut folding = Folding::new(known, HashMap::new(), HashMap::new(), Vec::new());
    let events = [(1, placed()), (2, OrderConfirmed {}.into())];
    fold(&mut folding, &events, Duration::ZERO);
    let changes = folding.changes();
    assert!(changes.effects.is_empty() && changes.versions.is_empty() && changes.orders.is_empty());
    let mut folding = Folding::default();
    fold(&mut folding, &[events.clone(), events].concat(), Duration::ZERO);
    assert_eq!(folding.changes().effects.len(), 1);
}

#[test]
fn old_events_are_written_down_and_not_sent() {
    let mut folding = Folding::default();
    fold(&mut folding, &[(1, placed()), (2, OrderConfirmed {}.into())], HOUR + Duration::from_secs(1));
    assert!(folding.changes().effects[0].skipped.is_some());
}

#[test]
fn what_has_no_channel_is_written_down_and_not_sent() {
    let mut folding = Folding::default();
    let shipped = OrderShipped { carrier: None, tracking: None };
    fold(&mut folding, &[(1, placed()), (2, shipped.into())], Duration::ZERO);
    let skipped: Vec<_> = folding.changes().effects.iter().map(|planned| (planned.effect.kind, planned.skipped)).collect();
    assert_eq!(skipped, [(Kind::ShippedMail, None), (Kind::ShippedText, Some("there is no SMS_PROVIDER_URL"))]);
}
