use chrono::{DateTime, TimeDelta, Utc};
use events::{
    AttemptId, CaptureId, Currency, OrderId, RefundId, UserId, VoidId,
    payments::{
        CaptureFailed, CaptureRequested, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentExpired, PaymentRefunded,
        PaymentVoided, RefundFailed, RefundRequested, VoidFailed, VoidRequested,
    },
    text::PaymentMethod,
};

use super::*;

const STREAM: Uuid = Uuid::from_u128(1);
const ORDER: Uuid = Uuid::from_u128(5);

fn at(version: u64) -> DateTime<Utc> {
    let requested: DateTime<Utc> = "2026-11-01T12:00:00Z".parse().unwrap();
    requested + TimeDelta::minutes(i64::try_from(version).unwrap() - 1)
}

fn meta(version: u64) -> Meta {
    Meta { stream: STREAM, version, occurred_at: at(version) }
}

fn money(amount: u64) -> Money {
    Money { minor: MinorUnits::new(amount).unwrap(), currency: Currency::GBP }
}

fn reference(text: &str) -> ProviderReference {
    ProviderReference::parse(text).unwrap()
}

fn reason() -> Reason {
    Reason::parse("insufficient funds").unwrap()
}

fn requested(attempt: u128) -> PaymentEvent {
    PaymentRequested {
        attempt_id: AttemptId(Uuid::from_u128(attempt)),
        order_id: OrderId(ORDER),
        user_id: Some(UserId(Uuid::from_u128(7))),
        amount: money(1000),
        method: PaymentMethod::parse("pm_secret").unwrap(),
    }
    .into()
}

fn authorised(attempt: u128) -> PaymentEvent {
    PaymentAuthorised { attempt_id: AttemptId(Uuid::from_u128(attempt)), amount: money(1000), reference: reference("A-1") }.into()
}

fn declined(attempt: u128) -> PaymentEvent {
    PaymentDeclined { attempt_id: AttemptId(Uuid::from_u128(attempt)), reason: reason() }.into()
}

fn capture(id: u128, amount: u64) -> [PaymentEvent; 2] {
    let (capture_id, amount) = (CaptureId(Uuid::from_u128(id)), money(amount));
    let asked = CaptureRequested { capture_id, amount };
    [asked.into(), PaymentCaptured { capture_id, amount, reference: reference("C-1") }.into()]
}

fn refund(id: u128, amount: u64) -> [PaymentEvent; 2] {
    let (refund_id, amount) = (RefundId(Uuid::from_u128(id)), money(amount));
    let asked = RefundRequested { refund_id, amount };
    [asked.into(), PaymentRefunded { refund_id, amount, reference: reference("R-1") }.into()]
}

fn void(id: u128) -> [PaymentEvent; 2] {
    let void_id = VoidId(Uuid::from_u128(id));
    [VoidRequested { void_id }.into(), PaymentVoided { void_id, reference: reference("V-1") }.into()]
}

fn paid() -> [PaymentEvent; 2] {
    [requested(1), authorised(1)]
}

/// One after the other.
fn all(parts: &[&[PaymentEvent]]) -> Vec<PaymentEvent> {
    parts.concat()
}

fn fold(events: &[PaymentEvent]) -> Folded<PaymentView> {
    let mut view = None;
    for (event, version) in events.iter().zip(1..) {
        view = Some(PaymentProjection::apply(view, event, &meta(version), &KeyRing::default())?);
    }
    existing(view)
}

fn life() -> Vec<PaymentEvent> {
    let events = [vec![requested(1), declined(1), requested(2), authorised(2)], capture(3, 600).into(), refund(4, 200).into()];
    events.into_iter().flatten().chain(void(5)).collect()
}

#[test]
fn each_event_has_its_status() {
    use PaymentStatus::{Authorised, Captured, Declined, Expired, Refunded, Requested, Voided};
    let expected = [Requested, Declined, Requested, Authorised, Authorised, Captured, Captured, Captured, Captured, Captured];
    for (length, status) in (1..).zip(expected) {
        let view = fold(&life()[..length]).unwrap();
        assert_eq!((view.status, usize::try_from(view.version).unwrap()), (status, length));
    }
    let then = |events: &[PaymentEvent]| fold(&all(&[&paid(), events])).unwrap().status;
    assert_eq!(then(&void(5)), Voided);
    assert_eq!(then(&[PaymentExpired {}.into()]), Expired);
    assert_eq!(then(&all(&[&capture(3, 600), &refund(4, 600)])), Refunded);
    // The rest of it can still be captured.
    assert_eq!(then(&all(&[&capture(3, 600), &refund(4, 600), &capture(6, 400)])), Captured);
}

