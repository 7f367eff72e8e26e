//! Whatever happens in whatever order, a saga keeps its books.

use proptest::prelude::*;

use super::{
    super::{Effect, Input, OrderState, Outcome, Payment, Saga, Stage, Step, StockState, react},
    LANTERN, ORDER, TEAPOT, cancelled, placed, reason, returned, shipped,
};

/// The world as it really is, beside what a saga believes.
#[derive(Debug, Default)]
struct World {
    reserved: Vec<events::ProductId>,
    committed: usize,
    set_aside: bool,
    taken: bool,
    paid_back: usize,
    taken_steps: Vec<Step>,
}

impl World {
    fn take(&mut self, step: Step) {
        // A step may be asked for again, never done again.
        if self.taken_steps.contains(&step) {
            return;
        }
        self.taken_steps.push(step);
        match step {
            Step::Reserve(product) => self.reserved.push(product),
            Step::Release(product) => self.reserved.retain(|reserved| *reserved != product),
            Step::Commit(product) => {
                self.reserved.retain(|reserved| *reserved != product);
                self.committed += 1;
            }
            Step::Authorise => self.set_aside = true,
            Step::Void => self.set_aside = false,
            Step::Capture => {
                assert!(self.set_aside, "captured what was not authorised");
                self.taken = true;
            }
            Step::Refund(_) => {
                assert!(self.taken, "paid back what was not taken");
                self.paid_back += 1;
            }
            Step::Confirm | Step::Cancel => {}
        }
    }
}

fn what_happens() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..9_u8, 0..60)
}

/// What this number stands for, as far as it can happen now.
fn input(saga: &Saga, world: &mut World, number: u8) -> Option<Input> {
    let step = saga.under_way.as_ref().map(|under_way| under_way.step);
    Some(match number {
        0..=3 => {
            let step = step?;
            world.take(step);
            Input::Answered(step, Outcome::Done)
        }
        4 => match step? {
            step @ (Step::Reserve(_) | Step::Authorise | Step::Confirm) => Input::Answered(step, Outcome::Refused(reason("no"))),
            Step::Capture | Step::Commit(_) | Step::Refund(_) | Step::Void | Step::Release(_) | Step::Cancel => return None,
        },
        5 => Input::TimedOut,
        6 if matches!(saga.order, OrderState::Placed | OrderState::Confirmed) => cancelled(),
        7 if saga.order == OrderState::Confirmed && saga.ending.is_none() => shipped(),
        8 if saga.order == OrderState::Shipped => returned(u128::from(number), 100),
        _ => return None,
    })
}

proptest! {
    #[test]
    fn in_the_end_all_is_done_or_all_is_undone(numbers in what_happens()) {
        let mut world = World::default();
        let mut saga = react(Saga::begin(ORDER, &placed()).unwrap(), Input::Begun).0;
        for number in numbers {
            if let Some(input) = input(&saga, &mut world, number) {
                let (next, effects) = react(saga, input);
                let taken = effects.iter().filter(|effect| matches!(effect, Effect::Take(_))).count();
                prop_assert!(taken <= 1, "more than one step under way: {effects:?}");
                saga = next;
            }
        }
        while let Some(under_way) = saga.under_way.clone() {
            world.take(under_way.step);
            saga = react(saga, Input::Answered(under_way.step, Outcome::Done)).0;
        }
        match saga.stage() {
            Stage::Confirmed => {
                prop_assert_eq!(&world.reserved, &[LANTERN, TEAPOT]);
                prop_assert!(world.set_aside && !world.taken);
            }
            Stage::Fulfilled => {
                prop_assert!(world.reserved.is_empty() && world.committed == 2 && world.taken);
                prop_assert_eq!(world.paid_back, saga.refunded.len());
            }
            Stage::Cancelled => {
                prop_assert!(world.reserved.is_empty() && world.committed == 0);
                prop_assert!(!world.set_aside && !world.taken);
                prop_assert_eq!(saga.order, OrderState::Cancelled);
            }
            stage @ (Stage::Running | Stage::Ending | Stage::Stuck) => prop_assert!(false, "it stands still at {stage:?}: {saga:?}"),
        }
        let is_undone = saga.stock.values().all(|stock| matches!(stock.state, StockState::Wanted | StockState::Released));
        prop_assert_eq!(is_undone, saga.stage() == Stage::Cancelled);
        prop_assert!(saga.payment != Payment::None || saga.stage() == Stage::Cancelled);
    }

    #[test]
    fn a_saga_is_the_same_after_it_was_stored(numbers in what_happens()) {
        let mut world = World::default();
        let mut saga = react(Saga::begin(ORDER, &placed()).unwrap(), Input::Begun).0;
        for number in numbers {
            if let Some(input) = input(&saga, &mut world, number) {
                saga = react(saga, input).0;
            }
            let stored = serde_json::to_string(&saga).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Saga>(&stored).unwrap(), &saga);
        }
    }
}
