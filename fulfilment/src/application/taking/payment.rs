//! Steps about money. Each is recorded as asked for, asked of the provider, and its answer recorded: whoever dies in between
//! leaves behind that it was asked for, and whoever comes next asks again under the same ids.

use events::{Context, Money, PaymentId, ReturnId, text::ProviderReference};
use serde_json::{Value, json};

use super::{Taken, Taker, Unknown};
use crate::application::{
    ids,
    provider::{Answer, PaymentProvider, ProviderError},
    task::{Task, Tried},
};

impl<P: PaymentProvider> Taker<P> {
    pub(super) async fn authorise(&self, task: &Task) -> Taken {
        let total = task.saga.total;
        if is_nothing(total) {
            return Ok(Tried::Done(None));
        }
        let Some(method) = &task.saga.method else { return Ok(Tried::refused("no payment method")) };
        let (payment, attempt) = (ids::payment(task.order_id), ids::attempt(&task.key));
        let body = json!({
            "id": payment,
            "attempt_id": attempt,
            "order_id": task.order_id,
            "user_id": task.user_id,
            "amount": total,
            "method": method,
        });
        match self.ask(task, String::new(), body).await? {
            Ok(()) => {}
            // Nothing is set aside, and nothing will be.
            Err((rule, detail)) if rule == "AlreadyVoided" || rule == "AlreadyExpired" => return Ok(Tried::refused(&detail)),
            // Somebody else pays for this order under another id, and perhaps has.
            Err((_, detail)) => return Err(Unknown(detail)),
        }
        match self.provider.authorise(&provider_key(payment, attempt.0), total, method).await.map_err(unknown)? {
            Answer::Done(reference) => {
                let body = json!({ "attempt_id": attempt, "reference": reference });
                self.record(task, format!("/{payment}/authorise"), body).await?;
                Ok(Tried::Done(Some(reference)))
            }
            Answer::Refused(reason) => {
                let body = json!({ "attempt_id": attempt, "reason": reason });
                self.record(task, format!("/{payment}/decline"), body).await?;
                Ok(Tried::Refused(reason))
            }
        }
    }

    pub(super) async fn capture(&self, task: &Task) -> Taken {
        if is_nothing(task.saga.total) {
            return Ok(Tried::Done(None));
        }
        let authorisation = known(task.authorisation.as_ref(), "authorisation")?;
        let (payment, capture) = (ids::payment(task.order_id), ids::capture(&task.key));
        let body = json!({ "capture_id": capture, "amount": task.saga.total });
        if let Err((_, detail)) = self.ask(task, format!("/{payment}/captures"), body).await? {
            return Ok(Tried::refused(&detail));
        }
        let answer = self.provider.capture(&provider_key(payment, capture.0), authorisation, task.saga.total).await;
        self.answer(task, format!("/{payment}/captures/{capture}"), answer).await
    }

    pub(super) async fn void(&self, task: &Task) -> Taken {
        if is_nothing(task.saga.total) {
            return Ok(Tried::Done(None));
        }
        let authorisation = known(task.authorisation.as_ref(), "authorisation")?;
        let (payment, void) = (ids::payment(task.order_id), ids::void(&task.key));
        let body = json!({ "void_id": void });
        match self.ask(task, format!("/{payment}/voids"), body).await? {
            Ok(()) => {}
            // Nothing is set aside any more.
            Err((rule, _)) if ["AlreadyVoided", "AlreadyExpired", "AlreadyDeclined"].contains(&rule.as_str()) => {
                return Ok(Tried::Done(None));
            }
            Err((_, detail)) => return Ok(Tried::refused(&detail)),
        }
        let answer = self.provider.void(&provider_key(payment, void.0), authorisation).await;
        self.answer(task, format!("/{payment}/voids/{void}"), answer).await
    }

    pub(super) async fn refund(&self, task: &Task, returned: ReturnId) -> Taken {
        let Some(amount) = task.saga.refunds.get(&returned).copied() else { return Ok(Tried::Done(None)) };
        if is_nothing(amount) {
            return Ok(Tried::Done(None));
        }
        let taken = known(task.capture.as_ref(), "capture")?;
        let (payment, refund) = (ids::payment(task.order_id), ids::refund(&task.key));
        let body = json!({ "refund_id": refund, "amount": amount });
        if let Err((_, detail)) = self.ask(task, format!("/{payment}/refunds"), body).await? {
            return Ok(Tried::refused(&detail));
        }
        let answer = self.provider.refund(&provider_key(payment, refund.0), taken, amount).await;
        self.answer(task, format!("/{payment}/refunds/{refund}"), answer).await
    }

    /// Records that a step is asked for.
    async fn ask(&self, task: &Task, path: String, body: Value) -> Result<Result<(), (String, String)>, Unknown> {
        self.send(task, Context::Payments, path, Some(&task.key), body).await
    }

    /// Records what the provider answered to a capture, a void or a refund.
    async fn answer(&self, task: &Task, step: String, answer: Result<Answer, ProviderError>) -> Taken {
        match answer.map_err(unknown)? {
            Answer::Done(reference) => {
                self.record(task, format!("{step}/confirm"), json!({ "reference": reference })).await?;
                Ok(Tried::Done(Some(reference)))
            }
            Answer::Refused(reason) => {
                self.record(task, format!("{step}/fail"), json!({ "reason": reason })).await?;
                Ok(Tried::Refused(reason))
            }
        }
    }

    /// Records an answer. It has no idempotency key: a second one that contradicts the first must be heard. That the record
    /// says otherwise is nothing that this service can decide about: it goes to a person.
    async fn record(&self, task: &Task, path: String, body: Value) -> Result<(), Unknown> {
        self.send(task, Context::Payments, path, None, body).await?.map_err(|(rule, detail)| Unknown(format!("{rule}: {detail}")))
    }
}

/// What the provider knows a step by.
fn provider_key(payment: PaymentId, step: uuid::Uuid) -> String {
    format!("{}:{}", payment.0.simple(), step.simple())
}

fn is_nothing(amount: Money) -> bool {
    amount.minor.get() == 0
}

fn known<'r>(reference: Option<&'r ProviderReference>, what: &str) -> Result<&'r ProviderReference, Unknown> {
    let missing =
        || Unknown(format!("the provider's reference of the {what} is not known: skip the step with it, or do it by hand"));
    reference.ok_or_else(missing)
}

fn unknown(error: ProviderError) -> Unknown {
    Unknown(error.to_string())
}
