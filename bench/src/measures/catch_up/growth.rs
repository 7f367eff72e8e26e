//! What is slower, and larger, when there is fifty or a hundred times as much.

use super::{
    catch_up, make,
    topic::{Life, Made},
};
use crate::{
    measure::{Figure, Goal, Measure},
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

/// A small topic is caught up on in less than a second, in which chance is large: each turn does so as many times, and their
/// median counts.
const SMALL_TURNS: usize = 5;

/// `growth_catch_up`, `growth_memory`
pub(crate) async fn growth(scale: &Scale) -> anyhow::Result<Vec<Measure>> {
    let mut little = Side::new(LITTLE, SMALL_TURNS).await?;
    let mut small = Side::new(SMALL, SMALL_TURNS).await?;
    let mut large = Side::new(LARGE, 1).await?;
    for _ in 0..scale.repetitions {
        for side in [&mut large, &mut small, &mut little] {
            side.turn().await?;
        }
    }
    Ok(vec![
        Measure::alone(
            "growth_catch_up",
            "µs/event",
            "the projector from an empty Redis, 5·10⁶ events, four an order",
            large.each,
        )
        .against("the same, 10⁵ events: the median of 5 in each turn", small.each)
        .goal(GOAL),
        Measure::alone("growth_memory", "MB", "resident memory of the projector at rest, after 1.25·10⁶ views", large.resident)
            .against("after 10⁴ views: the median of 5 in each turn", little.resident)
            .goal(GOAL),
    ])
}

/// A topic of one size, with a Redis of its own.
struct Side {
    system: System,
    made: Made,
    /// Catch-ups of one turn.
    turns: usize,
    /// All so far.
    done: usize,
    /// Microseconds an event, by turn.
    each: Vec<f64>,
    /// MB, by turn.
    resident: Vec<f64>,
}

impl Side {
    async fn new(events: usize, turns: usize) -> anyhow::Result<Self> {
        let system = System::new().await?;
        let made = make(&system, events, Life::Whole).await?;
        Ok(Self { system, made, turns, done: 0, each: Vec::new(), resident: Vec::new() })
    }

    async fn turn(&mut self) -> anyhow::Result<()> {
        let (mut each, mut resident) = (Vec::new(), Vec::new());
        for _ in 0..self.turns {
            let one = catch_up(&self.system, &self.made, self.done).await?;
            self.done += 1;
            each.push(1e6 / one.rate);
            resident.push(one.resident);
        }
        // What is kept until the next turn would stand in the way of the others.
        self.system.redis.flush().await;
        self.each.push(Figure::from(each).median);
        self.resident.push(Figure::from(resident).median);
        Ok(())
    }
}
