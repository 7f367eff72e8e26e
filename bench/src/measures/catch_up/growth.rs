//! What is slower, and larger, when there is fifty or a hundred times as much.

use super::{CaughtUp, catch_up, make, topic::Life};
use crate::{
    measure::{Goal, Measure},
    scale::Scale,
    system::System,
};

/// Events of the large topic, four an order.
const LARGE: usize = 5_000_000;
/// Events of the one that its rate is compared with.
const SMALL: usize = 100_000;
/// Events of the one that its memory is compared with: 10,000 views.
const LITTLE: usize = 40_000;
/// What both may differ by.
const GOAL: Goal = Goal::RatioAtMost(1.15);

/// With the large topic each takes most of a minute.
const REPETITIONS: usize = 3;

/// `growth_catch_up`, `growth_memory`
pub(crate) async fn growth(_: &Scale) -> anyhow::Result<Vec<Measure>> {
    let (little, small, large) = (repeated(LITTLE).await?, repeated(SMALL).await?, repeated(LARGE).await?);
    let each = |caught_up: &[CaughtUp]| caught_up.iter().map(|one| 1e6 / one.rate).collect();
    let resident = |caught_up: &[CaughtUp]| caught_up.iter().map(|one| one.resident).collect();
    Ok(vec![
        Measure::alone(
            "growth_catch_up",
            "µs/event",
            "the projector from an empty Redis, 5·10⁶ events, four an order",
            each(&large),
        )
        .against("the same, 10⁵ events", each(&small))
        .goal(GOAL),
        Measure::alone("growth_memory", "MB", "resident memory of the projector at rest, after 1.25·10⁶ views", resident(&large))
            .against("after 10⁴ views", resident(&little))
            .goal(GOAL),
    ])
}

async fn repeated(events: usize) -> anyhow::Result<Vec<CaughtUp>> {
    let system = System::new().await?;
    let made = make(&system, events, Life::Whole).await?;
    let mut caught_up = Vec::with_capacity(REPETITIONS);
    for repetition in 0..REPETITIONS {
        caught_up.push(catch_up(&system, &made, repetition).await?);
    }
    Ok(caught_up)
}
