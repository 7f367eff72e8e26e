//! A step that comes again under its own id changes nothing, however late it comes.

use super::*;
use crate::domain::Aggregate;

/// A whole life, and the command behind each of its events.
fn life() -> Vec<(Command, PaymentEvent)> {
    let refused = CaptureFailed { capture_id: capture(2), amount: pence(100), reason: reason() };
    let unpaid = RefundFailed { refund_id: refund(2), amount: pence(600), reason: reason() };
    vec![
        (request(1), was_requested(1).into()),
        (answer_attempt(1, failed()), was_declined(1).into()),
        (request(2), was_requested(2).into()),
        (answer_attempt(2, succeeded()), was_authorised(2).into()),
        (take(1, pence(600)), CaptureRequested { capture_id: capture(1), amount: pence(600) }.into()),
        (take(2, pence(100)), CaptureRequested { capture_id: capture(2), amount: pence(100) }.into()),
        (answer_capture(2, failed()), refused.into()),
        (answer_capture(1, succeeded()), was_captured(1, 600).into()),
        (pay_back(1, pence(200)), RefundRequested { refund_id: refund(1), amount: pence(200) }.into()),
        (answer_refund(1, succeeded()), was_refunded(1, 200).into()),
        (give_back(1), VoidRequested { void_id: void(1) }.into()),
        (answer_void(1, failed()), VoidFailed { void_id: void(1), reason: reason() }.into()),
        (give_back(2), VoidRequested { void_id: void(2) }.into()),
        (answer_void(2, succeeded()), was_voided(2).into()),
        (pay_back(2, pence(400)), RefundRequested { refund_id: refund(2), amount: pence(400) }.into()),
        (answer_refund(2, failed()), RefundFailed { amount: pence(400), ..unpaid }.into()),
    ]
}

#[test]
fn every_command_of_a_life_changes_nothing_when_it_comes_again_at_any_later_time() {
    let life = life();
    let mut payment = Payment::default();
    for (index, (command, event)) in life.iter().enumerate() {
        assert_eq!(payment.decide(command), Ok(vec![event.clone()]), "{command:?}");
        payment = payment.evolve(event);
        for (again, _) in &life[..=index] {
            assert_eq!(payment.decide(again), Ok(vec![]), "{again:?} after {event:?}");
        }
    }
    let expired = payment_that_expired();
    assert_eq!(expired.decide(&Command::Expire), Ok(vec![]));
}

fn payment_that_expired() -> Payment {
    payment(expired())
}

#[test]
fn rejects_an_id_that_was_used_for_another_amount() {
    let reused = |kind| PaymentError::StepIdReused { kind, amount: 600 };
    given::<Payment>(capturing(1, 600)).when(take(1, pence(601))).refused_by(reused(StepKind::Capture));
    given::<Payment>(captured(600)).when(take(1, pence(400))).refused_by(reused(StepKind::Capture));
    given::<Payment>(refunding(600)).when(pay_back(1, pence(1))).refused_by(reused(StepKind::Refund));
    given::<Payment>(refunded(600)).when(pay_back(1, pence(1))).refused_by(reused(StepKind::Refund));
}

#[test]
fn rejects_an_answer_that_contradicts_the_one_before() {
    let otherwise = |kind| PaymentError::AnsweredOtherwise { kind };
    // The provider has done it twice: that must not go unseen.
    let twice = || Answer::Succeeded(reference("P-2"));
    given::<Payment>(authorised()).when(answer_attempt(1, twice())).refused_by(otherwise(StepKind::Attempt));
    given::<Payment>(captured(600)).when(answer_capture(1, twice())).refused_by(otherwise(StepKind::Capture));
    given::<Payment>(captured(600)).when(answer_capture(1, failed())).refused_by(otherwise(StepKind::Capture));
    given::<Payment>(voided()).when(answer_void(1, twice())).refused_by(otherwise(StepKind::Void));
    given::<Payment>(refunded(600)).when(answer_refund(1, twice())).refused_by(otherwise(StepKind::Refund));
    let unpaid = RefundFailed { refund_id: refund(1), amount: pence(600), reason: reason() };
    let history = then(refunding(600), unpaid);
    given::<Payment>(history).when(answer_refund(1, succeeded())).refused_by(otherwise(StepKind::Refund));
}