#[test]
fn a_life_adds_up_and_tells_each_step() {
    let view = fold(&life()).unwrap();
    assert_eq!((view.amount, view.captured, view.refunded), (money(1000).minor, money(600).minor, money(200).minor));
    assert_eq!((view.declined_at, view.decline_reason.as_deref()), (None, None), "the second attempt was authorised");
    assert_eq!((view.authorised_at, view.reference.as_deref(), view.voided_at), (Some(at(4)), Some("A-1"), Some(at(10))));
    let step = |id: u128, amount: Option<u64>, reference: &str, version| StepView {
        id: Uuid::from_u128(id),
        status: StepStatus::Succeeded,
        amount: amount.map(|amount| money(amount).minor),
        requested_at: at(version),
        answered_at: Some(at(version + 1)),
        reference: Some(reference.to_owned()),
        reason: None,
    };
    assert_eq!(view.captures, [step(3, Some(600), "C-1", 5)]);
    assert_eq!(view.refunds, [step(4, Some(200), "R-1", 7)]);
    assert_eq!(view.voids, [step(5, None, "V-1", 9)]);
}

#[test]
fn what_is_not_answered_and_what_failed_adds_nothing() {
    let failed = CaptureFailed { capture_id: CaptureId(Uuid::from_u128(3)), amount: money(600), reason: reason() };
    let [asked, _] = capture(3, 600);
    let open = fold(&[requested(1), authorised(1), asked.clone()]).unwrap();
    assert_eq!((open.captured, open.captures[0].status), (MinorUnits::ZERO, StepStatus::Requested));
    let view = fold(&[requested(1), authorised(1), asked, failed.into()]).unwrap();
    assert_eq!((view.captured, view.status), (MinorUnits::ZERO, PaymentStatus::Authorised));
    assert_eq!((view.captures[0].status, view.captures[0].reason.as_deref()), (StepStatus::Failed, Some("insufficient funds")));
    let [asked, _] = refund(4, 600);
    let unpaid = RefundFailed { refund_id: RefundId(Uuid::from_u128(4)), amount: money(600), reason: reason() };
    let captured = all(&[&paid(), &capture(3, 600)]);
    let view = fold(&all(&[&captured, &[asked, unpaid.into()]])).unwrap();
    assert_eq!(
        (view.refunded, view.status, view.refunds[0].status),
        (MinorUnits::ZERO, PaymentStatus::Captured, StepStatus::Failed)
    );
    let [asked, _] = void(5);
    let stays = VoidFailed { void_id: VoidId(Uuid::from_u128(5)), reason: reason() };
    let view = fold(&[requested(1), authorised(1), asked, stays.into()]).unwrap();
    assert_eq!((view.status, view.voids[0].status), (PaymentStatus::Authorised, StepStatus::Failed));
}

#[test]
fn a_void_without_an_answer_ends_with_its_payment() {
    let [asked, _] = void(5);
    for end in [declined(1), PaymentExpired {}.into()] {
        let view = fold(&[requested(1), asked.clone(), end]).unwrap();
        assert_eq!((view.voids[0].status, view.voids[0].answered_at), (StepStatus::Failed, Some(at(3))));
    }
}

#[test]
fn a_payment_is_its_users_and_in_the_list_of_its_order() {
    let view = fold(&life()).unwrap();
    assert_eq!(PaymentProjection::owner(&view), Some(Uuid::from_u128(7)));
    let entries: Vec<_> =
        PaymentProjection::index_entries(&view).iter().map(|entry| format!("{} {}", entry.index, entry.member())).collect();
    let member = read_model::index::timed(at(1), STREAM);
    assert_eq!(entries, [format!("order:{} {member}", ORDER.simple())]);
}

#[test]
fn the_view_survives_its_json_and_never_has_the_token() {
    let view = fold(&life()).unwrap();
    let json = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<PaymentView>(&json).unwrap(), view);
    assert!(!json.contains("pm_secret"), "{json}");
}

#[test]
fn what_cannot_have_happened_is_refused_and_changes_nothing() {
    let authorised_view = fold(&paid()).unwrap();
    let captured = fold(&all(&[&paid(), &capture(3, 600)])).unwrap();
    let [_, unasked] = capture(9, 1);
    let [_, unasked_refund] = refund(9, 1);
    let [_, unasked_void] = void(9);
    let impossible =
        [requested(2), authorised(1), declined(1), authorised(2), declined(2), unasked, unasked_refund, unasked_void];
    for view in [&authorised_view, &captured] {
        for event in &impossible {
            let refused = PaymentProjection::apply(Some(view.clone()), event, &meta(9), &KeyRing::default()).unwrap_err();
            assert_eq!(refused.view.as_ref(), Some(view), "{}", refused.cause);
        }
    }
    let too_much = all(&[&paid(), &capture(3, 600), &capture(4, 401)]);
    assert_eq!(fold(&too_much).unwrap_err().cause, "more is captured than was authorised");
    let too_much = all(&[&paid(), &capture(3, 600), &refund(4, 601)]);
    assert_eq!(fold(&too_much).unwrap_err().cause, "more is refunded than was captured");
    let refused = PaymentProjection::apply(None, &declined(1), &meta(1), &KeyRing::default()).unwrap_err();
    assert_eq!(refused.view, None);
}
