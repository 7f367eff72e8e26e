//! Rebuilds as operators see and steer them. Any process can be asked: pointers and positions are in Redis, and those that
//! own the partitions follow them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::Utc;
use events::Context;
use read_model::{Building, Generation, Pointers, Previous};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    compare::Comparing,
    generations::{self, Refusal},
    shapes::Shapes,
};
use crate::outbound::redis::{Goal, RedisStore, RedisStoreError, generations::Position};

/// How long a switch waits for the moment in which no partition is behind.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// What an operator can do to a context's generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Build a new generation, or go on with it.
    Build,
    /// The same with the event store.
    BuildFromStore,
    /// Stand still.
    Pause,
    /// Give the build up.
    Abort,
    /// Read the new generation, and keep the old one.
    Switch,
    /// Read the old generation again.
    RollBack,
    /// Give the old generation up.
    Finish,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The generations are not such that it could be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This process does not know its topics yet.
    #[error("the projector has not begun yet")]
    NotBegun,
    /// Others moved the pointers, again and again.
    #[error("the generations are moved by others")]
    Contended,
    /// Redis has no answer.
    #[error(transparent)]
    Redis(#[from] RedisStoreError),
}

/// The generations of a context.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The context.
    pub context: Context,
    /// The one that is read.
    pub live: Option<Generation>,
    /// The one that is being built, and how far it is.
    pub building: Option<BuildStatus>,
    /// The one that was read before.
    pub previous: Option<PreviousStatus>,
    /// Those that are being deleted.
    pub dropped: Vec<u32>,
}

/// A build.
#[derive(Debug, Serialize)]
pub struct BuildStatus {
    /// What it was asked for with.
    #[serde(flatten)]
    pub building: Building,
    /// Log positions that it has read, or that what it has from the event store stands for.
    pub done: i64,
    /// Log positions between it and the live generation, or its own goal where there is nothing to compare with; none while
    /// some partition has not begun.
    pub to_do: Option<i64>,
    /// Whether it has all that the log had when it was begun.
    pub complete: bool,
    /// Whether it is also where the live generation is.
    pub caught_up: bool,
}

/// A generation that can be gone back to.
#[derive(Debug, Serialize)]
pub struct PreviousStatus {
    /// Which, and since when it is not read.
    #[serde(flatten)]
    pub previous: Previous,
    /// Whether it is where the live generation is.
    pub caught_up: bool,
}

/// Rebuilds. Cloning shares the adapter.
#[derive(Clone)]
pub struct Rebuilding {
    store: Arc<RedisStore>,
    shapes: Arc<OnceLock<Shapes>>,
}

impl Rebuilding {
    /// Rebuilds of these read models; nothing can be asked for before [`Self::begin`].
    #[must_use]
    pub fn new(store: Arc<RedisStore>) -> Self {
        Self { store, shapes: Arc::default() }
    }

    /// Says what the read models have to be.
    pub fn begin(&self, shapes: Shapes) {
        // Only the start does this.
        let _ = self.shapes.set(shapes);
    }

    /// The generations of every context.
    pub async fn statuses(&self) -> Result<Vec<Status>, RebuildError> {
        let mut statuses = Vec::new();
        let pointers = self.store.pointers().await?;
        for context in Context::ALL {
            statuses.push(self.status(context, pointers.get(&context).cloned().unwrap_or_default()).await?);
        }
        Ok(statuses)
    }

