//! Commands on payments: what a provider is asked for, and what it answered. Whoever sends them talks to the provider.

mod answers;

use std::sync::Arc;

use events::{
    AttemptId, CaptureId, Context, Money, OrderId, RefundId, UserId, VoidId,
    text::{PaymentMethod, ProviderReference, Reason},
};
use http::{Method, StatusCode};
use service_kit::{
    auth::Role::{self, Admin, Service},
    problem::Problem,
    routes::Routes,
};

use super::{Call, CommandBody, Target, body, endpoint, send};
use crate::{
    application::{commands::Commands, writer},
    domain::payment::{Answer, Command, Request},
};

pub use self::answers::{ConfirmCapture, ConfirmRefund, ConfirmVoid, FailCapture, FailRefund, FailVoid};

/// Services (fulfilment is one), and admins where a person has to put right what a provider left open.
const RECORDERS: &[Role] = &[Service, Admin];

pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .merge(endpoint::<RequestPayment>(Method::POST, "/v1/payments"))
        .merge(endpoint::<AuthorisePayment>(Method::POST, "/v1/payments/{id}/authorise"))
        .merge(endpoint::<DeclinePayment>(Method::POST, "/v1/payments/{id}/decline"))
        .merge(endpoint::<ExpirePayment>(Method::POST, "/v1/payments/{id}/expire"))
        .merge(endpoint::<RequestCapture>(Method::POST, "/v1/payments/{id}/captures"))
        .merge(endpoint::<ConfirmCapture>(Method::POST, "/v1/payments/{id}/captures/{capture}/confirm"))
        .merge(endpoint::<FailCapture>(Method::POST, "/v1/payments/{id}/captures/{capture}/fail"))
        .merge(endpoint::<RequestVoid>(Method::POST, "/v1/payments/{id}/voids"))
        .merge(endpoint::<ConfirmVoid>(Method::POST, "/v1/payments/{id}/voids/{void}/confirm"))
        .merge(endpoint::<FailVoid>(Method::POST, "/v1/payments/{id}/voids/{void}/fail"))
        .merge(endpoint::<RequestRefund>(Method::POST, "/v1/payments/{id}/refunds"))
        .merge(endpoint::<ConfirmRefund>(Method::POST, "/v1/payments/{id}/refunds/{refund}/confirm"))
        .merge(endpoint::<FailRefund>(Method::POST, "/v1/payments/{id}/refunds/{refund}/fail"))
}

body! {
    /// `POST /v1/payments`
    pub struct RequestPayment creates {
        attempt_id: AttemptId,
        order_id: OrderId,
        user_id: Option<UserId>,
        amount: Money,
        method: PaymentMethod,
    }
}

body! {
    /// `POST /v1/payments/{id}/authorise`
    pub struct AuthorisePayment {
        attempt_id: AttemptId,
        reference: ProviderReference,
    }
}

body! {
    /// `POST /v1/payments/{id}/decline`
    pub struct DeclinePayment {
        attempt_id: AttemptId,
        reason: Reason,
    }
}

body! {
    /// `POST /v1/payments/{id}/expire`
    pub struct ExpirePayment {}
}

body! {
    /// `POST /v1/payments/{id}/captures`
    pub struct RequestCapture {
        capture_id: CaptureId,
        amount: Money,
    }
}

body! {
    /// `POST /v1/payments/{id}/voids`
    pub struct RequestVoid {
        void_id: VoidId,
    }
}

body! {
    /// `POST /v1/payments/{id}/refunds`
    pub struct RequestRefund {
        refund_id: RefundId,
        amount: Money,
    }
}

impl CommandBody for RequestPayment {
    const NAME: &'static str = "request-payment";
    const SUMMARY: &'static str = "Records that a provider is asked to set money aside, at first or once more.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let Self { attempt_id, order_id, user_id, amount, method, .. } = self;
        let request = Request { attempt_id, order_id, user_id, amount, method };
        send(&commands.payments, call, target, Command::Request(request)).await
    }
}

impl CommandBody for AuthorisePayment {
    const NAME: &'static str = "authorise-payment";
    const SUMMARY: &'static str = "Records that the money is set aside.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let answer = Answer::Succeeded(self.reference);
        send(&commands.payments, call, target, Command::AnswerAttempt { attempt_id: self.attempt_id, answer }).await
    }
}

impl CommandBody for DeclinePayment {
    const NAME: &'static str = "decline-payment";
    const SUMMARY: &'static str = "Records that the provider would not.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let answer = Answer::Failed(self.reason);
        send(&commands.payments, call, target, Command::AnswerAttempt { attempt_id: self.attempt_id, answer }).await
    }
}

impl CommandBody for ExpirePayment {
    const NAME: &'static str = "expire-payment";
    const SUMMARY: &'static str = "Records that what was set aside has lapsed.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        send(&commands.payments, call, target, Command::Expire).await
    }
}

impl CommandBody for RequestCapture {
    const NAME: &'static str = "request-capture";
    const SUMMARY: &'static str = "Records that the provider is asked to take money.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const STATUS: StatusCode = StatusCode::CREATED;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let command = Command::Capture { capture_id: self.capture_id, amount: self.amount };
        send(&commands.payments, call, target, command).await
    }
}

impl CommandBody for RequestVoid {
    const NAME: &'static str = "request-void";
    const SUMMARY: &'static str = "Records that the provider is asked to give back what was not taken.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const STATUS: StatusCode = StatusCode::CREATED;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        send(&commands.payments, call, target, Command::Void { void_id: self.void_id }).await
    }
}

impl CommandBody for RequestRefund {
    const NAME: &'static str = "request-refund";
    const SUMMARY: &'static str = "Records that the provider is asked to pay money back.";
    const ROLES: &'static [Role] = RECORDERS;
    const CONTEXT: Context = Context::Payments;
    const STATUS: StatusCode = StatusCode::CREATED;

    async fn submit(self, commands: &Commands, call: &Call, target: Target) -> Result<writer::Answer, Problem> {
        let command = Command::Refund { refund_id: self.refund_id, amount: self.amount };
        send(&commands.payments, call, target, command).await
    }
}
