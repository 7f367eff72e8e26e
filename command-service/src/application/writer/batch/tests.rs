use events::{
    Currency, DataKey, Money, OrderId, Personal, ProductId, Quantity, ReservationId,
    products::AdjustmentReason,
    text::{Email, PersonName, ProductName, Sku},
};
use service_kit::trace::Span;
use tokio::sync::oneshot;

use super::*;
use crate::{
    application::command::{Key, Request},
    domain::{
        product::{self, Product, ProductError, Reserve, StockDelta},
        user::{self, EmailClaim, User},
    },
};

const MAX_BYTES: usize = 1 << 20;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn submission<A: Aggregate>(stream: Uuid, command: A::Command) -> Submission<A> {
    let request = Request {
        creates: false,
        expected: None,
        key: None,
        occurred_at: None,
        correlation_id: Uuid::nil(),
        causation_id: None,
        traceparent: None,
    };
    Submission { stream, command, request, reply: oneshot::channel().0, span: Span::none() }
}

fn expecting<A: Aggregate>(mut submission: Submission<A>, version: u64) -> Submission<A> {
    submission.request.expected = Some(version);
    submission
}

fn keyed<A: Aggregate>(mut submission: Submission<A>, key: u128) -> Submission<A> {
    submission.request.key = Some(Key { id: id(key), request: id(1) });
    submission
}

fn create(stream: u128, sku: &str) -> Submission<Product> {
    let price = Money { minor: events::MinorUnits::new(100).unwrap(), currency: "GBP".parse::<Currency>().unwrap() };
    let (sku, name) = (Sku::parse(sku).unwrap(), ProductName::parse("Lantern").unwrap());
    submission(id(stream), product::Command::Create { sku, name, price })
}

fn adjust(stream: u128, delta: i64) -> Submission<Product> {
    let delta = StockDelta::new(delta).unwrap();
    submission(id(stream), product::Command::AdjustStock { delta, reason: AdjustmentReason::Received })
}

fn reserve(stream: u128, reservation: u128) -> Submission<Product> {
    let reserve = Reserve {
        product_id: ProductId(id(stream)),
        reservation_id: ReservationId(id(reservation)),
        order_id: OrderId(id(1)),
        quantity: Quantity::new(1).unwrap(),
    };
    submission(id(stream), product::Command::Reserve(reserve))
}

fn release(stream: u128, reservation: u128) -> Submission<Product> {
    submission(id(stream), product::Command::Release { reservation_id: ReservationId(id(reservation)) })
}

fn sealed_email(user: u128, email: &str) -> (Personal<Email>, EmailClaim) {
    let mut claim = [0; 32];
    claim[..email.len()].copy_from_slice(email.as_bytes());
    let sealed = Personal::seal(id(user), &DataKey::from_bytes([1; 32]), &Email::parse(email).unwrap());
    (sealed.unwrap(), EmailClaim(claim))
}

fn register(user: u128, email: &str) -> Submission<User> {
    let name = Personal::seal(id(user), &DataKey::from_bytes([1; 32]), &PersonName::parse("Ann").unwrap()).unwrap();
    let (email, email_claim) = sealed_email(user, email);
    submission(id(user), user::Command::Register { name, email, email_claim })
}

fn change_email(user: u128, email: &str) -> Submission<User> {
    submission(id(user), user::Command::Change { name: None, email: Some(sealed_email(user, email)) })
}

fn deactivate(user: u128) -> Submission<User> {
    submission(id(user), user::Command::Deactivate { reason: None })
}

/// Decides on a store of two lanes with the heads 10 and 20, in which nothing is known.
fn decide<A: Aggregate>(submissions: &[Submission<A>]) -> Plan<A> {
    decide_within(submissions, MAX_BYTES)
}

fn decide_within<A: Aggregate>(submissions: &[Submission<A>], max_bytes: usize) -> Plan<A> {
    let basis = Basis {
        lanes: Lanes::new(2).unwrap(),
        heads: &[10, 20],
        known: &HashMap::new(),
        known_types: &HashSet::new(),
        now: DateTime::UNIX_EPOCH,
        max_bytes,
    };
    basis.decide(submissions)
}

/// `+version` for what is accepted, a rule's name for what is refused, `later` for what waits.
fn outcomes<A: Aggregate>(plan: &Plan<A>) -> Vec<String> {
    let outcomes = plan.outcomes.iter().map(|outcome| match outcome {
        Outcome::Accepted(receipt) => format!("+{}", receipt.version),
        Outcome::Refused(Refusal::Rule { rule, .. }) => (*rule).to_owned(),
        Outcome::Refused(other) => format!("{other:?}"),
        Outcome::Deferred => "later".to_owned(),
    });
    outcomes.collect()
}

#[test]
fn each_command_is_decided_on_what_those_before_it_leave() {
    let plan = decide(&[create(1, "a"), adjust(1, 3), adjust(1, -4), adjust(1, -3), create(1, "b")]);
    assert_eq!(outcomes(&plan), ["+1", "+2", "InsufficientStock", "+3", "AlreadyCreated"]);
    assert_eq!((plan.append.events(), plan.staged[&id(1)].version), (3, 3));
    assert_eq!(plan.append.new_streams, [id(1)]);
}

