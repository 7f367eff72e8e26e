use events::{ProductId, UserId};
use uuid::Uuid;

use super::*;
use crate::domain::tests::{expected, given, table};

fn review(stars: u8) -> ReviewWritten {
    ReviewWritten { product_id: ProductId(Uuid::from_u128(1)), user_id: UserId(Uuid::from_u128(2)), stars, text: None }
}

fn withdraw() -> Command {
    Command::Withdraw { reason: Reason::parse("not about the product").unwrap() }
}

#[test]
fn a_review_is_written_once_and_withdrawn_once() {
    let withdrawn = ReviewWithdrawn { reason: Reason::parse("rude").unwrap() };
    let states = [
        ("unwritten", Review::default()),
        ("published", given::<Review>([review(4).into()]).0),
        ("withdrawn", given::<Review>([review(4).into(), withdrawn.into()]).0),
    ];
    let commands = [("write", Command::Write(review(5))), ("withdraw", withdraw())];
    let outcomes = "
        unwritten | write    | written
        unwritten | withdraw | ReviewNotFound
        published | write    | AlreadyWritten
        published | withdraw | withdrawn
        withdrawn | write    | AlreadyWritten
        withdrawn | withdraw | AlreadyWithdrawn
    ";
    assert_eq!(table(&states, &commands), expected(outcomes));
}

#[test]
fn stars_are_from_one_to_five() {
    for stars in 1..=5 {
        given::<Review>([]).when(Command::Write(review(stars))).then([review(stars).into()]);
    }
    for stars in [0, 6] {
        given::<Review>([]).when(Command::Write(review(stars))).refused_by(ReviewError::StarsOutOfRange(stars));
    }
}
