//! What a saga makes of what it hears.

use events::{Money, OrderEvent, text::Reason};

use super::{Ending, OrderState, Payment, Saga, Step, StockState, UnderWay};

/// What a saga hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its order was placed, and nothing has been done yet.
    Begun,
    /// What happened to the order afterwards, in the order's own sequence.
    Order(OrderEvent),
    /// What became of a step.
    Answered(Step, Outcome),
    /// The time for an authorisation is over.
    TimedOut,
    /// An operator wants the step that is stuck, or has no answer, to be taken again.
    Retry,
    /// An operator has seen to it that the step under way is done.
    Skip,
    /// An operator has seen to it that the step under way is not done, and wants the order to be cancelled.
    Abort(Reason),
}

/// What became of a step. While that is unknown, there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, now or earlier.
    Done,
    /// It is not done, and never will be.
    Refused(Reason),
}

/// What is to be done after a saga has heard something, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Take this step, until there is an outcome.
    Take(Step),
    /// Say in time that the time for an authorisation is over.
    StartTimer,
    /// Never mind.
    StopTimer,
}

/// The saga after it has heard this, and what is to be done now. What comes late or twice changes nothing.
#[must_use]
pub fn react(mut saga: Saga, input: Input) -> (Saga, Vec<Effect>) {
    let was_waiting = saga.waits_for_payment();
    let is_new = input == Input::Begun;
    let mut effects = Vec::new();
    match input {
        Input::Begun => effects.push(Effect::StartTimer),
        Input::Order(event) => saga.hear(&event),
        Input::Answered(step, outcome) => {
            // The answer of a step that an operator has decided on meanwhile is none.
            if saga.under_way.as_ref().is_some_and(|under_way| under_way.step == step) {
                saga.settle(step, outcome);
            }
        }
        Input::TimedOut if saga.waits_for_payment() => saga.end(Ending::TimedOut),
        Input::TimedOut => {}
        Input::Retry => effects.extend(saga.retry()),
        Input::Skip => {
            if let Some(UnderWay { step, .. }) = saga.under_way {
                saga.settle(step, Outcome::Done);
            }
        }
        Input::Abort(reason) if saga.order != OrderState::Shipped => {
            saga.under_way = None;
            saga.end(Ending::Aborted { reason });
        }
        Input::Abort(_) => {}
    }
    if !is_new && was_waiting && !saga.waits_for_payment() {
        effects.push(Effect::StopTimer);
    }
    if let Some(step) = saga.next() {
        saga.under_way = Some(UnderWay { step, refused: None });
        effects.push(Effect::Take(step));
    }
    (saga, effects)
}

impl Saga {
    fn waits_for_payment(&self) -> bool {
        self.payment == Payment::None && self.ending.is_none()
    }

    fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    fn hear(&mut self, event: &OrderEvent) {
        match event {
            // A saga begins with it.
            OrderEvent::Placed(_) => {}
            OrderEvent::Confirmed(_) => self.order = OrderState::Confirmed,
            OrderEvent::Cancelled(_) => {
                self.order = OrderState::Cancelled;
                self.end(Ending::Cancelled);
            }
            OrderEvent::Shipped(_) | OrderEvent::Delivered(_) => self.order = OrderState::Shipped,
            OrderEvent::Returned(returned) => {
                if !self.refunded.contains(&returned.return_id) {
                    let refund = Money { minor: returned.refund, currency: self.total.currency };
                    self.refunds.insert(returned.return_id, refund);
                }
            }
        }
    }

    fn settle(&mut self, step: Step, outcome: Outcome) {
        let reason = match outcome {
            Outcome::Done => {
                self.under_way = None;
                return self.done(step);
            }
            Outcome::Refused(reason) => reason,
        };
        let ending = match step {
            Step::Reserve(product_id) => Ending::OutOfStock { product_id, reason },
            Step::Authorise => Ending::Declined { reason },
            Step::Confirm => Ending::Unconfirmed { reason },
            // Goods have left, or something does not want to be undone: no rule can say what is right then.
            Step::Capture | Step::Commit(_) | Step::Refund(_) | Step::Void | Step::Release(_) | Step::Cancel => {
                self.under_way = Some(UnderWay { step, refused: Some(reason) });
                return;
            }
        };
        self.under_way = None;
        self.end(ending);
    }

    fn done(&mut self, step: Step) {
        match step {
            Step::Reserve(product) => self.stock_is(product, StockState::Reserved),
            Step::Authorise => self.payment = Payment::Authorised,
            // Its event may have come first, and others after it.
            Step::Confirm if self.order == OrderState::Placed => self.order = OrderState::Confirmed,
            Step::Confirm => {}
            Step::Capture => self.payment = Payment::Captured,
            Step::Commit(product) => self.stock_is(product, StockState::Committed),
            Step::Refund(returned) => {
                self.refunds.remove(&returned);
                self.refunded.insert(returned);
            }
            Step::Void => self.payment = Payment::Voided,
            Step::Release(product) => self.stock_is(product, StockState::Released),
            Step::Cancel => self.order = OrderState::Cancelled,
        }
    }

    fn stock_is(&mut self, product: events::ProductId, state: StockState) {
        if let Some(stock) = self.stock.get_mut(&product) {
            stock.state = state;
        }
    }

    /// Takes a stuck step again. One that has no answer yet is repeated by whoever takes it.
    fn retry(&mut self) -> Option<Effect> {
        let under_way = self.under_way.as_mut()?;
        under_way.refused = None;
        Some(Effect::Take(under_way.step))
    }
}
