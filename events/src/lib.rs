//! The contract between orderflow's services and with everyone who consumes its topics: ids, money, the events of each
//! bounded context, the CloudEvents envelope they travel in, topic names and upcasters.
//!
//! This crate does no I/O, reads no clock and knows no runtime. What it publishes never changes shape: a change is a new
//! version of an event and an upcaster (see [`event`]).

pub mod context;
pub mod envelope;
pub mod event;
pub mod ids;
pub mod money;
pub mod orders;
pub mod partition;
pub mod payments;
pub mod personal;
pub mod products;
pub mod text;
pub mod topics;
pub mod users;

pub use context::{Context, Event};
pub use envelope::{Envelope, RecordedEvent};
pub use event::{DecodeError, DomainEvent};
pub use ids::{
    AttemptId, CaptureId, EventId, OrderId, PaymentId, ProductId, RefundId, ReservationId, ReturnId, StreamId, UserId, VoidId,
};
pub use money::{Currency, MinorUnits, Money, MoneyError, Quantity};
pub use orders::OrderEvent;
pub use payments::PaymentEvent;
pub use personal::{DataKey, Personal, PersonalError};
pub use products::ProductEvent;
pub use text::TextError;
pub use users::UserEvent;
