//! The rules of the business, pure: no I/O, no clock, no randomness. Time and ids come in as arguments.
//!
//! Each aggregate is a plain type with two functions: [`Aggregate::decide`] turns a command into events or refuses it by a
//! named rule, [`Aggregate::evolve`] applies an event and cannot fail.

pub mod order;
pub mod payment;
pub mod product;
pub mod user;

#[cfg(test)]
mod tests;

use events::DomainEvent;
use serde::{Serialize, de::DeserializeOwned};

/// A consistency boundary: one stream of events and the state that they add up to. [`Default`] is the state before the
/// first event.
pub trait Aggregate: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What can be asked of it.
    type Command: Send + Sync + 'static;
    /// What can happen to it.
    type Event: DomainEvent;
    /// The rules that can refuse a command.
    type Error: Rule;

    /// A text that changes whenever the serialised state's shape or meaning does; snapshots of another shape are ignored.
    const SHAPE: &'static str;

    /// The events that follow from a command, or the rule that it breaks. No events: there is nothing to do, and the
    /// command is accepted (a repeated one, for example).
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after an event. Total: whatever was decided can be applied.
    #[must_use]
    fn evolve(self, event: &Self::Event) -> Self;

    /// What the command needs to be unique beyond its own stream. Asked only when the command was accepted with events.
    fn claims(_command: &Self::Command) -> Vec<Claim<Self::Error>> {
        Vec::new()
    }
}

/// A rule that refused a command.
pub trait Rule: std::error::Error + Send + Sync + 'static {
    /// The rule's stable name, such as `InsufficientStock`. Clients know rules by it.
    fn name(&self) -> &'static str;

    /// What the caller can make of it.
    fn kind(&self) -> RuleKind;
}

/// What the caller can make of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// There is no such aggregate.
    NotFound,
    /// The state does not allow it (now): a transition, or something that exists already.
    Conflict,
    /// The request itself can't be fulfilled: not enough stock, a wrong currency, too many returned.
    Unprocessable,
}

/// Something that must be unique over a whole context, decided in the transaction that appends the events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Claim<R> {
    /// Takes the value for this stream, giving up what the stream held of this kind before (unless the kind is kept for
    /// ever). When another stream holds it, the command breaks this rule.
    Take(ClaimKind, Vec<u8>, R),
    /// Gives up what this stream holds of this kind.
    Release(ClaimKind),
}

/// What kinds of claims there are. The numbers are stored: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ClaimKind {
    /// An active user's e-mail address: HMAC of its canonical form.
    Email = 1,
    /// A product's SKU in its canonical form.
    Sku = 2,
    /// A reservation id within a product: kept for ever and refused even to its own stream, so that a reservation that
    /// ended can't come back by a late duplicate.
    Reservation = 3,
}

impl ClaimKind {
    /// The number under which the kind is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// Whether a claim of this kind is kept for ever, and refused even to the stream that holds it.
    #[must_use]
    pub const fn is_for_ever(self) -> bool {
        matches!(self, Self::Reservation)
    }
}
