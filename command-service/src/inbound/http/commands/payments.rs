//! Commands on payments: what a provider is asked for, and what it answered. Whoever sends them talks to the provider.

mod answers;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{
    AttemptId, CaptureId, Context, Money, OrderId, RefundId, UserId, VoidId,
    text::{PaymentMethod, ProviderReference, Reason},
};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::Role::{self, Admin, Service},
    problem::Problem,
    routes::Routes,
};
use uuid::Uuid;

use super::{Call, CommandBody, Empty, Target, command, send};
use crate::{
    application::{commands::Commands, writer},
    domain::payment::{Answer, Command, Request},
};

pub use self::answers::{ConfirmCapture, ConfirmRefund, ConfirmVoid, FailCapture, FailRefund, FailVoid};

/// Services (fulfilment is one), and admins where a person has to put right what a provider left open.
const RECORDERS: &[Role] = &[Service, Admin];

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .route(Method::POST, "/v1/payments", RECORDERS, command::<RequestPayment>)
        .route(Method::POST, "/v1/payments/{id}/authorise", RECORDERS, command::<AuthorisePayment>)
        .route(Method::POST, "/v1/payments/{id}/decline", RECORDERS, command::<DeclinePayment>)
        .route(Method::POST, "/v1/payments/{id}/expire", RECORDERS, command::<ExpirePayment>)
        .route(Method::POST, "/v1/payments/{id}/captures", RECORDERS, command::<RequestCapture>)
        .route(Method::POST, "/v1/payments/{id}/captures/{capture}/confirm", RECORDERS, command::<ConfirmCapture>)
        .route(Method::POST, "/v1/payments/{id}/captures/{capture}/fail", RECORDERS, command::<FailCapture>)
        .route(Method::POST, "/v1/payments/{id}/voids", RECORDERS, command::<RequestVoid>)
        .route(Method::POST, "/v1/payments/{id}/voids/{void}/confirm", RECORDERS, command::<ConfirmVoid>)
        .route(Method::POST, "/v1/payments/{id}/voids/{void}/fail", RECORDERS, command::<FailVoid>)
        .route(Method::POST, "/v1/payments/{id}/refunds", RECORDERS, command::<RequestRefund>)
        .route(Method::POST, "/v1/payments/{id}/refunds/{refund}/confirm", RECORDERS, command::<ConfirmRefund>)
        .route(Method::POST, "/v1/payments/{id}/refunds/{refund}/fail", RECORDERS, command::<FailRefund>)
}

/// `POST /v1/payments`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestPayment {
    id: Option<Uuid>,
    attempt_id: AttemptId,
    order_id: OrderId,
    user_id: Option<UserId>,
    amount: Money,
    method: PaymentMethod,
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/payments/{id}/authorise`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorisePayment {
    attempt_id: AttemptId,
    reference: ProviderReference,
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/payments/{id}/decline`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclinePayment {
    attempt_id: AttemptId,
    reason: Reason,
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/payments/{id}/expire`
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExpirePayment(Empty);

/// `POST /v1/payments/{id}/captures`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCapture {
    capture_id: CaptureId,
    amount: Money,
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/payments/{id}/voids`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestVoid {
    void_id: VoidId,
    occurred_at: Option<DateTime<Utc>>,
}

/// `POST /v1/payments/{id}/refunds`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRefund {
    refund_id: RefundId,
    amount: Money,
    occurred_at: Option<DateTime<Utc>>,
}

impl CommandBody for RequestPayment {
    const NAME: &'static str = "request-payment";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const CREATES: bool = true;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    fn given_id(&self) -> Option<Uuid> {
        self.id
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let Self { attempt_id, order_id, user_id, amount, method, .. } = self;
        let request = Request { attempt_id, order_id, user_id, amount, method };
        send(&commands.payments, call, target, Command::Request(request)).await
    }
}

impl CommandBody for AuthorisePayment {
    const NAME: &'static str = "authorise-payment";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let answer = Answer::Succeeded(self.reference);
        send(&commands.payments, call, target, Command::AnswerAttempt { attempt_id: self.attempt_id, answer }).await
    }
}

impl CommandBody for DeclinePayment {
    const NAME: &'static str = "decline-payment";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let answer = Answer::Failed(self.reason);
        send(&commands.payments, call, target, Command::AnswerAttempt { attempt_id: self.attempt_id, answer }).await
    }
}

impl CommandBody for ExpirePayment {
    const NAME: &'static str = "expire-payment";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.0.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        send(&commands.payments, call, target, Command::Expire).await
    }
}

impl CommandBody for RequestCapture {
    const NAME: &'static str = "request-capture";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const STATUS: StatusCode = StatusCode::CREATED;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let command = Command::Capture { capture_id: self.capture_id, amount: self.amount };
        send(&commands.payments, call, target, command).await
    }
}

impl CommandBody for RequestVoid {
    const NAME: &'static str = "request-void";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const STATUS: StatusCode = StatusCode::CREATED;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        send(&commands.payments, call, target, Command::Void { void_id: self.void_id }).await
    }
}

impl CommandBody for RequestRefund {
    const NAME: &'static str = "request-refund";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const STATUS: StatusCode = StatusCode::CREATED;

    fn occurred_at(&self) -> Option<DateTime<Utc>> {
        self.occurred_at
    }

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let command = Command::Refund { refund_id: self.refund_id, amount: self.amount };
        send(&commands.payments, call, target, command).await
    }
}
