//! A payment's life, step by step.

use serde_json::json;

use super::*;
use crate::domain::{
    Aggregate, Claim, Rule, RuleKind,
    tests::{expected, table},
};

/// State, command, what follows. New steps have the id 9, those of the history 1; the payment is of 1000.
const OUTCOMES: &str = "
    unrequested  | request       | requested
    unrequested  | authorise 1   | PaymentNotFound
    unrequested  | decline 1     | PaymentNotFound
    unrequested  | capture 400   | PaymentNotFound
    unrequested  | capture 1 is done | PaymentNotFound
    unrequested  | void          | PaymentNotFound
    unrequested  | void 1 is done | PaymentNotFound
    unrequested  | refund 400    | PaymentNotFound
    unrequested  | refund 1 is done | PaymentNotFound
    unrequested  | expire        | PaymentNotFound
    requested    | request       | AuthorisationPending
    requested    | authorise 1   | authorised
    requested    | decline 1     | declined
    requested    | capture 400   | NotAuthorised
    requested    | capture 1 is done | StepNotFound
    requested    | void          | void-requested
    requested    | void 1 is done | StepNotFound
    requested    | refund 400    | RefundExceedsCaptured
    requested    | refund 1 is done | StepNotFound
    requested    | expire        | expired
    requested, voiding | request       | AuthorisationPending
    requested, voiding | authorise 1   | authorised
    requested, voiding | decline 1     | declined
    requested, voiding | capture 400   | NotAuthorised
    requested, voiding | capture 1 is done | StepNotFound
    requested, voiding | void          | VoidPending
    requested, voiding | void 1 is done | voided
    requested, voiding | refund 400    | RefundExceedsCaptured
    requested, voiding | refund 1 is done | StepNotFound
    requested, voiding | expire        | expired
    declined     | request       | requested
    declined     | authorise 1   | AnsweredOtherwise
    declined     | decline 1     | accepted, nothing changes
    declined     | capture 400   | AlreadyDeclined
    declined     | capture 1 is done | StepNotFound
    declined     | void          | AlreadyDeclined
    declined     | void 1 is done | StepNotFound
    declined     | refund 400    | RefundExceedsCaptured
    declined     | refund 1 is done | StepNotFound
    declined     | expire        | AlreadyDeclined
    authorised   | request       | AlreadyAuthorised
    authorised   | authorise 1   | accepted, nothing changes
    authorised   | decline 1     | AnsweredOtherwise
    authorised   | capture 400   | capture-requested
    authorised   | capture 1 is done | StepNotFound
    authorised   | void          | void-requested
    authorised   | void 1 is done | StepNotFound
    authorised   | refund 400    | RefundExceedsCaptured
    authorised   | refund 1 is done | StepNotFound
    authorised   | expire        | expired
    capturing    | request       | AlreadyAuthorised
    capturing    | authorise 1   | accepted, nothing changes
    capturing    | decline 1     | AnsweredOtherwise
    capturing    | capture 400   | capture-requested
    capturing    | capture 1 is done | captured
    capturing    | void          | CapturePending
    capturing    | void 1 is done | StepNotFound
    capturing    | refund 400    | RefundExceedsCaptured
    capturing    | refund 1 is done | StepNotFound
    capturing    | expire        | CapturePending
    voiding      | request       | AlreadyAuthorised
    voiding      | authorise 1   | accepted, nothing changes
    voiding      | decline 1     | AnsweredOtherwise
    voiding      | capture 400   | VoidPending
    voiding      | capture 1 is done | StepNotFound
    voiding      | void          | VoidPending
    voiding      | void 1 is done | voided
    voiding      | refund 400    | RefundExceedsCaptured
    voiding      | refund 1 is done | StepNotFound
    voiding      | expire        | expired
    captured     | request       | AlreadyAuthorised
    captured     | authorise 1   | accepted, nothing changes
    captured     | decline 1     | AnsweredOtherwise
    captured     | capture 400   | CaptureExceedsAuthorised
    captured     | capture 1 is done | accepted, nothing changes
    captured     | void          | AlreadyCaptured
    captured     | void 1 is done | StepNotFound
    captured     | refund 400    | refund-requested
    captured     | refund 1 is done | StepNotFound
    captured     | expire        | AlreadyCaptured
    refunding    | request       | AlreadyAuthorised
    refunding    | authorise 1   | accepted, nothing changes
    refunding    | decline 1     | AnsweredOtherwise
    refunding    | capture 400   | CaptureExceedsAuthorised
    refunding    | capture 1 is done | accepted, nothing changes
    refunding    | void          | AlreadyCaptured
    refunding    | void 1 is done | StepNotFound
    refunding    | refund 400    | refund-requested
    refunding    | refund 1 is done | refunded
    refunding    | expire        | AlreadyCaptured
    voided       | request       | AlreadyVoided
    voided       | authorise 1   | accepted, nothing changes
    voided       | decline 1     | AnsweredOtherwise
    voided       | capture 400   | AlreadyVoided
    voided       | capture 1 is done | StepNotFound
    voided       | void          | AlreadyVoided
    voided       | void 1 is done | accepted, nothing changes
    voided       | refund 400    | RefundExceedsCaptured
    voided       | refund 1 is done | StepNotFound
    voided       | expire        | AlreadyVoided
    expired      | request       | AlreadyExpired
    expired      | authorise 1   | accepted, nothing changes
    expired      | decline 1     | AnsweredOtherwise
    expired      | capture 400   | AlreadyExpired
    expired      | capture 1 is done | StepNotFound
    expired      | void          | AlreadyExpired
    expired      | void 1 is done | StepNotFound
    expired      | refund 400    | RefundExceedsCaptured
    expired      | refund 1 is done | StepNotFound
    expired      | expire        | accepted, nothing changes
