//! What is sold, and for how much.

use events::{
    Currency, MinorUnits, Money,
    products::{ProductRenamed, ProductRepriced},
};
use serde_json::json;

use super::*;
use crate::domain::{
    Aggregate, Claim, ClaimKind, Rule, RuleKind,
    order::ProductQuote,
    product::ProductError,
    tests::{expected, table},
};

/// State, command, what follows.
const OUTCOMES: &str = "
    uncreated    | create               | created
    uncreated    | rename               | ProductNotFound
    uncreated    | reprice              | ProductNotFound
    uncreated    | change both          | ProductNotFound
    uncreated    | change to the same   | ProductNotFound
    uncreated    | change nothing       | ProductNotFound
    uncreated    | add stock            | ProductNotFound
    uncreated    | remove stock         | ProductNotFound
    uncreated    | remove too much      | ProductNotFound
    uncreated    | discontinue          | ProductNotFound
    uncreated    | reserve              | ProductNotFound
    uncreated    | reserve too much     | ProductNotFound
    uncreated    | reserve again        | ProductNotFound
    uncreated    | reserve again, other | ProductNotFound
    uncreated    | release              | ProductNotFound
    uncreated    | release unknown      | ProductNotFound
    uncreated    | commit               | ProductNotFound
    uncreated    | commit unknown       | ProductNotFound
    active       | create               | AlreadyCreated
    active       | rename               | renamed
    active       | reprice              | repriced
    active       | change both          | renamed, repriced
    active       | change to the same   | accepted, nothing changes
    active       | change nothing       | NothingToChange
    active       | add stock            | stock-adjusted
    active       | remove stock         | stock-adjusted
    active       | remove too much      | InsufficientStock
    active       | discontinue          | discontinued
    active       | reserve              | stock-reserved
    active       | reserve too much     | InsufficientStock
    active       | reserve again        | accepted, nothing changes
    active       | reserve again, other | ReservationConflict
    active       | release              | stock-released
    active       | release unknown      | ReservationNotFound
    active       | commit               | stock-committed
    active       | commit unknown       | ReservationNotFound
    discontinued | create               | AlreadyCreated
    discontinued | rename               | renamed
    discontinued | reprice              | ProductDiscontinued
    discontinued | change both          | ProductDiscontinued
    discontinued | change to the same   | accepted, nothing changes
    discontinued | change nothing       | NothingToChange
    discontinued | add stock            | stock-adjusted
    discontinued | remove stock         | stock-adjusted
    discontinued | remove too much      | InsufficientStock
    discontinued | discontinue          | AlreadyDiscontinued
    discontinued | reserve              | ProductDiscontinued
    discontinued | reserve too much     | ProductDiscontinued
    discontinued | reserve again        | accepted, nothing changes
    discontinued | reserve again, other | ReservationConflict
    discontinued | release              | stock-released
    discontinued | release unknown      | ReservationNotFound
    discontinued | commit               | stock-committed
    discontinued | commit unknown       | ReservationNotFound
";

#[test]
fn every_command_in_every_state() {
    let states = [
        ("uncreated", Product::default()),
        ("active", product([created(), adjusted(10), reserved(1, 4)])),
        ("discontinued", product([created(), adjusted(10), reserved(1, 4), discontinued()])),
    ];
    let commands = [
        ("create", create()),
        ("rename", change(Some("Red lantern"), None)),
        ("reprice", change(None, Some(pence(199)))),
        ("change both", change(Some("Red lantern"), Some(pence(199)))),
        ("change to the same", change(Some("White lantern"), Some(pence(255)))),
        ("change nothing", change(None, None)),
        ("add stock", adjust(5)),
        ("remove stock", adjust(-6)),
        ("remove too much", adjust(-7)),
        ("discontinue", Command::Discontinue),
        ("reserve", reserve(2, 6)),
        ("reserve too much", reserve(2, 7)),
        ("reserve again", reserve(1, 4)),
        ("reserve again, other", reserve(1, 5)),
        ("release", release(1)),
        ("release unknown", release(2)),
        ("commit", commit(1)),
        ("commit unknown", commit(2)),
    ];
    assert_eq!(table(&states, &commands), expected(OUTCOMES));
}

#[test]
fn creates_what_was_given() {
    given::<Product>([]).when(create()).then([created()]);
}

#[test]
fn changes_only_what_differs() {
    let renamed = ProductRenamed { name: name("Red lantern") };
    given::<Product>([created()]).when(change(Some("Red lantern"), Some(pence(255)))).then([renamed.into()]);
    let repriced = ProductRepriced { price: pence(199) };
    given::<Product>([created()]).when(change(Some("White lantern"), Some(pence(199)))).then([repriced.into()]);
}

#[test]
fn rejects_a_price_in_another_currency() {
    let euros = Money { minor: MinorUnits::new(255).unwrap(), currency: Currency::EUR };
    let rule = ProductError::PriceCurrencyChanged { from: Currency::GBP, to: Currency::EUR };
    given::<Product>([created()]).when(change(None, Some(euros))).refused_by(rule);
}

#[test]
fn a_quote_tells_the_price_and_whether_it_can_be_ordered() {
    let repriced = || ProductRepriced { price: pence(199) }.into();
    let quote = |orderable| Some(ProductQuote { version: 7, price: pence(199), orderable });
    assert_eq!(Product::default().quote(7), None);
    assert_eq!(product([created(), repriced()]).quote(7), quote(true));
    assert_eq!(product([created(), repriced(), discontinued()]).quote(7), quote(false));
}

#[test]
fn a_sku_is_claimed_without_regard_to_case() {
    assert_eq!(Product::claims(&create()), [Claim::Take(ClaimKind::Sku, b"85123A".to_vec(), ProductError::SkuTaken)]);
    assert_eq!(Product::claims(&Command::Discontinue), []);
}

#[test]
fn rules_say_what_the_caller_can_make_of_them() {
    assert_eq!(ProductError::ProductNotFound.kind(), RuleKind::NotFound);
    assert_eq!(ProductError::ProductDiscontinued.kind(), RuleKind::Conflict);
    assert_eq!(ProductError::InsufficientStock { available: 0, asked: 1 }.kind(), RuleKind::Unprocessable);
}

/// A snapshot carries [`Product::SHAPE`]. Whoever changes this JSON gives the shape a new name.
#[test]
fn the_shape_of_snapshots_has_the_name_product_1() {
    assert_eq!(Product::SHAPE, "product/1");
    assert_eq!(serde_json::to_value(Product::default()).unwrap(), json!({ "status": "uncreated" }));
    let state = product([created(), adjusted(10), reserved(1, 4), discontinued()]);
    let shape = json!({
        "status": "discontinued",
        "sku": "85123a",
        "name": "White lantern",
        "price": { "minor": 255, "currency": "GBP" },
        "stock": {
            "on_hand": 10,
            "reserved": 4,
            "reservations": { reservation(1).to_string(): { "order_id": ORDER, "quantity": 4 } },
        },
    });
    assert_eq!(serde_json::to_value(state).unwrap(), shape);
}
