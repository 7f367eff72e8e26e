use std::borrow::Cow;

use chrono::DateTime;
use events::{
    Currency, DomainEvent, EventId, MinorUnits, Money, RefundId,
    orders::{OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped},
    payments::PaymentRefunded,
    text::{ProviderReference, Reason, TrackingCode},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::domain::subscription::EventTypes;

const USER: UserId = UserId(Uuid::from_u128(7));
const ORDER: Uuid = Uuid::from_u128(2);

fn envelope(event_type: &'static str) -> Envelope<'static> {
    Envelope {
        id: EventId(Uuid::from_u128(1)),
        stream_id: ORDER,
        event_type: Cow::Borrowed(event_type),
        version: 3,
        lane: 0,
        seq: 1,
        occurred_at: DateTime::from_timestamp_micros(1_291_192_000_000_123).unwrap(),
        recorded_at: DateTime::from_timestamp_micros(1_791_192_000_000_000).unwrap(),
        correlation_id: Uuid::from_u128(5),
        causation_id: None,
        traceparent: None,
    }
}

fn of_order(user_id: Option<UserId>, managed: bool) -> Known {
    Known { order: Some(OrderFacts { user_id, managed }), payment: None }
}

fn planned(event: &OrderEvent, known: Known) -> Vec<Effect> {
    plan(&envelope(event.event_type()), &event.clone().into(), known, &[]).unwrap()
}

fn subscription(endpoint: u128, types: &[&str]) -> Subscription {
    let event_types = types.iter().map(|types| EventTypes::parse(types).unwrap()).collect();
    Subscription { endpoint: Uuid::from_u128(endpoint), event_types }
}

#[test]
fn customers_hear_of_their_managed_orders() {
    let shipped = OrderShipped { carrier: None, tracking: Some(TrackingCode::parse("X1").unwrap()) };
    let cancelled = OrderCancelled { reason: Reason::parse("out of stock").unwrap() };
    for (event, kinds, note) in [
        (OrderConfirmed {}.into(), vec![Kind::ConfirmedMail], json!({"news": "confirmed"})),
        (cancelled.into(), vec![Kind::CancelledMail], json!({"news": "cancelled", "reason": "out of stock"})),
        (
            shipped.into(),
            vec![Kind::ShippedMail, Kind::ShippedText],
            json!({"news": "shipped", "carrier": null, "tracking": "X1"}),
        ),
        (OrderDelivered {}.into(), vec![], Value::Null),
    ] {
        let effects = planned(&event, of_order(Some(USER), true));
        assert_eq!(effects.iter().map(|effect| effect.kind).collect::<Vec<_>>(), kinds);
        for effect in effects {
            let mut expected = note.clone();
            expected["order_id"] = json!(ORDER);
            assert_eq!(serde_json::from_str::<Value>(&effect.payload).unwrap(), expected);
            assert_eq!((effect.user(), effect.event_id), (Some(USER), EventId(Uuid::from_u128(1))));
        }
    }
}

#[test]
fn guests_and_external_orders_are_left_alone() {
    let event = OrderConfirmed {}.into();
    for known in [of_order(None, true), of_order(Some(USER), false), Known::default()] {
        assert_eq!(planned(&event, known), []);
    }
}

#[test]
fn a_refund_is_told_when_the_money_is_paid_back() {
    let amount = Money { minor: MinorUnits::new(1999).unwrap(), currency: Currency::GBP };
    let reference = ProviderReference::parse("re_1").unwrap();
    let event = PaymentEvent::from(PaymentRefunded { refund_id: RefundId(Uuid::from_u128(9)), amount, reference });
    let payment = PaymentFacts { order_id: OrderId(Uuid::from_u128(4)), user_id: Some(USER) };
    let known = Known { order: None, payment: Some(payment) };
    let effects = plan(&envelope("payment.refunded.v1"), &event.into(), known, &[]).unwrap();
    assert_eq!(effects.iter().map(|effect| effect.kind).collect::<Vec<_>>(), [Kind::RefundedMail]);
    let note: Note = serde_json::from_str(&effects[0].payload).unwrap();
    assert_eq!(note, Note { order_id: payment.order_id, news: News::Refunded { amount }, traceparent: None });
}

#[test]
fn endpoints_get_what_they_ask_for_of_external_orders_too() {
    let event: OrderEvent = OrderConfirmed {}.into();
    let subscriptions =
        [subscription(10, &["order.confirmed.v1"]), subscription(11, &["payment.*"]), subscription(12, &["user.*", "order.*"])];
    let known = of_order(Some(USER), false);
    let effects = plan(&envelope("order.confirmed.v1"), &event.into(), known, &subscriptions).unwrap();
    let recipients: Vec<_> = effects.iter().map(|effect| (effect.kind, effect.recipient)).collect();
    assert_eq!(recipients, [(Kind::Webhook, Uuid::from_u128(10)), (Kind::Webhook, Uuid::from_u128(12))]);
    assert_eq!(
        serde_json::from_str::<Value>(&effects[0].payload).unwrap(),
        json!({
            "specversion": "1.0",
            "id": Uuid::from_u128(1),
            "source": "/orderflow/orders",
            "type": "order.confirmed.v1",
            "subject": ORDER,
            "time": "2010-12-01T08:26:40.000123Z",
            "datacontenttype": "application/json",
            "recordedat": "2026-10-05T09:20:00.000000Z",
            "version": 3,
            "correlationid": Uuid::from_u128(5),
            "data": {},
        })
    );
}

#[test]
fn planning_again_gives_the_same() {
    let event = OrderConfirmed {}.into();
    let ids = |effects: Vec<Effect>| effects.iter().map(Effect::id).collect::<Vec<_>>();
    let plan = || ids(planned(&event, of_order(Some(USER), true)));
    assert_eq!(plan(), plan());
}