#[test]
fn seqs_of_each_lane_go_on_from_its_head_without_gaps() {
    let lanes = Lanes::new(2).unwrap();
    let streams = 1..20;
    let mut submissions: Vec<_> = streams.clone().map(|stream| create(stream, &stream.to_string())).collect();
    submissions.extend(streams.map(|stream| adjust(stream, 1)));
    let plan = decide(&submissions);
    let mut heads = [10, 20];
    for outcome in &plan.outcomes {
        let Outcome::Accepted(receipt) = outcome else { panic!("{outcome:?}") };
        let head = &mut heads[usize::from(receipt.lane.0)];
        *head += 1;
        assert_eq!((receipt.seq, receipt.lane), (Some(*head), lanes.of(receipt.stream)));
    }
    assert!(heads[0] > 10 && heads[1] > 20);
    assert_eq!(plan.heads, BTreeMap::from([(Lane(0), heads[0]), (Lane(1), heads[1])]));
    assert!(plan.append.locks.is_sorted_by(|a, b| a < b), "sorted, without repeats: {:?}", plan.append.locks);
}

#[test]
fn if_match_is_compared_with_the_version_that_the_batch_has_reached() {
    let plan = decide(&[create(1, "a"), expecting(adjust(1, 1), 1), expecting(adjust(1, 1), 1), expecting(adjust(1, 1), 2)]);
    assert_eq!(outcomes(&plan), ["+1", "+2", "Precondition { expected: 1, actual: 2 }", "+3"]);
}

#[test]
fn a_refused_command_leaves_no_trace_but_its_lane() {
    let plan = decide(&[adjust(1, 1)]);
    assert_eq!(outcomes(&plan), ["ProductNotFound"]);
    // The head is still confirmed: another instance may have made the product.
    assert_eq!((plan.append.events(), plan.append.locks.len(), plan.heads.len()), (0, 1, 0));
    assert!(plan.append.new_streams.is_empty() && plan.staged.is_empty());
}

#[test]
fn the_second_use_of_a_key_waits_and_so_does_what_follows_it_in_its_stream() {
    let plan =
        decide(&[keyed(create(1, "a"), 7), keyed(create(2, "b"), 7), adjust(2, 1), adjust(1, 1), keyed(create(3, "c"), 8)]);
    assert_eq!(outcomes(&plan), ["+1", "later", "later", "+2", "+1"]);
    let mut keys = plan.append.keys.clone();
    keys.sort_unstable();
    assert_eq!(keys, [id(7), id(8)]);
}

#[test]
fn a_key_is_looked_up_even_when_its_command_is_refused() {
    let plan = decide(&[keyed(adjust(1, 1), 7)]);
    assert_eq!((outcomes(&plan), plan.append.keys), (vec!["ProductNotFound".to_owned()], vec![id(7)]));
}

#[test]
fn two_claims_of_one_value_do_not_share_a_batch() {
    let plan = decide(&[create(1, "a"), create(2, "A"), create(3, "c")]);
    assert_eq!(outcomes(&plan), ["+1", "later", "+1"]);
    assert_eq!(plan.claims, [(0, ProductError::SkuTaken), (2, ProductError::SkuTaken)]);
}

#[test]
fn a_refused_command_claims_nothing() {
    let plan = decide(&[create(1, "a"), create(1, "b"), create(2, "b")]);
    assert_eq!(outcomes(&plan), ["+1", "AlreadyCreated", "+1"]);
}

#[test]
fn a_claim_and_its_release_do_not_share_a_batch() {
    let plan = decide(&[register(1, "a@x.org"), deactivate(1), register(2, "b@x.org"), deactivate(1)]);
    assert_eq!(outcomes(&plan), ["+1", "later", "+1", "later"]);
}

#[test]
fn two_claims_of_one_stream_do_not_share_a_batch() {
    let plan = decide(&[register(1, "a@x.org"), change_email(1, "b@x.org"), register(2, "a@x.org")]);
    assert_eq!(outcomes(&plan), ["+1", "later", "later"]);
}

#[test]
fn reservations_of_one_product_share_a_batch_until_one_comes_again() {
    let plan = decide(&[create(1, "a"), adjust(1, 9), reserve(1, 5), reserve(1, 6), release(1, 5), reserve(1, 5), adjust(1, 1)]);
    assert_eq!(outcomes(&plan), ["+1", "+2", "+3", "+4", "+5", "later", "later"]);
}

#[test]
fn a_full_batch_leaves_the_rest_for_the_next_but_takes_at_least_one() {
    let plan = decide_within(&[create(1, "a"), create(2, "b")], 1);
    assert_eq!(outcomes(&plan), ["+1", "later"]);
    let plan = decide_within(&[create(1, "a"), create(2, "b")], 0);
    assert_eq!(outcomes(&plan), ["+1", "later"]);
}

#[test]
fn a_type_is_listed_once_until_it_is_known() {
    let plan = decide(&[create(1, "a"), create(2, "b"), adjust(1, 1)]);
    assert_eq!(plan.append.new_types, ["product.created.v1", "product.stock-adjusted.v2"]);
}
