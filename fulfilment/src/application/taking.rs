//! How a step is taken: which commands, and which questions to the payment provider, and what their answers mean for it.
//!
//! All of it may be done again at any time, from the beginning and under the same ids: what was done already says so.

mod payment;

use std::sync::Arc;

use events::{Context, ProductId, Quantity, text::Reason};
use serde_json::{Value, json};

use super::{
    ids,
    provider::PaymentProvider,
    task::{Task, Tried, reason},
};
use crate::{
    domain::saga::{Ending, Step},
    outbound::command_service::{Command, CommandError, CommandService},
};

/// Takes steps.
pub struct Taker<P> {
    commands: Arc<CommandService>,
    provider: P,
}

/// An attempt that told nothing, and why.
struct Unknown(String);

type Taken = Result<Tried, Unknown>;

impl<P: PaymentProvider> Taker<P> {
    /// Steps are taken by commands to the write side, and by questions to the payment provider.
    pub fn new(commands: Arc<CommandService>, provider: P) -> Self {
        Self { commands, provider }
    }

    /// Takes a step.
    pub async fn take(&self, task: &Task) -> Tried {
        let taken = match task.step {
            Step::Reserve(product) => self.reserve(task, product).await,
            Step::Release(product) => self.end_reservation(task, product, "release").await,
            Step::Commit(product) => self.end_reservation(task, product, "commit").await,
            Step::Confirm => self.confirm(task).await,
            Step::Cancel => self.cancel(task).await,
            Step::Authorise => self.authorise(task).await,
            Step::Capture => self.capture(task).await,
            Step::Void => self.void(task).await,
            Step::Refund(returned) => self.refund(task, returned).await,
        };
        taken.unwrap_or_else(|Unknown(why)| Tried::Unknown(why))
    }

    async fn reserve(&self, task: &Task, product: ProductId) -> Taken {
        let asked = task.saga.stock.get(&product).map_or(0, |stock| stock.quantity);
        let Some(quantity) = u32::try_from(asked).ok().and_then(|pieces| Quantity::new(pieces).ok()) else {
            return Ok(Tried::refused(&format!("{asked} pieces are more than can be reserved")));
        };
        let body = json!({
            "reservation_id": ids::reservation(task.order_id, product),
            "order_id": task.order_id,
            "quantity": quantity,
        });
        match self.send(task, Context::Products, format!("/{product}/reservations"), Some(&task.key), body).await? {
            Ok(()) => Ok(Tried::Done(None)),
            // Some other order's will end.
            Err((rule, detail)) if rule == "TooManyReservations" => Err(Unknown(detail)),
            Err((_, detail)) => Ok(Tried::refused(&detail)),
        }
    }

    async fn end_reservation(&self, task: &Task, product: ProductId, verb: &str) -> Taken {
        let reservation = ids::reservation(task.order_id, product);
        let path = format!("/{product}/reservations/{reservation}/{verb}");
        match self.send(task, Context::Products, path, Some(&task.key), json!({})).await? {
            Ok(()) => Ok(Tried::Done(None)),
            // It was made, or this would not be asked: so it has ended.
            Err((rule, _)) if rule == "ReservationNotFound" => Ok(Tried::Done(None)),
            Err((_, detail)) => Ok(Tried::refused(&detail)),
        }
    }

    async fn confirm(&self, task: &Task) -> Taken {
        match self.send(task, Context::Orders, format!("/{}/confirm", task.order_id), Some(&task.key), json!({})).await? {
            Ok(()) => Ok(Tried::Done(None)),
            Err((rule, _)) if is_past_confirming(&rule) => Ok(Tried::Done(None)),
            // Somebody has cancelled it, which is on its way here: the saga should end for that reason.
            Err((rule, detail)) if rule == "AlreadyCancelled" && task.saga.ending.is_none() => Err(Unknown(detail)),
            Err((_, detail)) => Ok(Tried::refused(&detail)),
        }
    }

    async fn cancel(&self, task: &Task) -> Taken {
        let body = json!({ "reason": told(task.saga.ending.as_ref()) });
        match self.send(task, Context::Orders, format!("/{}/cancel", task.order_id), Some(&task.key), body).await? {
            Ok(()) => Ok(Tried::Done(None)),
            Err((rule, _)) if rule == "AlreadyCancelled" => Ok(Tried::Done(None)),
            Err((_, detail)) => Ok(Tried::refused(&detail)),
        }
    }

    /// Sends a command; what no rule of the domain has refused or accepted is unknown.
    async fn send(
        &self,
        task: &Task,
        context: Context,
        path: String,
        key: Option<&str>,
        body: Value,
    ) -> Result<Result<(), (String, String)>, Unknown> {
        let command = Command { context, path, key, traceparent: task.traceparent.as_deref(), body };
        match self.commands.send(&command).await {
            Ok(()) => Ok(Ok(())),
            Err(CommandError::Rule { rule, detail }) => Ok(Err((rule, detail))),
            Err(CommandError::Unknown(why)) => Err(Unknown(why)),
        }
    }
}

/// Somebody has confirmed it, and perhaps more than that.
fn is_past_confirming(rule: &str) -> bool {
    ["AlreadyConfirmed", "AlreadyShipped", "AlreadyDelivered", "AlreadyReturned"].contains(&rule)
}

/// What whoever placed the order is told of its end.
fn told(ending: Option<&Ending>) -> String {
    let told = ending.and_then(|ending| reason(&ending.told()));
    told.as_ref().map_or("cancelled", Reason::as_str).to_owned()
}
