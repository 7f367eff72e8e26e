//! A topic full of orders, as the relay would have written it.

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Context, Currency, DomainEvent as _, Envelope, EventId, MinorUnits, OrderEvent, ProductId, Quantity, UserId,
    orders::{Fulfilment, OrderConfirmed, OrderDelivered, OrderLine, OrderPlaced, OrderShipped},
};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};
use uuid::Uuid;

use crate::kafka::Sender;

/// As many as the retail data set of the demo has, about.
const PRODUCTS: u64 = 3_800;
/// The same for customers.
const USERS: u64 = 4_000;
/// When the first order was placed: orders are some years of a shop.
const START: &str = "2010-12-01T08:00:00Z";

/// What becomes of each order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It is placed.
    Placed,
    /// It is placed, confirmed, shipped and delivered.
    Whole,
}

/// What a topic holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) events: u64,
    /// Of keys, headers and payloads, together.
    pub(super) bytes: u64,
    /// Of the payloads alone: the events' own JSON.
    pub(super) payload_bytes: u64,
}

/// Writes this many events, or the few more that make the last order whole. Blocks.
pub(super) fn make(topic: &str, wanted: u64, life: Life) -> anyhow::Result<Made> {
    let sender = Sender::open(topic)?;
    let start: DateTime<Utc> = START.parse()?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut made = Made { events: 0, bytes: 0, payload_bytes: 0 };
    while made.events < wanted {
        let stream = Uuid::from_u128(random.u128(..));
        for (event, version) in order(&mut random, life)?.into_iter().zip(1..) {
            let envelope = Envelope {
                id: EventId(Uuid::now_v7()),
                stream_id: stream,
                event_type: event.event_type().into(),
                version,
                lane: 3,
                seq: made.events + 1,
                occurred_at: start + TimeDelta::seconds(i64::try_from(made.events)?),
                recorded_at: Utc::now(),
                correlation_id: Uuid::now_v7(),
                causation_id: None,
                traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            };
            let payload = event.encode()?;
            made.bytes += send(&sender, topic, &envelope, &payload)?;
            made.payload_bytes += payload.len() as u64;
            made.events += 1;
        }
    }
    sender.finish()?;
    Ok(made)
}

/// Sends one event and gives its bytes.
fn send(sender: &Sender, topic: &str, envelope: &Envelope<'_>, payload: &[u8]) -> anyhow::Result<u64> {
    let key = envelope.stream_id.to_string();
    let mut bytes = key.len() + payload.len();
    let mut headers = Some(OwnedHeaders::new_with_capacity(14));
    envelope.write_headers(Context::Orders, |key, value| {
        bytes += key.len() + value.len();
        headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
    });
    let record = BaseRecord::to(topic).key(key.as_bytes()).payload(payload).headers(headers.unwrap_or_default());
    sender.send(record)?;
    Ok(bytes as u64)
}

fn order(random: &mut fastrand::Rng, life: Life) -> anyhow::Result<Vec<OrderEvent>> {
    let lines = vec![line(1, random)?, line(2, random)?];
    let total = lines.iter().map(|line| line.unit_price.get() * u64::from(line.quantity.get())).sum();
    let placed = OrderEvent::Placed(OrderPlaced {
        user_id: Some(UserId(Uuid::from_u128(u128::from(random.u64(..USERS)) << 64 | 9))),
        fulfilment: Fulfilment::External,
        currency: Currency::GBP,
        lines,
        total: MinorUnits::new(total)?,
        payment_method: None,
    });
    Ok(match life {
        Life::Placed => vec![placed],
        Life::Whole => vec![
            placed,
            OrderConfirmed {}.into(),
            OrderShipped { carrier: None, tracking: None }.into(),
            OrderDelivered {}.into(),
        ],
    })
}

fn line(line: u16, random: &mut fastrand::Rng) -> anyhow::Result<OrderLine> {
    Ok(OrderLine {
        line,
        product_id: ProductId(Uuid::from_u128(u128::from(random.u64(..PRODUCTS)) << 64 | 7)),
        product_version: 3,
        quantity: Quantity::new(random.u32(1..=12))?,
        unit_price: MinorUnits::new(random.u64(1..=2_000))?,
    })
}