";

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unrequested", Payment::default()),
        ("requested", payment(requested())),
        ("requested, voiding", payment(voiding(requested()))),
        ("declined", payment(declined())),
        ("authorised", payment(authorised())),
        ("capturing", payment(capturing(1, 600))),
        ("voiding", payment(voiding(authorised()))),
        ("captured", payment(captured(1000))),
        ("refunding", payment(refunding(600))),
        ("voided", payment(voided())),
        ("expired", payment(expired())),
    ];
    let commands = [
        ("request", request(9)),
        ("authorise 1", answer_attempt(1, succeeded())),
        ("decline 1", answer_attempt(1, failed())),
        ("capture 400", take(9, pence(400))),
        ("capture 1 is done", answer_capture(1, succeeded())),
        ("void", give_back(9)),
        ("void 1 is done", answer_void(1, succeeded())),
        ("refund 400", pay_back(9, pence(400))),
        ("refund 1 is done", answer_refund(1, succeeded())),
        ("expire", Command::Expire),
    ];
    assert_eq!(table(&states, &commands), expected(OUTCOMES));
}

#[test]
fn each_step_says_what_was_asked_and_what_was_answered() {
    given::<Payment>([]).when(request(1)).then([was_requested(1).into()]);
    given::<Payment>(requested()).when(answer_attempt(1, succeeded())).then([was_authorised(1).into()]);
    given::<Payment>(requested()).when(answer_attempt(1, failed())).then([was_declined(1).into()]);
    let asked_for = CaptureRequested { capture_id: capture(1), amount: pence(600) };
    given::<Payment>(authorised()).when(take(1, pence(600))).then([asked_for.into()]);
    given::<Payment>(capturing(1, 600)).when(answer_capture(1, succeeded())).then([was_captured(1, 600).into()]);
    let kept = CaptureFailed { capture_id: capture(1), amount: pence(600), reason: reason() };
    given::<Payment>(capturing(1, 600)).when(answer_capture(1, failed())).then([kept.into()]);
    given::<Payment>(authorised()).when(give_back(1)).then([VoidRequested { void_id: void(1) }.into()]);
    given::<Payment>(voiding(authorised())).when(answer_void(1, succeeded())).then([was_voided(1).into()]);
    let stays = VoidFailed { void_id: void(1), reason: reason() };
    given::<Payment>(voiding(authorised())).when(answer_void(1, failed())).then([stays.into()]);
    let asked_back = RefundRequested { refund_id: refund(1), amount: pence(600) };
    given::<Payment>(captured(1000)).when(pay_back(1, pence(600))).then([asked_back.into()]);
    given::<Payment>(refunding(600)).when(answer_refund(1, succeeded())).then([was_refunded(1, 600).into()]);
    let unpaid = RefundFailed { refund_id: refund(1), amount: pence(600), reason: reason() };
    given::<Payment>(refunding(600)).when(answer_refund(1, failed())).then([unpaid.into()]);
    given::<Payment>(authorised()).when(Command::Expire).then([PaymentExpired {}.into()]);
}

#[test]
fn a_declined_payment_is_tried_again_with_another_method() {
    let another = Request { method: PaymentMethod::parse("pm_2").unwrap(), ..asked(2) };
    let again = PaymentRequested { method: PaymentMethod::parse("pm_2").unwrap(), ..was_requested(2) };
    given::<Payment>(declined()).when(Command::Request(another)).then([again.clone().into()]);
    let tried = then(declined(), again);
    given::<Payment>(tried.clone()).when(answer_attempt(2, succeeded())).then([was_authorised(2).into()]);
    // An answer to the first try that comes again, or comes late, is not the second one's.
    given::<Payment>(tried.clone()).when(answer_attempt(1, failed())).changes_nothing();
    let otherwise = PaymentError::AnsweredOtherwise { kind: StepKind::Attempt };
    given::<Payment>(tried).when(answer_attempt(1, succeeded())).refused_by(otherwise);
}

#[test]
fn rejects_another_order_user_or_amount_under_the_same_id() {
    for history in [requested(), declined(), authorised()] {
        for other in [
            Request { order_id: OrderId(Uuid::from_u128(7)), ..asked(1) },
            Request { user_id: None, ..asked(2) },
            Request { amount: pence(999), ..asked(1) },
            Request { amount: cents(1000), ..asked(2) },
        ] {
            given::<Payment>(history.clone()).when(Command::Request(other)).refused_by(PaymentError::TermsDiffer);
        }
    }
}

