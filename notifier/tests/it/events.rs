//! Records as a consumer would hand them over.

use std::borrow::Cow;

use chrono::Utc;
use consumer::{Position, Received};
use events::{
    Currency, DomainEvent, Envelope, EventId, MinorUnits, OrderEvent, ProductId, Quantity, UserId,
    orders::{Fulfilment, OrderConfirmed, OrderLine, OrderPlaced},
};
use uuid::Uuid;

/// The events of one order, in order; the offsets are those of its versions.
pub(crate) fn order(order_id: Uuid, events: Vec<OrderEvent>) -> Vec<Received> {
    let received = events.into_iter().zip(1..).map(|(event, version): (OrderEvent, u64)| {
        let envelope = Envelope {
            id: EventId(Uuid::new_v5(&order_id, &version.to_be_bytes())),
            stream_id: order_id,
            event_type: Cow::Borrowed(event.event_type()),
            version,
            lane: 0,
            seq: version,
            occurred_at: Utc::now(),
            recorded_at: Utc::now(),
            correlation_id: Uuid::nil(),
            causation_id: None,
            traceparent: None,
        };
        let offset = i64::try_from(version).unwrap() - 1;
        let position = Position { topic: "orderflow.orders.v1".to_owned(), partition: 0, offset };
        Received { position, envelope, event: event.into() }
    });
    received.collect()
}

pub(crate) fn placed(user: Uuid) -> OrderEvent {
    let price = MinorUnits::new(1999).unwrap();
    let line = OrderLine {
        line: 1,
        product_id: ProductId(Uuid::from_u128(3)),
        product_version: 1,
        quantity: Quantity::new(1).unwrap(),
        unit_price: price,
    };
    OrderPlaced {
        user_id: Some(UserId(user)),
        fulfilment: Fulfilment::Managed,
        currency: Currency::GBP,
        lines: vec![line],
        total: price,
        payment_method: None,
    }
    .into()
}

pub(crate) fn confirmed() -> OrderEvent {
    OrderConfirmed {}.into()
}
