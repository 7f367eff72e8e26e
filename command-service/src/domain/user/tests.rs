use events::{
    Personal, UserEvent,
    text::{Email, PaymentMethod, PersonName, Reason},
    users::{UserDeactivated, UserEmailChanged, UserNameChanged, UserPaymentMethodChanged, UserRegistered},
};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use serde_json::json;

use super::{Command, EmailClaim, User, UserError};
use crate::domain::{
    Aggregate, Claim, ClaimKind, Rule, RuleKind,
    order::Standing,
    tests::{expected, given, play, scramble, table},
};

/// Sealed by nobody: the domain can't tell.
fn sealed<T: serde::Serialize + serde::de::DeserializeOwned>(ct: &str) -> Personal<T> {
    serde_json::from_value(json!({ "kid": "018f0000-0000-7000-8000-000000000001", "ct": ct })).unwrap()
}

fn name(ct: &str) -> Personal<PersonName> {
    sealed(ct)
}

fn email(ct: &str) -> Personal<Email> {
    sealed(ct)
}

fn registered() -> UserEvent {
    UserRegistered { name: name("Ann"), email: email("ann@example.org") }.into()
}

fn deactivated() -> UserEvent {
    UserDeactivated { reason: None }.into()
}

fn register() -> Command {
    Command::Register { name: name("Ann"), email: email("ann@example.org"), email_claim: EmailClaim([1; 32]) }
}

fn change(new_name: Option<&str>, new_email: Option<&str>) -> Command {
    Command::Change { name: new_name.map(name), email: new_email.map(|ct| (email(ct), EmailClaim([2; 32]))) }
}

fn method(token: &str) -> Option<PaymentMethod> {
    Some(PaymentMethod::parse(token).unwrap())
}

fn pays_with(token: &str) -> UserEvent {
    UserPaymentMethodChanged { method: method(token) }.into()
}

fn pay_with(token: &str) -> Command {
    Command::ChangePaymentMethod { method: method(token) }
}

fn deactivate() -> Command {
    Command::Deactivate { reason: None }
}

fn user(events: impl IntoIterator<Item = UserEvent>) -> User {
    given(events).0
}

/// State, command, what follows.
const OUTCOMES: &str = "
    unregistered | register       | registered
    unregistered | change name    | UserNotFound
    unregistered | change e-mail  | UserNotFound
    unregistered | change both    | UserNotFound
    unregistered | change nothing | UserNotFound
    unregistered | pay with       | UserNotFound
    unregistered | deactivate     | UserNotFound
    active       | register       | AlreadyRegistered
    active       | change name    | name-changed
    active       | change e-mail  | email-changed
    active       | change both    | name-changed, email-changed
    active       | change nothing | NothingToChange
    active       | pay with       | payment-method-changed
    active       | deactivate     | deactivated
    deactivated  | register       | AlreadyRegistered
    deactivated  | change name    | UserDeactivated
    deactivated  | change e-mail  | UserDeactivated
    deactivated  | change both    | UserDeactivated
    deactivated  | change nothing | UserDeactivated
    deactivated  | pay with       | UserDeactivated
    deactivated  | deactivate     | AlreadyDeactivated
";

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unregistered", User::default()),
        ("active", user([registered()])),
        ("deactivated", user([registered(), deactivated()])),
    ];
    let commands = [
        ("register", register()),
        ("change name", change(Some("Anna"), None)),
        ("change e-mail", change(None, Some("anna@example.org"))),
        ("change both", change(Some("Anna"), Some("anna@example.org"))),
        ("change nothing", change(None, None)),
        ("pay with", pay_with("pm_1")),
        ("deactivate", deactivate()),
    ];
    assert_eq!(table(&states, &commands), expected(OUTCOMES));
}

#[test]
fn registers_what_was_given() {
    given::<User>([]).when(register()).then([registered()]);
}

#[test]
fn changes_only_what_was_given() {
    let changed = UserNameChanged { name: name("Anna") };
    given::<User>([registered()]).when(change(Some("Anna"), None)).then([changed.into()]);
    let changed = UserEmailChanged { email: email("anna@example.org") };
    given::<User>([registered()]).when(change(None, Some("anna@example.org"))).then([changed.into()]);
}

#[test]
fn a_default_payment_method_is_set_changed_and_removed() {
    given::<User>([registered()]).when(pay_with("pm_1")).then([pays_with("pm_1")]);
    given::<User>([registered(), pays_with("pm_1")]).when(pay_with("pm_2")).then([pays_with("pm_2")]);
    given::<User>([registered(), pays_with("pm_1")]).when(pay_with("pm_1")).changes_nothing();
    given::<User>([registered()]).when(Command::ChangePaymentMethod { method: None }).changes_nothing();
    let removed = UserPaymentMethodChanged { method: None };
    let remove = Command::ChangePaymentMethod { method: None };
    given::<User>([registered(), pays_with("pm_1")]).when(remove).then([removed.clone().into()]);
    assert_eq!(user([registered(), pays_with("pm_1")]).payment_method(), method("pm_1").as_ref());
    assert_eq!(user([registered(), pays_with("pm_1"), removed.into()]).payment_method(), None);
}

