//! What is measured, and how two sides are compared: turn by turn, so that whatever else the machine does hits both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::Outcome;

/// The repetitions of one side, in the measure's unit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Of the repetitions.
    pub(crate) median: f64,
    /// Of the repetitions.
    pub(crate) min: f64,
    /// Of the repetitions.
    pub(crate) max: f64,
    /// Each, in the order of the run.
    pub(crate) repetitions: Vec<f64>,
}

impl From<Vec<f64>> for Figure {
    fn from(repetitions: Vec<f64>) -> Self {
        let mut sorted = repetitions.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) };
        Self { median, min: at(0), max: at(sorted.len().saturating_sub(1)), repetitions }
    }
}

/// What a measure should reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// The ratio, ours to the reference's, is at least this.
    RatioAtLeast(f64),
    /// The ratio is at most this: for times.
    RatioAtMost(f64),
    /// Our own figure is at most this.
    AtMost(f64),
}

/// What is drawn: points of (offered, done, p99 in ms), by curve.
pub(crate) type Curves = BTreeMap<String, Vec<(f64, f64, f64)>>;

/// What a measurement gives.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Lines of the table.
    pub(crate) measures: Vec<Measure>,
    /// What is drawn beside it.
    pub(crate) curves: Curves,
}

impl From<Vec<Measure>> for Measured {
    fn from(measures: Vec<Measure>) -> Self {
        Self { measures, curves: Curves::new() }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// Its name, for ever.
    pub(crate) name: String,
    /// Of both figures.
    pub(crate) unit: String,
    /// What was done, on our side.
    pub(crate) what: String,
    /// Ours.
    pub(crate) ours: Figure,
    /// What it is compared with.
    pub(crate) against: Option<String>,
    /// Its figure.
    pub(crate) reference: Option<Figure>,
    /// The median of the ratios of neighbouring repetitions, ours to the reference's.
    pub(crate) ratio: Option<f64>,
    /// What it should be.
    pub(crate) goal: Option<Goal>,
    /// Percentiles, the generator's share of the CPU, and what else explains the figure.
    pub(crate) details: BTreeMap<String, f64>,
    /// What a reader must know to read it right.
    pub(crate) note: Option<String>,
}

impl Measure {
    /// A figure of ours that is compared with nothing.
    #[must_use]
    pub(crate) fn alone(name: &str, unit: &str, what: &str, ours: Vec<f64>) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            what: what.to_owned(),
            ours: ours.into(),
            against: None,
            reference: None,
            ratio: None,
            goal: None,
            details: BTreeMap::new(),
            note: None,
        }
    }

    /// Compares with a reference that was measured in turns with it.
    #[must_use]
    pub(crate) fn against(mut self, what: &str, reference: Vec<f64>) -> Self {
        let ratios = self.ours.repetitions.iter().zip(&reference).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>();
        self.ratio = Some(Figure::from(ratios).median);
        self.against = Some(what.to_owned());
        self.reference = Some(reference.into());
        self
    }

    /// Says what it should reach.
    #[must_use]
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Adds a detail.
    #[must_use]
    pub(crate) fn detail(mut self, name: &str, value: f64) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// Adds what one load tells beside its rate; `whose` tells the sides apart, and is left out for ours.
    #[must_use]
    pub(crate) fn details_of(self, whose: &str, outcome: Option<&Outcome>) -> Self {
        let Some(outcome) = outcome else { return self };
        let name = |detail: &str| if whose == "ours" { detail.to_owned() } else { format!("{whose}_{detail}") };
        self.detail(&name("p50_ms"), outcome.ms(50.0))
            .detail(&name("p99_ms"), outcome.ms(99.0))
            .detail(&name("generator_share"), outcome.generator)
    }

    /// Adds a remark.
    #[must_use]
    pub(crate) fn note(mut self, note: &str) -> Self {
        self.note = Some(note.to_owned());
        self
    }

    /// Whether it reaches its goal; none when it has none.
    #[must_use]
    pub(crate) fn reached(&self) -> Option<bool> {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        self.goal.map(|goal| match goal {
            Goal::RatioAtLeast(least) => ratio >= least,
            Goal::RatioAtMost(most) => ratio <= most,
            Goal::AtMost(most) => self.ours.median <= most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        let figure = Figure::from(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((figure.median, figure.min, figure.max), (2.5, 1.0, 4.0));
    }

    #[test]
    fn goals_look_the_right_way() {
        let measure = Measure::alone("rate", "1/s", "", vec![8.0, 10.0, 9.0]).against("peer", vec![4.0, 5.0, 4.5]);
        assert_eq!(measure.ratio, Some(2.0));
        assert_eq!(measure.clone().goal(Goal::RatioAtLeast(2.0)).reached(), Some(true));
        assert_eq!(measure.clone().goal(Goal::RatioAtLeast(2.1)).reached(), Some(false));
        assert_eq!(measure.clone().goal(Goal::RatioAtMost(1.9)).reached(), Some(false));
        assert_eq!(measure.goal(Goal::AtMost(8.9)).reached(), Some(false));
    }
}
