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

/// `growth_catch_up`, `growth_memory`: one repetition, as it takes minutes.
pub(crate) async fn growth(_: &Scale) -> anyhow::Result<Vec<Measure>> {
    let (little, small, large) = (once(LITTLE).await?, once(SMALL).await?, once(LARGE).await?);
    let each = |caught_up: &CaughtUp| vec![1e6 / caught_up.rate];
    Ok(vec![
        Measure::alone(
            "growth_catch_up",
            "µs/event",
            "the projector from an empty Redis, 5·10⁶ events, four an order",
            each(&large),
        )
        .against("the same, 10⁵ events", each(&small))
        .goal(GOAL),
        Measure::alone("growth_memory", "MB", "resident memory of the projector after 1.25·10⁶ views", vec![large.resident])
            .against("after 10⁴ views", vec![little.resident])
            .goal(GOAL),
    ])
}

async fn once(events: usize) -> anyhow::Result<CaughtUp> {
    let system = System::new().await?;
    let made = make(&system, events, Life::Whole).await?;
    catch_up(&system, &made, 0).await
}
