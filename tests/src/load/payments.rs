//! Payments, as whoever talks to a provider records them.

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use super::shop::{Shop, past, uuid};
use crate::{
    client::Command,
    context::Context::{Payments, Users},
};

/// How much a payment is, by its id.
fn amount(id: Uuid) -> Value {
    json!({"minor": 1_000 + id.as_u128() % 1_000, "currency": "GBP"})
}

pub(super) fn request_payment(shop: &Shop, rng: &mut Rng) -> Command {
    let id = uuid(rng);
    let mut body = json!({"attempt_id": id, "order_id": uuid(rng), "amount": amount(id)});
    if rng.bool() {
        body["user_id"] = json!(shop.users[rng.usize(..shop.users.len())]);
    }
    body["method"] = json!(format!("pm_{}", rng.u64(..)));
    let fact = body.clone();
    if rng.u8(0..4) == 0 {
        body["occurred_at"] = json!(past(rng));
    }
    Command::new(Payments, "request-payment", id, body).fact("payment.requested.v1", fact)
}

/// The next step in a payment's life; `stage` counts them. Some are against the rules. The steps' ids are the payment's own.
pub(super) fn payment_step(id: Uuid, stage: u8, rng: &mut Rng) -> Command {
    let step = |name, fact, body: Value| Command::new(Payments, name, id, body.clone()).fact(fact, body);
    let reference = format!("P-{}", rng.u32(..));
    // Halves: two captures of one payment fit, and a refund of more than was captured does not.
    let half = json!({"minor": 500, "currency": "GBP"});
    match (stage, rng.u8(0..8)) {
        (0, 0) => step("decline-payment", "payment.declined.v1", json!({"attempt_id": id, "reason": "insufficient funds"})),
        (0 | 1, 1) => step("request-void", "payment.void-requested.v1", json!({"void_id": id})),
        (0 | 1, 2) => Command::new(Payments, "expire-payment", id, json!({})).fact("payment.expired.v1", json!({})),
        (0, _) => step("authorise-payment", "payment.authorised.v1", json!({"attempt_id": id, "reference": reference})),
        (1, _) => step("request-capture", "payment.capture-requested.v1", json!({"capture_id": id, "amount": amount(id)})),
        (2, 0) => step("fail-capture", "payment.capture-failed.v1", json!({"capture_id": id, "reason": "try later"})),
        (2, 1) => step("confirm-void", "payment.voided.v1", json!({"void_id": id, "reference": reference})),
        (2, _) => step("confirm-capture", "payment.captured.v1", json!({"capture_id": id, "reference": reference})),
        (3, _) => step("request-refund", "payment.refund-requested.v1", json!({"refund_id": id, "amount": half})),
        (4, 0) => step("fail-refund", "payment.refund-failed.v1", json!({"refund_id": id, "reason": "account closed"})),
        (4, _) => step("confirm-refund", "payment.refunded.v1", json!({"refund_id": id, "reference": reference})),
        // Under ids of their own, until there is nothing left.
        (_, _) => step("request-refund", "payment.refund-requested.v1", json!({"refund_id": uuid(rng), "amount": half})),
    }
}

pub(super) fn change_payment_method(user: Uuid, rng: &mut Rng) -> Command {
    let body = json!({"method": format!("pm_{}", rng.u64(..))});
    Command::new(Users, "change-payment-method", user, body.clone()).fact("user.payment-method-changed.v1", body)
}
