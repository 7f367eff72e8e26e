//! Random lives of an order.

use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::*;
use crate::domain::{
    order::Terms,
    tests::{play, scramble},
};

fn new_line() -> impl Strategy<Value = NewLine> {
    let currency = || prop_oneof![19 => Just(Currency::GBP), 1 => Just(Currency::EUR)];
    let amount = prop_oneof![9 => 0..1_000_u64, 1 => 0..=events::money::MAX_MINOR];
    let quote =
        (any::<u64>(), amount, currency(), proptest::bool::weighted(0.95)).prop_map(|(version, amount, currency, orderable)| {
            ProductQuote { version, price: Money { minor: minor(amount), currency }, orderable }
        });
    let negotiated = (0..1_000_u64, currency()).prop_map(|(amount, currency)| Money { minor: minor(amount), currency });
    (0..3_u128, 1..5_u32, option::weighted(0.98, quote), option::weighted(0.2, negotiated)).prop_map(
        |(product, quantity, quote, negotiated)| NewLine {
            product_id: ProductId(Uuid::from_u128(product)),
            quantity: pieces(quantity),
            quote,
            negotiated,
        },
    )
}

fn place() -> impl Strategy<Value = Command> {
    let standing = prop_oneof![8 => Just(Standing::Active), 1 => Just(Standing::Deactivated), 1 => Just(Standing::Unknown)];
    let customer = prop_oneof![Just(Customer::Guest), standing.prop_map(|standing| Customer::User { id: ANN, standing })];
    let fulfilment = prop_oneof![Just(Fulfilment::Managed), Just(Fulfilment::External)];
    (customer, fulfilment, option::weighted(0.2, Just(Currency::GBP)), vec(new_line(), 0..4)).prop_map(
        |(customer, fulfilment, currency, lines)| {
            Command::Place(PlaceOrder { customer, fulfilment, currency, lines, payment_method: None })
        },
    )
}

fn take_back() -> impl Strategy<Value = Command> {
    // Few ids, so that they are repeated; line 0 does not exist.
    (0..8_u128, vec((0..4_u16, 1..5_u32), 0..3)).prop_map(|(id, lines)| Command::Return(return_of(id, &lines)))
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => place(),
        3 => Just(Command::Confirm),
        1 => proptest::bool::weighted(0.3).prop_map(|end| if end { cancel() } else { Command::Confirm }),
        3 => Just(ship()),
        3 => Just(Command::Deliver),
        9 => take_back(),
    ]
}

fn sum(amounts: impl Iterator<Item = u128>) -> u128 {
    amounts.sum()
}

fn adds_up(terms: &Terms) -> Result<(), TestCaseError> {
    let total = sum(terms.lines.iter().map(|line| u128::from(line.unit_price.get()) * u128::from(line.quantity.get())));
    prop_assert_eq!(u128::from(terms.total.get()), total);
    prop_assert!(!terms.lines.is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn totals_add_up_and_no_more_is_refunded_than_was_paid(
        commands in vec(command(), 1..80), order in vec(any::<Index>(), 0..40),
    ) {
        let history = play::<Order>(&commands, |order, history| {
            let Some(terms) = order.terms() else {
                prop_assert!(history.is_empty());
                return Ok(());
            };
            adds_up(terms)?;
            let (Order::Delivered(delivery) | Order::Returned(delivery)) = order else {
                return Ok(());
            };
            let lines = || terms.lines.iter().zip(&delivery.returned);
            prop_assert_eq!(delivery.returned.len(), terms.lines.len());
            prop_assert!(lines().all(|(line, returned)| *returned <= line.quantity.get()));
            let refunded = sum(lines().map(|(line, returned)| u128::from(line.unit_price.get()) * u128::from(*returned)));
            prop_assert_eq!(u128::from(delivery.refunded.get()), refunded);
            prop_assert!(delivery.refunded <= terms.total);
            let complete = lines().all(|(line, returned)| *returned == line.quantity.get());
            prop_assert_eq!(matches!(order, Order::Returned(_)), complete);
            let returns = history.iter().filter(|event| matches!(event, OrderEvent::Returned(_))).count();
            prop_assert_eq!(delivery.return_ids.len(), returns);
            Ok(())
        })?;
        scramble::<Order>(&history, &order, &commands);
    }

    #[test]
    fn an_order_takes_each_step_once_and_in_order(commands in vec(command(), 1..80)) {
        let history = play::<Order>(&commands, |_, _| Ok(()))?;
        let steps: Vec<_> = history.iter().map(|event| match event {
            OrderEvent::Placed(_) => 0,
            OrderEvent::Confirmed(_) => 1,
            OrderEvent::Shipped(_) => 2,
            OrderEvent::Delivered(_) => 3,
            OrderEvent::Returned(_) => 4,
            OrderEvent::Cancelled(_) => 9,
        }).collect();
        for (step, next) in steps.iter().zip(steps.iter().skip(1)) {
            prop_assert!(*next == step + 1 || (*step, *next) == (4, 4) || (*step < 2 && *next == 9), "{:?}", steps);
        }
        prop_assert!(steps.first().is_none_or(|first| *first == 0));
    }
}
