//! Steps of one kind: what was asked for under which id, and how it ended.

use std::collections::BTreeMap;

use events::{MinorUnits, text::ProviderReference};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Answer, PaymentError, StepKind};

/// The most steps of one kind that a payment takes, so that its state stays bounded.
pub const MAX_STEPS: usize = 1_000;

/// Steps of one kind, by id. All are kept: an id that comes again is known, however late it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Steps(BTreeMap<Uuid, Step>);

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How much it is about, in the payment's currency.
    pub amount: MinorUnits,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nobody knows yet.
    Unknown,
    /// It is done; the provider calls it so.
    Succeeded(ProviderReference),
    /// It is not done.
    Failed,
}

impl Steps {
    /// The step with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Step> {
        self.0.get(&id)
    }

    /// What the steps of which nobody knows the outcome add up to, in minor units.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.sum(|outcome| matches!(outcome, Outcome::Unknown))
    }

    /// What the steps that are done add up to, in minor units.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.sum(|outcome| matches!(outcome, Outcome::Succeeded(_)))
    }

    /// Whether the outcome of any step is unknown.
    #[must_use]
    pub fn has_open(&self) -> bool {
        self.0.values().any(|step| step.outcome == Outcome::Unknown)
    }

    fn sum(&self, counts: impl Fn(&Outcome) -> bool) -> u64 {
        let counted = self.0.values().filter(|step| counts(&step.outcome));
        // `decide` keeps the sum below an amount of money; events that never were may add up to anything.
        counted.fold(0, |sum, step| sum.saturating_add(step.amount.get()))
    }

    /// Whether the step was asked for before; refuses an id that was used for another amount.
    pub(super) fn repeats(&self, kind: StepKind, id: Uuid, amount: MinorUnits) -> Result<bool, PaymentError> {
        match self.get(id) {
            None => Ok(false),
            Some(step) if step.amount == amount => Ok(true),
            Some(step) => Err(PaymentError::StepIdReused { kind, amount: step.amount.get() }),
        }
    }

    /// Refuses one step more than are kept.
    pub(super) fn check_room(&self, kind: StepKind) -> Result<(), PaymentError> {
        if self.0.len() < MAX_STEPS { Ok(()) } else { Err(PaymentError::TooManySteps { kind }) }
    }

    /// The amount of the step that the answer ends; none when the same answer was recorded before.
    pub(super) fn unanswered(&self, kind: StepKind, id: Uuid, answer: &Answer) -> Result<Option<MinorUnits>, PaymentError> {
        let step = self.get(id).ok_or(PaymentError::StepNotFound { kind })?;
        match (&step.outcome, answer) {
            (Outcome::Unknown, Answer::Succeeded(_) | Answer::Failed(_)) => Ok(Some(step.amount)),
            (Outcome::Succeeded(known), Answer::Succeeded(reference)) if known == reference => Ok(None),
            (Outcome::Failed, Answer::Failed(_)) => Ok(None),
            (Outcome::Succeeded(_), Answer::Succeeded(_) | Answer::Failed(_)) | (Outcome::Failed, Answer::Succeeded(_)) => {
                Err(PaymentError::AnsweredOtherwise { kind })
            }
        }
    }

    pub(super) fn ask(&mut self, id: Uuid, amount: MinorUnits) {
        self.0.insert(id, Step { amount, outcome: Outcome::Unknown });
    }

    pub(super) fn succeed(&mut self, id: Uuid, reference: &ProviderReference) {
        if let Some(step) = self.0.get_mut(&id) {
            step.outcome = Outcome::Succeeded(reference.clone());
        }
    }

    pub(super) fn fail(&mut self, id: Uuid) {
        if let Some(step) = self.0.get_mut(&id) {
            step.outcome = Outcome::Failed;
        }
    }

    /// What has no answer yet is pointless now.
    pub(super) fn fail_open(&mut self) {
        for step in self.0.values_mut().filter(|step| step.outcome == Outcome::Unknown) {
            step.outcome = Outcome::Failed;
        }
    }
}
