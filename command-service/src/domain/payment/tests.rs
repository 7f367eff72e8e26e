mod limits;
mod properties;
mod repeats;
mod transitions;

use events::{
    AttemptId, CaptureId, Currency, MinorUnits, Money, OrderId, PaymentEvent, RefundId, UserId, VoidId,
    payments::{
        CaptureFailed, CaptureRequested, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
        PaymentRequested, PaymentVoided, RefundFailed, RefundRequested, VoidFailed, VoidRequested,
    },
    text::{PaymentMethod, ProviderReference, Reason},
};
use uuid::Uuid;

use super::{Answer, Command, Payment, PaymentError, Request, StepKind};
use crate::domain::tests::given;

const ANN: UserId = UserId(Uuid::from_u128(0xA));
const ORDER: OrderId = OrderId(Uuid::from_u128(0xC));

fn pence(amount: u64) -> Money {
    Money { minor: MinorUnits::new(amount).unwrap(), currency: Currency::GBP }
}

fn cents(amount: u64) -> Money {
    Money { currency: Currency::EUR, ..pence(amount) }
}

fn attempt(id: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(id))
}

fn capture(id: u128) -> CaptureId {
    CaptureId(Uuid::from_u128(id))
}

fn void(id: u128) -> VoidId {
    VoidId(Uuid::from_u128(id))
}

fn refund(id: u128) -> RefundId {
    RefundId(Uuid::from_u128(id))
}

fn reference(text: &str) -> ProviderReference {
    ProviderReference::parse(text).unwrap()
}

fn reason() -> Reason {
    Reason::parse("insufficient funds").unwrap()
}

fn succeeded() -> Answer {
    Answer::Succeeded(reference("P-1"))
}

fn failed() -> Answer {
    Answer::Failed(reason())
}

fn method() -> PaymentMethod {
    PaymentMethod::parse("pm_1").unwrap()
}

/// Ten pounds of Ann's for the order.
fn asked(id: u128) -> Request {
    Request { attempt_id: attempt(id), order_id: ORDER, user_id: Some(ANN), amount: pence(1000), method: method() }
}

fn request(id: u128) -> Command {
    Command::Request(asked(id))
}

fn answer_attempt(id: u128, answer: Answer) -> Command {
    Command::AnswerAttempt { attempt_id: attempt(id), answer }
}

fn take(id: u128, amount: Money) -> Command {
    Command::Capture { capture_id: capture(id), amount }
}

fn answer_capture(id: u128, answer: Answer) -> Command {
    Command::AnswerCapture { capture_id: capture(id), answer }
}

fn give_back(id: u128) -> Command {
    Command::Void { void_id: void(id) }
}

fn answer_void(id: u128, answer: Answer) -> Command {
    Command::AnswerVoid { void_id: void(id), answer }
}

fn pay_back(id: u128, amount: Money) -> Command {
    Command::Refund { refund_id: refund(id), amount }
}

fn answer_refund(id: u128, answer: Answer) -> Command {
    Command::AnswerRefund { refund_id: refund(id), answer }
}

/// What follows from [`asked`].
fn was_requested(id: u128) -> PaymentRequested {
    let Request { attempt_id, order_id, user_id, amount, method } = asked(id);
    PaymentRequested { attempt_id, order_id, user_id, amount, method }
}

fn was_authorised(id: u128) -> PaymentAuthorised {
    PaymentAuthorised { attempt_id: attempt(id), amount: pence(1000), reference: reference("P-1") }
}

fn was_declined(id: u128) -> PaymentDeclined {
    PaymentDeclined { attempt_id: attempt(id), reason: reason() }
}

fn was_captured(id: u128, amount: u64) -> PaymentCaptured {
    PaymentCaptured { capture_id: capture(id), amount: pence(amount), reference: reference("P-1") }
}

fn was_refunded(id: u128, amount: u64) -> PaymentRefunded {
    PaymentRefunded { refund_id: refund(id), amount: pence(amount), reference: reference("P-1") }
}

fn was_voided(id: u128) -> PaymentVoided {
    PaymentVoided { void_id: void(id), reference: reference("P-1") }
}

fn then(mut history: Vec<PaymentEvent>, event: impl Into<PaymentEvent>) -> Vec<PaymentEvent> {
    history.push(event.into());
    history
}

fn requested() -> Vec<PaymentEvent> {
    vec![was_requested(1).into()]
}

fn declined() -> Vec<PaymentEvent> {
    then(requested(), was_declined(1))
}

fn authorised() -> Vec<PaymentEvent> {
    then(requested(), was_authorised(1))
}

fn capturing(id: u128, amount: u64) -> Vec<PaymentEvent> {
    then(authorised(), CaptureRequested { capture_id: capture(id), amount: pence(amount) })
}

/// Capture 1, of so much, succeeded.
fn captured(amount: u64) -> Vec<PaymentEvent> {
    then(capturing(1, amount), was_captured(1, amount))
}

fn voiding(history: Vec<PaymentEvent>) -> Vec<PaymentEvent> {
    then(history, VoidRequested { void_id: void(1) })
}

fn voided() -> Vec<PaymentEvent> {
    then(voiding(authorised()), was_voided(1))
}

fn expired() -> Vec<PaymentEvent> {
    then(authorised(), PaymentExpired {})
}

/// Refund 1, of so much, is asked for, after a capture of the whole amount.
fn refunding(amount: u64) -> Vec<PaymentEvent> {
    then(captured(1000), RefundRequested { refund_id: refund(1), amount: pence(amount) })
}

fn refunded(amount: u64) -> Vec<PaymentEvent> {
    then(refunding(amount), was_refunded(1, amount))
}

fn payment(history: Vec<PaymentEvent>) -> Payment {
    given(history).0
}
