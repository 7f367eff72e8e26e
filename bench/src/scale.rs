//! How long and how much.

use std::time::Duration;

/// What a run may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Repetitions of each side, interleaved.
    pub(crate) repetitions: usize,
    /// What one repetition of a rate takes.
    pub(crate) duration: Duration,
    /// What comes before it and is not counted.
    pub(crate) warm_up: Duration,
    /// Events of a backlog that is drained.
    pub(crate) backlog: usize,
    /// Events that the projector catches up on.
    pub(crate) catch_up: usize,
    /// Whether `growth_*` is measured, which takes millions of events.
    pub(crate) growth: bool,
}

impl Scale {
    /// What is published.
    pub(crate) const FULL: Self = Self {
        repetitions: 5,
        duration: Duration::from_secs(6),
        warm_up: Duration::from_secs(2),
        backlog: 500_000,
        catch_up: 400_000,
        growth: true,
    };
    /// What tells in ten minutes whether something went wrong.
    pub(crate) const QUICK: Self = Self {
        repetitions: 3,
        duration: Duration::from_secs(3),
        warm_up: Duration::from_secs(1),
        backlog: 100_000,
        catch_up: 100_000,
        growth: false,
    };
}
