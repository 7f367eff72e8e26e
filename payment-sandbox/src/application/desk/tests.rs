use events::{Money, text::PaymentMethod};

use super::*;

fn pounds(minor: u64) -> Money {
    serde_json::from_value(serde_json::json!({"minor": minor, "currency": "GBP"})).unwrap()
}

fn authorise(method: &str, minor: u64) -> Operation {
    Operation::Authorise { amount: pounds(minor), method: PaymentMethod::parse(method).unwrap() }
}

fn ask(desk: &Desk, key: &str, operation: &Operation) -> Reply {
    let call = Call { key: key.to_owned(), operation: operation.clone(), behaviour: None };
    desk.take(call, DateTime::UNIX_EPOCH).unwrap()
}

fn done(desk: &Desk, key: &str, operation: &Operation) -> String {
    match ask(desk, key, operation).answer {
        Answer::Done(id) => id,
        other => panic!("{key}: {other:?}"),
    }
}

fn refused(desk: &Desk, key: &str, operation: &Operation) -> (u16, String) {
    match ask(desk, key, operation).answer {
        Answer::Refused(refusal) => (refusal.status, refusal.code),
        other => panic!("{key}: {other:?}"),
    }
}

fn desk() -> Desk {
    Desk::new(Chances::default())
}

#[test]
fn what_is_asked_five_times_is_done_once() {
    let desk = desk();
    let ids: Vec<_> = (0..5).map(|_| done(&desk, "a", &authorise("pm_card", 100))).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    let (asked, done, authorised) = desk.look(|book| {
        let keyed = &book.keys()["a"];
        (keyed.asked, keyed.done, book.authorisations().len())
    });
    assert_eq!((asked, done, authorised), (5, 1, 1));
}

#[test]
fn another_request_under_a_key_is_refused_and_changes_nothing() {
    let desk = desk();
    done(&desk, "a", &authorise("pm_card", 100));
    assert_eq!(refused(&desk, "a", &authorise("pm_card", 101)), (422, "idempotency-key-reused".to_owned()));
    assert_eq!(desk.look(|book| book.authorisations().len()), 1);
}

#[test]
fn no_more_is_captured_than_authorised_nor_refunded_than_captured() {
    let desk = desk();
    let authorisation = done(&desk, "auth", &authorise("pm_card", 100));
    let capture = |minor| Operation::Capture { authorisation: authorisation.clone(), amount: pounds(minor) };
    let first = done(&desk, "cap-1", &capture(60));
    assert_eq!(refused(&desk, "cap-2", &capture(41)), (422, "amount-too-large".to_owned()));
    done(&desk, "cap-3", &capture(40));
    assert_eq!(refused(&desk, "void", &Operation::Void { authorisation: authorisation.clone() }).1, "nothing-left");
    let refund = |minor| Operation::Refund { capture: first.clone(), amount: pounds(minor) };
    done(&desk, "ref-1", &refund(50));
    assert_eq!(refused(&desk, "ref-2", &refund(11)), (422, "amount-too-large".to_owned()));
    done(&desk, "ref-3", &refund(10));
    let totals = desk.look(|book| *book.totals().values().next().unwrap());
    assert_eq!((totals.authorised, totals.captured, totals.refunded, totals.charged, totals.held), (100, 100, 60, 40, 0));
}

#[test]
fn what_is_voided_can_not_be_captured() {
    let desk = desk();
    let authorisation = done(&desk, "auth", &authorise("pm_card", 100));
    done(&desk, "void", &Operation::Void { authorisation: authorisation.clone() });
    let capture = Operation::Capture { authorisation: authorisation.clone(), amount: pounds(1) };
    assert_eq!(refused(&desk, "cap", &capture), (409, "authorisation-voided".to_owned()));
    let totals = desk.look(|book| *book.totals().values().next().unwrap());
    assert_eq!((totals.voided, totals.held, totals.captured), (100, 0, 0));
}