    /// Does what is asked, and says how things are then.
    pub async fn act(&self, context: Context, verb: Verb) -> Result<Status, RebuildError> {
        let shapes = self.shapes.get().ok_or(RebuildError::NotBegun)?;
        let deadline = Instant::now() + CATCH_UP;
        loop {
            let shape = shapes.get(context).ok_or(RebuildError::NotBegun)?;
            let pointers = self.pointers(context).await?;
            let now = Utc::now().timestamp_millis();
            let next = match verb {
                Verb::Build => generations::build(&pointers, shape, None, now),
                Verb::BuildFromStore => {
                    generations::build(&pointers, shape, None, now).and_then(|next| generations::from_store(&pointers, next))
                }
                Verb::Pause => generations::pause(&pointers),
                Verb::Abort => generations::abort(&pointers, now),
                Verb::Switch => generations::switch(&pointers, now),
                Verb::RollBack => generations::roll_back(&pointers, now),
                Verb::Finish => generations::finish(&pointers, now),
            }?;
            let is_ready = match (verb, next.live) {
                (Verb::Switch | Verb::RollBack, Some(live)) => {
                    self.is_level(context, live, &pointers).await.then_some(()).ok_or(Refusal::Behind(live.number))
                }
                _ => Ok(()),
            };
            if is_ready.is_ok() && (next == pointers || self.store.move_pointers(context, &pointers, &next).await?) {
                tracing::info!(%context, ?verb, from = ?pointers, to = ?next, "generations moved by an operator");
                return self.status(context, next).await;
            }
            if Instant::now() >= deadline {
                is_ready?;
                return Err(RebuildError::Contended);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The live generation and the one that is being built, to be compared.
    pub async fn comparing(&self, context: Context) -> Result<Comparing, RebuildError> {
        let pointers = self.pointers(context).await?;
        let live = pointers.live.ok_or(Refusal::NoLive)?;
        let new = pointers.building.ok_or(Refusal::NoBuilding)?.generation;
        Ok(Comparing::new(Arc::clone(&self.store), context, live, new))
    }

    async fn pointers(&self, context: Context) -> Result<Pointers, RebuildError> {
        Ok(self.store.pointers().await?.remove(&context).unwrap_or_default())
    }

    /// Whether a generation is where the live one is. The live one is looked at first, so at this moment it is not ahead by
    /// more than what it got in between.
    async fn is_level(&self, context: Context, generation: Generation, pointers: &Pointers) -> bool {
        let Some(live) = pointers.live else { return false };
        let Ok(ahead) = self.store.positions(context, live).await else { return false };
        let Ok(positions) = self.store.positions(context, generation).await else { return false };
        generations::has_caught_up(&positions, &ahead)
    }

    async fn status(&self, context: Context, pointers: Pointers) -> Result<Status, RebuildError> {
        let live = match pointers.live {
            Some(live) => self.store.positions(context, live).await?,
            None => Vec::new(),
        };
        let building = match pointers.building {
            Some(building) => {
                let positions = self.store.positions(context, building.generation).await?;
                Some(BuildStatus {
                    done: positions.iter().flatten().map(|position| position.done).sum(),
                    to_do: to_do(&positions, &live),
                    complete: generations::is_complete(&positions),
                    caught_up: generations::has_caught_up(&positions, &live),
                    building,
                })
            }
            None => None,
        };
        let previous = match pointers.previous {
            Some(previous) => {
                let positions = self.store.positions(context, previous.generation).await?;
                Some(PreviousStatus { previous, caught_up: generations::has_caught_up(&positions, &live) })
            }
            None => None,
        };
        Ok(Status { context, live: pointers.live, building, previous, dropped: pointers.dropped.into_keys().collect() })
    }
}

/// Log positions between a build and what is read; none while some partition has not begun.
pub(super) fn to_do(positions: &[Option<Position>], live: &[Option<Position>]) -> Option<i64> {
    let ahead = |index: usize| live.get(index).filter(|_| live.len() == positions.len()).and_then(Option::as_ref);
    let open = |(index, position): (usize, &Option<Position>)| {
        let position = position.as_ref()?;
        let goal = match position.goal {
            Goal::At(goal) => goal,
            Goal::Reached | Goal::Unsaid => 0,
        };
        let ahead = ahead(index).filter(|ahead| ahead.cluster == position.cluster).map_or(0, |ahead| ahead.offset);
        Some((goal.max(ahead) - position.done).max(0))
    };
    positions.iter().enumerate().map(open).sum()
}
