//! What records of a partition change: a pure fold over what is known, so that the same records can be explained without
//! being handled.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use events::{Envelope, Event, OrderEvent, PaymentEvent, ProductEvent, UserEvent, orders::OrderPlaced};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{
    effect::{Effect, Mailbox},
    plan::{Known, OrderFacts, PaymentFacts, plan},
    subscription::Subscription,
};

/// What is known before, and what changes.
#[derive(Debug, Default)]
pub struct Folding {
    versions: HashMap<Uuid, u64>,
    orders: HashMap<Uuid, OrderFacts>,
    payments: HashMap<Uuid, PaymentFacts>,
    subscriptions: Vec<Subscription>,
    changes: Changes,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Changes {
    /// The last version of each stream.
    pub versions: BTreeMap<Uuid, u64>,
    /// New orders.
    pub orders: Vec<Placed>,
    /// New payments.
    pub payments: Vec<(Uuid, PaymentFacts)>,
    /// What is new about users.
    pub users: BTreeMap<Uuid, UserNews>,
    /// Names of products.
    pub products: BTreeMap<Uuid, String>,
    /// What is to be sent.
    pub effects: Vec<Planned>,
}

/// A new order.
#[derive(Debug)]
pub struct Placed {
    /// Its id.
    pub order_id: Uuid,
    /// What planning has to know.
    pub facts: OrderFacts,
    /// The currency of its amounts.
    pub currency: String,
    /// The sum of its lines, in minor units.
    pub total: u64,
    /// Its lines, as the event has them.
    pub lines: Value,
}

/// What is new about a user; what is none stays as it was.
#[derive(Debug, Default)]
pub struct UserNews {
    /// The name, sealed.
    pub name: Option<Value>,
    /// The address, sealed.
    pub email: Option<Value>,
    /// Whether the account was closed.
    pub closed: bool,
}

/// An effect, and whether it is sent.
#[derive(Debug)]
pub struct Planned {
    /// The effect.
    pub effect: Effect,
    /// Why it is only written down.
    pub skipped: Option<&'static str>,
}

/// Which effects are sent, and which are only written down.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    /// Events that were recorded longer ago cause nothing to be sent: a notifier that comes late, or begins beside a system
    /// that is years old, must not write to everybody about everything.
    pub max_age: Duration,
    /// Whether there is a way to send e-mail.
    pub email: bool,
    /// Whether there is a way to send text messages.
    pub sms: bool,
}

impl Horizon {
    /// Why an effect is not sent, if it is not.
    #[must_use]
    pub fn skip(&self, effect: &Effect, recorded_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<&'static str> {
        match effect.mailbox() {
            Mailbox::Email if !self.email => return Some("there is no SMTP_URL"),
            Mailbox::Sms if !self.sms => return Some("there is no SMS_PROVIDER_URL"),
            Mailbox::Webhook(_) | Mailbox::Email | Mailbox::Sms => {}
        }
        // Less than nothing, where clocks differ, is young.
        let age = (now - recorded_at).to_std().unwrap_or_default();
        (age > self.max_age).then_some("the event is older than MAX_AGE_HOURS")
    }
}

impl Folding {
    /// Begins with what is known.
    #[must_use]
    pub fn new(
        versions: HashMap<Uuid, u64>,
        orders: HashMap<Uuid, OrderFacts>,
        payments: HashMap<Uuid, PaymentFacts>,
        subscriptions: Vec<Subscription>,
    ) -> Self {
        Self { versions, orders, payments, subscriptions, changes: Changes::default() }
    }

    /// Folds one event, unless it was handled before.
    pub fn fold(
        &mut self,
        envelope: &Envelope<'_>,
        event: &Event,
        horizon: &Horizon,
        now: DateTime<Utc>,
    ) -> Result<(), serde_json::Error> {
        let stream = envelope.stream_id;
        if self.versions.get(&stream).is_some_and(|version| envelope.version <= *version) {
            return Ok(());
        }
        self.learn(stream, event)?;
        for effect in self.plan(envelope, event)? {
            let skipped = horizon.skip(&effect, envelope.recorded_at, now);
            self.changes.effects.push(Planned { effect, skipped });
        }
        self.versions.insert(stream, envelope.version);
        self.changes.versions.insert(stream, envelope.version);
        Ok(())
    }

    /// The effects of an event, whether or not it was handled before.
    pub fn explain(&mut self, envelope: &Envelope<'_>, event: &Event) -> Result<Vec<Effect>, serde_json::Error> {
        self.learn(envelope.stream_id, event)?;
        self.plan(envelope, event)
    }

    fn plan(&self, envelope: &Envelope<'_>, event: &Event) -> Result<Vec<Effect>, serde_json::Error> {
        let stream = envelope.stream_id;
        let known = Known { order: self.orders.get(&stream).copied(), payment: self.payments.get(&stream).copied() };
        plan(envelope, event, known, &self.subscriptions)
    }

    /// What changed.
    #[must_use]
    pub fn changes(self) -> Changes {
        self.changes
    }

    fn learn(&mut self, stream: Uuid, event: &Event) -> Result<(), serde_json::Error> {
        match event {
            Event::Orders(OrderEvent::Placed(placed)) => self.learn_order(stream, placed)?,
            Event::Payments(PaymentEvent::Requested(requested)) => {
                let facts = PaymentFacts::from(requested);
                self.payments.insert(stream, facts);
                self.changes.payments.push((stream, facts));
            }
            Event::Users(event) => self.learn_user(stream, event)?,
            Event::Products(ProductEvent::Created(created)) => {
                self.changes.products.insert(stream, created.name.as_str().to_owned());
            }
            Event::Products(ProductEvent::Renamed(renamed)) => {
                self.changes.products.insert(stream, renamed.name.as_str().to_owned());
            }
            Event::Orders(_) | Event::Payments(_) | Event::Products(_) => {}
        }
        Ok(())
    }

    fn learn_order(&mut self, order_id: Uuid, placed: &OrderPlaced) -> Result<(), serde_json::Error> {
        let facts = OrderFacts::from(placed);
        self.orders.insert(order_id, facts);
        let (currency, total) = (placed.currency.code().to_owned(), placed.total.get());
        self.changes.orders.push(Placed { order_id, facts, currency, total, lines: serde_json::to_value(&placed.lines)? });
        Ok(())
    }

    fn learn_user(&mut self, user_id: Uuid, event: &UserEvent) -> Result<(), serde_json::Error> {
        let user = self.changes.users.entry(user_id).or_default();
        match event {
            UserEvent::Registered(registered) => {
                user.name = Some(serde_json::to_value(&registered.name)?);
                user.email = Some(serde_json::to_value(&registered.email)?);
            }
            UserEvent::NameChanged(changed) => user.name = Some(serde_json::to_value(&changed.name)?),
            UserEvent::EmailChanged(changed) => user.email = Some(serde_json::to_value(&changed.email)?),
            UserEvent::Deactivated(_) => user.closed = true,
            UserEvent::PaymentMethodChanged(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