#[test]
fn the_reason_for_leaving_is_kept() {
    let reason = Some(Reason::parse("moved away").unwrap());
    let left = UserDeactivated { reason: reason.clone() };
    given::<User>([registered()]).when(Command::Deactivate { reason }).then([left.into()]);
}

#[test]
fn rejects_bringing_a_deactivated_user_back() {
    given::<User>([registered(), deactivated()]).when(register()).refused_by(UserError::AlreadyRegistered);
}

#[test]
fn an_account_shows_its_latest_name_and_address() {
    let renamed = UserNameChanged { name: name("Anna") }.into();
    let moved = UserEmailChanged { email: email("anna@example.org") }.into();
    let user = user([registered(), renamed, moved, deactivated()]);
    let account = user.account().unwrap();
    assert_eq!((&account.name, &account.email), (&name("Anna"), &email("anna@example.org")));
}

#[test]
fn an_address_is_claimed_by_whoever_uses_it_and_free_when_they_leave() {
    let take = |byte| vec![Claim::Take(ClaimKind::Email, vec![byte; 32], UserError::EmailTaken)];
    assert_eq!(User::claims(&register()), take(1));
    assert_eq!(User::claims(&change(None, Some("anna@example.org"))), take(2));
    assert_eq!(User::claims(&change(Some("Anna"), None)), []);
    assert_eq!(User::claims(&pay_with("pm_1")), []);
    assert_eq!(User::claims(&deactivate()), [Claim::Release(ClaimKind::Email)]);
}

#[test]
fn standing_is_what_an_order_may_know() {
    assert_eq!(User::default().standing(), Standing::Unknown);
    assert_eq!(user([registered()]).standing(), Standing::Active);
    assert_eq!(user([registered(), deactivated()]).standing(), Standing::Deactivated);
    assert!(!User::default().exists());
    assert!(user([registered(), deactivated()]).exists());
}

#[test]
fn rules_say_what_the_caller_can_make_of_them() {
    assert_eq!(UserError::UserNotFound.kind(), RuleKind::NotFound);
    assert_eq!(UserError::EmailTaken.kind(), RuleKind::Conflict);
    assert_eq!(UserError::NothingToChange.kind(), RuleKind::Unprocessable);
}

/// A snapshot carries [`User::SHAPE`]. Whoever changes this JSON gives the shape a new name.
#[test]
fn the_shape_of_snapshots_has_the_name_user_2() {
    assert_eq!(User::SHAPE, "user/2");
    let kid = "018f0000-0000-7000-8000-000000000001";
    assert_eq!(serde_json::to_value(User::default()).unwrap(), json!({ "status": "unregistered" }));
    let account = |status| json!({ "status": status, "name": { "kid": kid, "ct": "Ann" }, "email": { "kid": kid, "ct": "ann@example.org" } });
    assert_eq!(serde_json::to_value(user([registered()])).unwrap(), account("active"));
    assert_eq!(serde_json::to_value(user([registered(), deactivated()])).unwrap(), account("deactivated"));
    let mut paying = account("active");
    paying["payment_method"] = json!("pm_1");
    assert_eq!(serde_json::to_value(user([registered(), pays_with("pm_1")])).unwrap(), paying);
}

fn command() -> impl Strategy<Value = Command> {
    let text = || "[a-z]{1,8}";
    let claim = || any::<[u8; 32]>().prop_map(EmailClaim);
    let address = || (text(), claim()).prop_map(|(ct, claim)| (email(&ct), claim));
    prop_oneof![
        (text(), address()).prop_map(|(ct, (email, email_claim))| Command::Register { name: name(&ct), email, email_claim }),
        (option::of(text()), option::of(address()))
            .prop_map(|(ct, email)| Command::Change { name: ct.map(|ct| name(&ct)), email }),
        option::of("[ab]").prop_map(|token| Command::ChangePaymentMethod { method: token.and_then(|token| method(&token)) }),
        Just(deactivate()),
    ]
}

proptest! {
    #[test]
    fn deactivation_is_final_and_everything_decided_can_be_applied(
        commands in vec(command(), 1..30), order in vec(any::<Index>(), 0..30),
    ) {
        let history = play::<User>(&commands, |user, history| {
            let left = history.iter().position(|event| matches!(event, UserEvent::Deactivated(_)));
            prop_assert_eq!(left.is_some(), user.standing() == Standing::Deactivated);
            prop_assert!(left.is_none_or(|last| last + 1 == history.len()));
            prop_assert_eq!(user.exists(), !history.is_empty());
            Ok(())
        })?;
        scramble::<User>(&history, &order, &commands);
    }
}
