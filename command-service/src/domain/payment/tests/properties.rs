//! Random lives of a payment.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::domain::tests::{play, scramble};

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(succeeded()),
        1 => Just(Answer::Succeeded(reference("P-2"))),
        2 => Just(failed()),
    ]
}

fn amount() -> impl Strategy<Value = Money> {
    let currency = prop_oneof![19 => Just(Currency::GBP), 1 => Just(Currency::EUR)];
    (0..700_u64, currency).prop_map(|(amount, currency)| Money { currency, ..pence(amount) })
}

fn command() -> impl Strategy<Value = Command> {
    // Few ids, so that they are repeated.
    let id = || 0..4_u128;
    prop_oneof![
        6 => id().prop_map(request),
        1 => (id(), amount()).prop_map(|(id, amount)| Command::Request(Request { amount, ..asked(id) })),
        6 => (id(), answer()).prop_map(|(id, answer)| answer_attempt(id, answer)),
        6 => (id(), amount()).prop_map(|(id, amount)| take(id, amount)),
        6 => (id(), answer()).prop_map(|(id, answer)| answer_capture(id, answer)),
        1 => id().prop_map(give_back),
        1 => (id(), answer()).prop_map(|(id, answer)| answer_void(id, answer)),
        6 => (id(), amount()).prop_map(|(id, amount)| pay_back(id, amount)),
        6 => (id(), answer()).prop_map(|(id, answer)| answer_refund(id, answer)),
        1 => proptest::bool::weighted(0.1).prop_map(|end| if end { Command::Expire } else { request(0) }),
    ]
}

/// The payment by its simplest account: what was taken and paid back, and what may have been.
#[derive(Debug, Default)]
struct Books {
    currency: Option<Currency>,
    authorised: u64,
    captured: u64,
    refunded: u64,
    /// Steps without an answer, with their amounts.
    open: BTreeMap<(&'static str, Uuid), u64>,
    /// Every step that was ever asked for.
    asked: BTreeSet<(&'static str, Uuid)>,
    /// Nothing more can be captured.
    ended: bool,
}

impl Books {
    fn ask(&mut self, kind: &'static str, id: Uuid, amount: u64) {
        assert!(self.asked.insert((kind, id)), "{kind} {id} is asked for twice");
        self.open.insert((kind, id), amount);
    }

    fn answered(&mut self, kind: &'static str, id: Uuid) -> u64 {
        self.open.remove(&(kind, id)).unwrap_or_else(|| panic!("{kind} {id} is answered and was not open"))
    }

    fn open_of(&self, kind: &str) -> u64 {
        self.open.iter().filter(|((of, _), _)| *of == kind).map(|(_, amount)| amount).sum()
    }

    fn forget(&mut self, kind: &str) {
        self.open.retain(|(of, _), _| *of != kind);
    }

    fn minor(&mut self, amount: Money) -> u64 {
        assert_eq!(*self.currency.get_or_insert(amount.currency), amount.currency, "a payment has one currency");
        amount.minor.get()
    }

    fn enter(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Requested(asked) => {
                let amount = self.minor(asked.amount);
                self.ask("attempt", asked.attempt_id.0, amount);
            }
            PaymentEvent::Authorised(done) => {
                assert_eq!(self.authorised, 0, "a payment is authorised once");
                self.authorised = self.answered("attempt", done.attempt_id.0);
                assert_eq!(self.minor(done.amount), self.authorised);
            }
            PaymentEvent::Declined(declined) => {
                self.answered("attempt", declined.attempt_id.0);
                self.forget("void");
            }
            PaymentEvent::Expired(_) => {
                self.forget("attempt");
                self.forget("void");
                self.ended = true;
            }
            PaymentEvent::CaptureRequested(asked) => {
                assert!(!self.ended && self.open_of("void") == 0, "nothing is captured of what is given back");
                let amount = self.minor(asked.amount);
                self.ask("capture", asked.capture_id.0, amount);
            }
            PaymentEvent::Captured(done) => self.captured += self.answered("capture", done.capture_id.0),
            PaymentEvent::CaptureFailed(failed) => {
                self.answered("capture", failed.capture_id.0);
            }
            PaymentEvent::VoidRequested(asked) => {
                assert_eq!(self.open_of("capture"), 0, "nothing is given back that may be captured at this moment");
                self.ask("void", asked.void_id.0, 1);
            }
            PaymentEvent::Voided(done) => {
                self.answered("void", done.void_id.0);
                self.forget("attempt");
                self.ended = true;
            }
            PaymentEvent::VoidFailed(failed) => {
                self.answered("void", failed.void_id.0);
            }
            PaymentEvent::RefundRequested(asked) => {
                let amount = self.minor(asked.amount);
                self.ask("refund", asked.refund_id.0, amount);
            }
            PaymentEvent::Refunded(done) => self.refunded += self.answered("refund", done.refund_id.0),
            PaymentEvent::RefundFailed(failed) => {
                self.answered("refund", failed.refund_id.0);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_more_is_captured_than_authorised_nor_refunded_than_captured_whatever_is_unknown(
        commands in vec(command(), 1..120), order in vec(any::<Index>(), 0..40),
    ) {
        let history = play::<Payment>(&commands, |payment, history| {
            let mut books = Books::default();
            for event in history {
                books.enter(event);
                prop_assert!(books.captured + books.open_of("capture") <= books.authorised, "{:?}", books);
                prop_assert!(books.refunded + books.open_of("refund") <= books.captured, "{:?}", books);
            }
            let Some(account) = payment.account() else {
                prop_assert!(history.is_empty());
                return Ok(());
            };
            prop_assert_eq!(account.attempts.succeeded(), books.authorised);
            prop_assert_eq!(account.captures.succeeded(), books.captured);
            prop_assert_eq!(account.captures.unknown(), books.open_of("capture"));
            prop_assert_eq!(account.refunds.succeeded(), books.refunded);
            prop_assert_eq!(account.refunds.unknown(), books.open_of("refund"));
            prop_assert_eq!(account.voids.has_open(), books.open_of("void") > 0);
            Ok(())
        })?;
        scramble::<Payment>(&history, &order, &commands);
    }
}
