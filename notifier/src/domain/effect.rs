//! Effects: what is sent because of an event, to whom, by whom.

use std::{fmt, str::FromStr};

use events::{EventId, UserId};
use uuid::Uuid;

/// The namespace of message ids: a v4 UUID of this project's own.
const NAMESPACE: Uuid = Uuid::from_u128(0x3a0c_2f1e_75d1_4c0b_9d2e_60b1_c5a4_7f18);

/// What an effect is. With event and recipient it identifies the effect for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The event itself, to an endpoint.
    Webhook,
    /// An e-mail: the order will be fulfilled.
    ConfirmedMail,
    /// An e-mail: the order will not be fulfilled.
    CancelledMail,
    /// An e-mail: the goods have left.
    ShippedMail,
    /// An e-mail: money was paid back.
    RefundedMail,
    /// A text message: the goods have left.
    ShippedText,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Webhook, Self::ConfirmedMail, Self::CancelledMail, Self::ShippedMail, Self::RefundedMail, Self::ShippedText];

    /// The name in the ledger, never to be changed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::ConfirmedMail => "email.order-confirmed",
            Self::CancelledMail => "email.order-cancelled",
            Self::ShippedMail => "email.order-shipped",
            Self::RefundedMail => "email.order-refunded",
            Self::ShippedText => "sms.order-shipped",
        }
    }
}

/// The text names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of effect")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

/// Who sends: one of these runs as one actor, and waits for nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mailbox {
    /// All that goes to one endpoint.
    Webhook(Uuid),
    /// All e-mail.
    Email,
    /// All text messages.
    Sms,
}

impl Mailbox {
    /// The label of its metrics: endpoints are too many to be told apart there.
    #[must_use]
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(endpoint) => write!(f, "webhook:{endpoint}"),
            Self::Email | Self::Sms => f.write_str(self.channel()),
        }
    }
}

/// Something to be sent because of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Because of which event.
    pub event_id: EventId,
    /// The event's type, for lists.
    pub event_type: String,
    /// What it is.
    pub kind: Kind,
    /// An endpoint or a user, never an address.
    pub recipient: Uuid,
    /// What it is written from: the body of a webhook, the facts of a message ([`super::written::Note`] as JSON).
    pub payload: String,
}

impl Effect {
    /// The message id, the same whenever and wherever this effect is planned.
    #[must_use]
    pub fn id(&self) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{} {} {}", self.event_id, self.kind.name(), self.recipient).as_bytes())
    }

    /// Who sends it.
    #[must_use]
    pub const fn mailbox(&self) -> Mailbox {
        match self.kind {
            Kind::Webhook => Mailbox::Webhook(self.recipient),
            Kind::ConfirmedMail | Kind::CancelledMail | Kind::ShippedMail | Kind::RefundedMail => Mailbox::Email,
            Kind::ShippedText => Mailbox::Sms,
        }
    }

    /// The user that it goes to, if it goes to one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        (self.kind != Kind::Webhook).then_some(UserId(self.recipient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(kind: Kind) -> Effect {
        let event_id = EventId(Uuid::from_u128(1));
        Effect { event_id, event_type: String::new(), kind, recipient: Uuid::from_u128(2), payload: String::new() }
    }

    /// A ledger that was lost must come to the ids that recipients have seen.
    #[test]
    fn an_effect_has_the_same_id_for_ever() {
        let webhook = effect(Kind::Webhook);
        assert_eq!(webhook.id(), Effect { payload: "another".to_owned(), ..webhook.clone() }.id());
        assert_eq!(webhook.id().to_string(), "0b14eca9-6a83-590f-bf64-e65452ffb25b");
        let ids: std::collections::HashSet<_> = Kind::ALL.iter().map(|kind| effect(*kind).id()).collect();
        assert_eq!(ids.len(), Kind::ALL.len());
    }

    #[test]
    fn kinds_have_names() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("e-mail".parse::<Kind>().is_err());
    }
}
