//! What follows from an event: a pure function of the event, of what is known about its order, and of who subscribes.
#![deny(clippy::wildcard_enum_match_arm)]

use events::{
    Envelope, Event, OrderEvent, OrderId, PaymentEvent, UserId,
    orders::{Fulfilment, OrderPlaced},
    payments::PaymentRequested,
};

use super::{
    cloudevent,
    effect::{Effect, Kind},
    subscription::Subscription,
    written::{News, Note},
};

/// What planning has to know about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderFacts {
    /// Who ordered; nobody when it was a guest.
    pub user_id: Option<UserId>,
    /// Whether we carry it out: an imported order's customer has long heard.
    pub managed: bool,
}

impl From<&OrderPlaced> for OrderFacts {
    fn from(placed: &OrderPlaced) -> Self {
        Self { user_id: placed.user_id, managed: placed.fulfilment == Fulfilment::Managed }
    }
}

/// What planning has to know about a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentFacts {
    /// What is paid for.
    pub order_id: OrderId,
    /// Who pays; nobody known when it is a guest.
    pub user_id: Option<UserId>,
}

impl From<&PaymentRequested> for PaymentFacts {
    fn from(requested: &PaymentRequested) -> Self {
        Self { order_id: requested.order_id, user_id: requested.user_id }
    }
}

/// What is known about the stream that an event belongs to, that event included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Of an order.
    pub order: Option<OrderFacts>,
    /// Of a payment.
    pub payment: Option<PaymentFacts>,
}

/// The effects of an event. Whether an order that a refund belongs to is managed is known when the refund is told: payments
/// and orders come from different topics, in no order.
pub fn plan(
    envelope: &Envelope<'_>,
    event: &Event,
    known: Known,
    subscriptions: &[Subscription],
) -> Result<Vec<Effect>, serde_json::Error> {
    let event_type = event.event_type();
    let mut effects = Vec::new();
    let mut endpoints = subscriptions.iter().filter(|subscription| subscription.includes(event_type)).peekable();
    if endpoints.peek().is_some() {
        let payload = cloudevent::body(envelope, event)?;
        effects.extend(endpoints.map(|subscription| Effect {
            event_id: envelope.id,
            event_type: event_type.to_owned(),
            kind: Kind::Webhook,
            recipient: subscription.endpoint,
            payload: payload.clone(),
        }));
    }
    if let Some((user, note)) = message(envelope, event, known) {
        let payload = serde_json::to_string(&note)?;
        effects.extend(kinds(&note.news).iter().map(|kind| Effect {
            event_id: envelope.id,
            event_type: event_type.to_owned(),
            kind: *kind,
            recipient: user.0,
            payload: payload.clone(),
        }));
    }
    Ok(effects)
}

/// By which channels news are told.
const fn kinds(news: &News) -> &'static [Kind] {
    match news {
        News::Confirmed => &[Kind::ConfirmedMail],
        News::Cancelled { .. } => &[Kind::CancelledMail],
        News::Shipped { .. } => &[Kind::ShippedMail, Kind::ShippedText],
        News::Refunded { .. } => &[Kind::RefundedMail],
    }
}

/// What is told to whom, if anything is.
fn message(envelope: &Envelope<'_>, event: &Event, known: Known) -> Option<(UserId, Note)> {
    let traceparent = envelope.traceparent.as_deref().map(str::to_owned);
    match event {
        Event::Users(_) | Event::Products(_) => None,
        Event::Orders(event) => {
            let user = known.order.filter(|order| order.managed)?.user_id?;
            Some((user, Note { order_id: envelope.stream_id.into(), news: order_news(event)?, traceparent }))
        }
        Event::Payments(event) => {
            let payment = known.payment?;
            Some((payment.user_id?, Note { order_id: payment.order_id, news: payment_news(event)?, traceparent }))
        }
    }
}

fn order_news(event: &OrderEvent) -> Option<News> {
    match event {
        OrderEvent::Confirmed(_) => Some(News::Confirmed),
        OrderEvent::Cancelled(cancelled) => Some(News::Cancelled { reason: cancelled.reason.as_str().to_owned() }),
        OrderEvent::Shipped(shipped) => Some(News::Shipped {
            carrier: shipped.carrier.as_ref().map(|carrier| carrier.as_str().to_owned()),
            tracking: shipped.tracking.as_ref().map(|tracking| tracking.as_str().to_owned()),
        }),
        // A return's money is told of when it was paid back, which is the payment's event.
        OrderEvent::Placed(_) | OrderEvent::Delivered(_) | OrderEvent::Returned(_) => None,
    }
}

fn payment_news(event: &PaymentEvent) -> Option<News> {
    match event {
        PaymentEvent::Refunded(refunded) => Some(News::Refunded { amount: refunded.amount }),
        PaymentEvent::Requested(_)
        | PaymentEvent::Authorised(_)
        | PaymentEvent::Declined(_)
        | PaymentEvent::Expired(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::VoidFailed(_)
        | PaymentEvent::RefundRequested(_)
        | PaymentEvent::RefundFailed(_) => None,
    }
}

#[cfg(test)]
mod tests;
