//! Never more captured than authorised, never more refunded than captured, in one currency.

use super::*;
use crate::domain::payment::MAX_STEPS;

#[track_caller]
fn rejects(history: Vec<PaymentEvent>, command: Command, rule: PaymentError) {
    given::<Payment>(history).when(command).refused_by(rule);
}

#[test]
fn captures_in_parts_up_to_what_is_authorised() {
    rejects(authorised(), take(1, pence(1001)), PaymentError::CaptureExceedsAuthorised { left: 1000, asked: 1001 });
    rejects(captured(600), take(2, pence(401)), PaymentError::CaptureExceedsAuthorised { left: 400, asked: 401 });
    let rest = CaptureRequested { capture_id: capture(2), amount: pence(400) };
    given::<Payment>(captured(600)).when(take(2, pence(400))).then([rest.into()]);
}

#[test]
fn a_capture_that_may_have_happened_counts() {
    rejects(capturing(1, 600), take(2, pence(401)), PaymentError::CaptureExceedsAuthorised { left: 400, asked: 401 });
    let kept = CaptureFailed { capture_id: capture(1), amount: pence(600), reason: reason() };
    let all = CaptureRequested { capture_id: capture(2), amount: pence(1000) };
    given::<Payment>(then(capturing(1, 600), kept)).when(take(2, pence(1000))).then([all.into()]);
}

#[test]
fn refunds_in_parts_up_to_what_is_captured() {
    rejects(captured(600), pay_back(1, pence(601)), PaymentError::RefundExceedsCaptured { left: 600, asked: 601 });
    rejects(refunded(600), pay_back(2, pence(401)), PaymentError::RefundExceedsCaptured { left: 400, asked: 401 });
    let rest = RefundRequested { refund_id: refund(2), amount: pence(400) };
    given::<Payment>(refunded(600)).when(pay_back(2, pence(400))).then([rest.into()]);
}

#[test]
fn a_refund_that_may_have_happened_counts_and_a_capture_that_may_not_have_does_not() {
    rejects(refunding(600), pay_back(2, pence(401)), PaymentError::RefundExceedsCaptured { left: 400, asked: 401 });
    rejects(capturing(1, 600), pay_back(1, pence(1)), PaymentError::RefundExceedsCaptured { left: 0, asked: 1 });
    let unpaid = RefundFailed { refund_id: refund(1), amount: pence(600), reason: reason() };
    let all = RefundRequested { refund_id: refund(2), amount: pence(1000) };
    given::<Payment>(then(refunding(600), unpaid)).when(pay_back(2, pence(1000))).then([all.into()]);
}

#[test]
fn rejects_other_currencies() {
    let rule = || PaymentError::CurrencyMismatch { expected: Currency::GBP, found: Currency::EUR };
    rejects(authorised(), take(1, cents(600)), rule());
    // The same number of another currency is not the same step again.
    rejects(capturing(1, 600), take(1, cents(600)), rule());
    rejects(captured(600), pay_back(1, cents(600)), rule());
}

#[test]
fn rejects_payments_of_nothing() {
    given::<Payment>([]).when(Command::Request(Request { amount: pence(0), ..asked(1) })).refused_by(PaymentError::ZeroAmount);
    rejects(authorised(), take(1, pence(0)), PaymentError::ZeroAmount);
    rejects(captured(600), pay_back(1, pence(0)), PaymentError::ZeroAmount);
}

#[test]
fn rejects_more_steps_than_are_kept() {
    let mut history = requested();
    for id in 1..=MAX_STEPS as u128 {
        history.push(was_declined(id).into());
        if id < MAX_STEPS as u128 {
            history.push(was_requested(id + 1).into());
        }
    }
    let too_many = |kind| PaymentError::TooManySteps { kind };
    rejects(history.clone(), request(u128::MAX), too_many(StepKind::Attempt));
    given::<Payment>(history).when(request(1)).changes_nothing();

    let mut history = authorised();
    for id in 1..=MAX_STEPS as u128 {
        history.push(CaptureRequested { capture_id: capture(id), amount: pence(1) }.into());
        history.push(CaptureFailed { capture_id: capture(id), amount: pence(1), reason: reason() }.into());
    }
    rejects(history.clone(), take(u128::MAX, pence(1)), too_many(StepKind::Capture));
    given::<Payment>(history).when(take(1, pence(1))).changes_nothing();
}
