//! An order as an aggregate of `cqrs-es`, with an event of the size of ours.

use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What each piece costs. Ours looks the price up; that favours the peer.
const UNIT_PRICE: u64 = 1_297;

/// The body of `POST /v1/orders`, and the command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrder {
    lines: Vec<NewLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLine {
    product_id: Uuid,
    quantity: u32,
}

/// The aggregate.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    lines: Vec<Line>,
    total: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    line: u16,
    product_id: Uuid,
    product_version: u64,
    quantity: u32,
    unit_price: u64,
}

/// What can happen to an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum OrderEvent {
    /// It was placed.
    OrderPlaced { fulfilment: String, currency: String, lines: Vec<Line>, total: u64 },
}

impl DomainEvent for OrderEvent {
    fn event_type(&self) -> String {
        "OrderPlaced".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

/// The rule that refused a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("the order is placed already")]
    AlreadyPlaced,
    #[error("an order needs a line")]
    NoLines,
}

impl Aggregate for Order {
    type Command = PlaceOrder;
    type Event = OrderEvent;
    type Error = OrderError;
    type Services = ();

    const TYPE: &'static str = "order";

    async fn handle(&mut self, command: PlaceOrder, _: &(), sink: &EventSink<Self>) -> Result<(), OrderError> {
        if !self.lines.is_empty() {
            return Err(OrderError::AlreadyPlaced);
        }
        if command.lines.is_empty() {
            return Err(OrderError::NoLines);
        }
        let lines = (1..).zip(command.lines).map(|(line, NewLine { product_id, quantity })| Line {
            line,
            product_id,
            product_version: 1,
            quantity,
            unit_price: UNIT_PRICE,
        });
        let lines: Vec<_> = lines.collect();
        let total = lines.iter().map(|line| u64::from(line.quantity) * line.unit_price).sum();
        let placed = OrderEvent::OrderPlaced { fulfilment: "managed".to_owned(), currency: "GBP".to_owned(), lines, total };
        sink.write(placed, self).await;
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        let OrderEvent::OrderPlaced { lines, total, .. } = event;
        self.lines = lines;
        self.total = total;
    }
}