#[test]
fn a_void_that_a_decline_made_pointless_blocks_nothing() {
    let history = then(voiding(requested()), was_declined(1));
    let otherwise = PaymentError::AnsweredOtherwise { kind: StepKind::Void };
    given::<Payment>(history.clone()).when(answer_void(1, succeeded())).refused_by(otherwise);
    given::<Payment>(history.clone()).when(answer_void(1, failed())).changes_nothing();
    let authorised = then(then(history, was_requested(2)), was_authorised(2));
    let asked_for = CaptureRequested { capture_id: capture(9), amount: pence(1000) };
    given::<Payment>(authorised).when(take(9, pence(1000))).then([asked_for.into()]);
}

#[test]
fn an_authorisation_that_was_given_back_unseen_is_a_case_for_a_person() {
    for end in [PaymentEvent::from(was_voided(1)), PaymentExpired {}.into()] {
        let history = then(voiding(requested()), end);
        let otherwise = PaymentError::AnsweredOtherwise { kind: StepKind::Attempt };
        given::<Payment>(history.clone()).when(answer_attempt(1, succeeded())).refused_by(otherwise);
        given::<Payment>(history).when(answer_attempt(1, failed())).changes_nothing();
    }
}

#[test]
fn a_void_gives_back_what_is_left_and_leaves_refunds() {
    let history = then(voiding(captured(600)), was_voided(1));
    given::<Payment>(history.clone()).when(take(9, pence(1))).refused_by(PaymentError::AlreadyVoided);
    let asked_back = RefundRequested { refund_id: refund(1), amount: pence(600) };
    given::<Payment>(history).when(pay_back(1, pence(600))).then([asked_back.into()]);
}

#[test]
fn a_payment_belongs_to_its_user_in_every_state() {
    for history in [requested(), declined(), authorised(), captured(1000), refunded(1000), voided(), expired()] {
        let payment = payment(history);
        assert!(payment.exists());
        assert_eq!(payment.owner(), Some(ANN));
        assert_eq!(payment.account().map(|account| account.amount), Some(pence(1000)));
    }
    assert!(!Payment::default().exists());
    assert_eq!(Payment::default().owner(), None);
}

#[test]
fn a_payment_claims_nothing_but_its_id() {
    let none: Vec<Claim<PaymentError>> = Vec::new();
    assert_eq!(Payment::claims(&request(1)), none);
}

#[test]
fn rules_say_what_the_caller_can_make_of_them() {
    assert_eq!(PaymentError::PaymentNotFound.kind(), RuleKind::NotFound);
    assert_eq!(PaymentError::StepNotFound { kind: StepKind::Void }.kind(), RuleKind::NotFound);
    assert_eq!(PaymentError::AnsweredOtherwise { kind: StepKind::Refund }.kind(), RuleKind::Conflict);
    assert_eq!(PaymentError::CaptureExceedsAuthorised { left: 1, asked: 2 }.kind(), RuleKind::Unprocessable);
}

/// A snapshot carries [`Payment::SHAPE`]. Whoever changes this JSON gives the shape a new name.
#[test]
fn the_shape_of_snapshots_has_the_name_payment_1() {
    assert_eq!(Payment::SHAPE, "payment/1");
    assert_eq!(serde_json::to_value(Payment::default()).unwrap(), json!({ "status": "unrequested" }));
    let step =
        |id: u128, amount: u64, outcome| json!({ Uuid::from_u128(id).to_string(): { "amount": amount, "outcome": outcome } });
    let done = || json!({ "succeeded": "P-1" });
    let mut shape = json!({
        "status": "requested",
        "order_id": ORDER,
        "user_id": ANN,
        "amount": { "minor": 1000, "currency": "GBP" },
        "attempts": step(1, 1000, json!("unknown")),
        "captures": {},
        "voids": {},
        "refunds": {},
    });
    assert_eq!(serde_json::to_value(payment(requested())).unwrap(), shape);
    shape["status"] = "declined".into();
    shape["attempts"] = step(1, 1000, json!("failed"));
    assert_eq!(serde_json::to_value(payment(declined())).unwrap(), shape);
    shape["status"] = "expired".into();
    shape["attempts"] = step(1, 1000, done());
    assert_eq!(serde_json::to_value(payment(expired())).unwrap(), shape);
    shape["status"] = "voided".into();
    shape["captures"] = step(1, 600, done());
    shape["voids"] = step(1, 400, done());
    assert_eq!(serde_json::to_value(payment(then(voiding(captured(600)), was_voided(1)))).unwrap(), shape);
    shape["status"] = "authorised".into();
    shape["captures"] = step(1, 1000, done());
    shape["voids"] = json!({});
    shape["refunds"] = step(1, 600, done());
    assert_eq!(serde_json::to_value(payment(refunded(600))).unwrap(), shape);
}