#[test]
fn nonsense_is_refused() {
    let desk = desk();
    let authorisation = done(&desk, "auth", &authorise("pm_card", 100));
    let euro = serde_json::from_str(r#"{"minor": 5, "currency": "EUR"}"#).unwrap();
    for (operation, code) in [
        (authorise("pm_card", 0), "amount-invalid"),
        (Operation::Capture { authorisation: authorisation.clone(), amount: euro }, "wrong-currency"),
        (Operation::Capture { authorisation, amount: pounds(0) }, "amount-invalid"),
        (Operation::Capture { authorisation: "auth_0".to_owned(), amount: pounds(1) }, "no-such-authorisation"),
        (Operation::Void { authorisation: "auth_0".to_owned() }, "no-such-authorisation"),
        (Operation::Refund { capture: "cap_0".to_owned(), amount: pounds(1) }, "no-such-capture"),
    ] {
        assert_eq!(refused(&desk, &format!("{operation:?}"), &operation).1, code);
    }
}

/// Statuses of four calls under one key (0: no answer), and how often it was done.
fn met(method: &str) -> ([u16; 4], u32) {
    let desk = desk();
    let statuses = [(); 4].map(|()| ask(&desk, "a", &authorise(method, 100)).status().unwrap_or_default());
    (statuses, desk.look(|book| book.keys()["a"].done))
}

#[test]
fn it_behaves_as_the_table_says() {
    for (behaviour, statuses, done) in [
        (Behaviour::Approved, [201; 4], 1),
        (Behaviour::Declined, [402; 4], 0),
        (Behaviour::Slow, [201; 4], 1),
        (Behaviour::Fails, [500; 4], 0),
        (Behaviour::FailsTwice, [500, 500, 201, 201], 1),
        (Behaviour::Unknown, [500, 500, 201, 201], 1),
        (Behaviour::Lost, [500; 4], 1),
        (Behaviour::Hangs, [0; 4], 1),
        (Behaviour::HangsOnce, [0, 201, 201, 201], 1),
        (Behaviour::HangsBefore, [0, 201, 201, 201], 1),
        (Behaviour::Garbled, [0, 201, 201, 201], 1),
        (Behaviour::Busy, [429, 201, 201, 201], 1),
        (Behaviour::Away, [503, 201, 201, 201], 1),
        (Behaviour::Forgetful, [201; 4], 4),
    ] {
        assert_eq!(met(&format!("pm_{}", behaviour.name())), (statuses, done), "{behaviour:?}");
    }
}

#[test]
fn what_fails_before_it_is_done_is_not_in_the_book_and_what_fails_after_is() {
    for (method, done) in [("pm_fails_twice", 0), ("pm_unknown", 1), ("pm_hangs_before", 0), ("pm_hangs_once", 1)] {
        let desk = desk();
        ask(&desk, "a", &authorise(method, 100));
        assert_eq!(desk.look(|book| book.authorisations().len()), done, "{method}");
    }
}

#[test]
fn a_method_makes_trouble_where_it_says_so() {
    let desk = desk();
    let authorisation = done(&desk, "auth", &authorise("pm_capture_declined", 100));
    let capture = Operation::Capture { authorisation: authorisation.clone(), amount: pounds(100) };
    assert_eq!(refused(&desk, "cap", &capture), (402, "card-declined".to_owned()));
    done(&desk, "void", &Operation::Void { authorisation });

    let authorisation = done(&desk, "auth-2", &authorise("pm_refund_fails", 100));
    let capture = done(&desk, "cap-2", &Operation::Capture { authorisation, amount: pounds(100) });
    let refund = Operation::Refund { capture, amount: pounds(1) };
    assert_eq!(ask(&desk, "ref-2", &refund).answer, Answer::Failed);
    assert_eq!(Behaviour::of_method("pm_slow", &refund), None);
}

#[test]
fn chance_falls_the_same_each_time_and_about_as_often_as_it_should() {
    let operation = authorise("pm_card", 100);
    let of = |key: &str| Behaviour::by_chance(key, &operation, 20, 30);
    let all: Vec<_> = (0..2_000).map(|number| of(&format!("key-{number}"))).collect();
    let share = |wanted: Behaviour| all.iter().filter(|behaviour| **behaviour == wanted).count();
    assert!((300..500).contains(&share(Behaviour::Declined)), "{}", share(Behaviour::Declined));
    for failing in [Behaviour::FailsTwice, Behaviour::Unknown] {
        assert!((160..320).contains(&share(failing)), "{failing:?}: {}", share(failing));
    }
    assert_eq!(of("key-7"), of("key-7"));
    let capture = Operation::Void { authorisation: "auth_0".to_owned() };
    assert!((0..100).all(|number| Behaviour::by_chance(&number.to_string(), &capture, 100, 0) == Behaviour::Approved));
}
