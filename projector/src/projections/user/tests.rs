use events::{
    DataKey,
    text::PaymentMethod,
    users::{UserDeactivated, UserEmailChanged, UserNameChanged, UserPaymentMethodChanged},
};

use super::*;

const STREAM: Uuid = Uuid::from_u128(1);

fn keys(key: &DataKey) -> KeyRing {
    let mut keys = KeyRing::default();
    keys.insert(STREAM, key.clone());
    keys
}

fn name(key: &DataKey, name: &str) -> Personal<PersonName> {
    Personal::seal(STREAM, key, &PersonName::parse(name).unwrap()).unwrap()
}

fn email(key: &DataKey, email: &str) -> Personal<Email> {
    Personal::seal(STREAM, key, &Email::parse(email).unwrap()).unwrap()
}

fn registered(key: &DataKey) -> UserEvent {
    UserRegistered { name: name(key, "Ann"), email: email(key, "Ann@Example.org") }.into()
}

fn fold(events: &[UserEvent], keys: &KeyRing) -> Folded<UserView> {
    let mut view = None;
    for (event, version) in events.iter().zip(1..) {
        let meta = Meta { stream: STREAM, version, occurred_at: chrono::DateTime::UNIX_EPOCH };
        view = Some(UserProjection::apply(view, event, &meta, keys)?);
    }
    existing(view)
}

#[test]
fn a_user_is_readable_with_their_key_and_owns_their_address() {
    let key = DataKey::generate();
    let events = [
        registered(&key),
        UserNameChanged { name: name(&key, "Anne") }.into(),
        UserEmailChanged { email: email(&key, "anne@example.org") }.into(),
    ];
    let view = fold(&events[..1], &keys(&key)).unwrap();
    assert_eq!((view.name.as_deref(), view.email.as_deref()), (Some("Ann"), Some("Ann@Example.org")));
    assert_eq!(UserProjection::owned(&view), Some((EMAIL_OWNERS, "ann@example.org".to_owned())));
    let view = fold(&events, &keys(&key)).unwrap();
    assert_eq!((view.name.as_deref(), view.version), (Some("Anne"), 3));
    assert_eq!(UserProjection::owned(&view), Some((EMAIL_OWNERS, "anne@example.org".to_owned())));
}

#[test]
fn a_deactivated_user_owns_no_address() {
    let key = DataKey::generate();
    let view = fold(&[registered(&key), UserDeactivated { reason: None }.into()], &keys(&key)).unwrap();
    assert_eq!((view.status, UserProjection::owned(&view)), (UserStatus::Deactivated, None));
}

#[test]
fn an_erased_user_has_neither_name_nor_address() {
    let view = fold(&[registered(&DataKey::generate())], &KeyRing::default()).unwrap();
    assert_eq!((view.name.as_ref(), view.email.as_ref(), UserProjection::owned(&view)), (None, None, None));
}

#[test]
fn a_key_that_does_not_fit_refuses_the_event() {
    let key = DataKey::generate();
    let wrong = keys(&DataKey::generate());
    assert_eq!(fold(&[registered(&key)], &wrong).unwrap_err().cause, UNREADABLE);
    let view = fold(&[registered(&key)], &keys(&key)).unwrap();
    let meta = Meta { stream: STREAM, version: 2, occurred_at: chrono::DateTime::UNIX_EPOCH };
    let event = UserNameChanged { name: name(&key, "Anne") }.into();
    let refused = UserProjection::apply(Some(view.clone()), &event, &meta, &wrong).unwrap_err();
    assert_eq!(refused.view, Some(view));
}

#[test]
fn a_view_says_since_when_there_is_a_payment_method_and_not_which() {
    let key = DataKey::generate();
    let set = UserPaymentMethodChanged { method: Some(PaymentMethod::parse("pm_secret").unwrap()) };
    let view = fold(&[registered(&key), set.clone().into()], &keys(&key)).unwrap();
    assert_eq!((view.payment_method_set_at, view.version), (Some(chrono::DateTime::UNIX_EPOCH), 2));
    assert!(!serde_json::to_string(&view).unwrap().contains("pm_secret"));
    let removed = UserPaymentMethodChanged { method: None };
    let view = fold(&[registered(&key), set.into(), removed.into()], &keys(&key)).unwrap();
    assert_eq!((view.payment_method_set_at, view.version), (None, 3));
}
