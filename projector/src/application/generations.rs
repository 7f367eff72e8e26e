//! Which generations are fed, and how their pointers move. Pure: who calls it reads and writes them.

use read_model::{Building, Generation, Origin, Pointers, Previous};

use crate::outbound::redis::{Goal, generations::Position};

/// What a read model of this process has to be: built from so many partitions, by this version of the projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Partitions of the topic.
    pub partitions: u32,
    /// The version of the projection.
    pub projection: u32,
}

/// The generations of a context that this process feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feeds {
    /// The one that must not fall behind.
    pub first: Option<Generation>,
    /// Those that are fed as far as the first leaves room.
    pub aside: Vec<Generation>,
}

/// Why pointers can't be moved as an operator wants it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no read model yet.
    #[error("there is no read model yet")]
    NoLive,
    /// Nothing is being built.
    #[error("no generation is being built")]
    NoBuilding,
    /// There is no generation to go back to.
    #[error(
        "there is no previous generation to go back to: nothing was switched, or it was deleted, by an operator or because its \
         time was over (KEEP_PREVIOUS_HOURS)"
    )]
    NoPrevious,
    /// What is being built was begun with Kafka.
    #[error("generation {0} is being built from Kafka: give that up first")]
    FromKafka(u32),
    /// The generation to be read is not where the live one is.
    #[error("generation {0} has not caught up")]
    Behind(u32),
}

impl Shape {
    fn fits(self, generation: Generation) -> bool {
        generation.partitions == self.partitions && generation.projection == self.projection
    }

    fn generation(self, number: u32) -> Generation {
        Generation { number, partitions: self.partitions, projection: self.projection }
    }
}

/// What has to be fed.
#[must_use]
pub fn feeds(pointers: &Pointers, shape: Shape) -> Feeds {
    let building = pointers.building.as_ref().filter(|building| !building.paused).map(|building| building.generation);
    let previous = pointers.previous.as_ref().map(|previous| previous.generation);
    let mut fed = [pointers.live, building, previous].into_iter().flatten().filter(|generation| shape.fits(*generation));
    match fed.next() {
        // What is only kept is never worth more than what is read; but what is read by a newer projection this process can't
        // feed, and it may be here so that one can go back.
        Some(first) if Some(first) != previous || is_outdated(pointers, shape) => {
            Feeds { first: Some(first), aside: fed.collect() }
        }
        _ => Feeds::default(),
    }
}

/// Whether what is read was built by a newer projection.
fn is_outdated(pointers: &Pointers, shape: Shape) -> bool {
    pointers.live.is_some_and(|live| live.projection > shape.projection)
}

/// Why the live generation has to be replaced, if it has to: it was built by an older projection, or from other partitions.
#[must_use]
pub fn outgrown(pointers: &Pointers, shape: Shape) -> Option<String> {
    let live = pointers.live?;
    if is_outdated(pointers, shape) {
        // A newer process has replaced it already; this one is about to be replaced too.
        return None;
    }
    (!shape.fits(live)).then(|| {
        format!(
            "generation {} was built from {} partitions by projection version {}, and this is {} partitions and version {}",
            live.number, live.partitions, live.projection, shape.partitions, shape.projection
        )
    })
}

/// A new generation to be built, or the one that is being built, going on. `cause`: why, when no operator asks.
pub fn build(pointers: &Pointers, shape: Shape, cause: Option<String>, now: i64) -> Result<Pointers, Refusal> {
    let live = pointers.live.ok_or(Refusal::NoLive)?;
    let mut next = pointers.clone();
    match &mut next.building {
        Some(building) if shape.fits(building.generation) => {
            building.paused &= cause.is_some();
            // Whoever asks by hand decides by hand.
            building.cause = building.cause.take().filter(|_| cause.is_some());
        }
        _ => {
            let generation = shape.generation(pointers.next_number());
            if let Some(outgrown) = next.building.take() {
                next.drop_generation(outgrown.generation, now);
            }
            // With another number of partitions the first records of a stream lie where its later ones do not.
            let origin = if live.partitions == shape.partitions { Origin::Kafka } else { Origin::Store };
            next.building = Some(Building { generation, since: now, paused: false, cause, origin });
        }
    }
    Ok(next)
}

/// Has what [`build`] made of `pointers` begin with the event store. What goes on does so as it began.
pub fn from_store(pointers: &Pointers, mut next: Pointers) -> Result<Pointers, Refusal> {
    let begun = pointers.building.as_ref().map(|building| building.generation);
    let building = next.building.as_mut().ok_or(Refusal::NoBuilding)?;
    match building.origin {
        Origin::Store => {}
        Origin::Kafka if begun == Some(building.generation) => return Err(Refusal::FromKafka(building.generation.number)),
        Origin::Kafka => building.origin = Origin::Store,
    }
    Ok(next)
}

/// The build stands still.
pub fn pause(pointers: &Pointers) -> Result<Pointers, Refusal> {
    let mut next = pointers.clone();
    next.building.as_mut().ok_or(Refusal::NoBuilding)?.paused = true;
    Ok(next)
}

/// The build is given up.
pub fn abort(pointers: &Pointers, now: i64) -> Result<Pointers, Refusal> {
    let mut next = pointers.clone();
    let building = next.building.take().ok_or(Refusal::NoBuilding)?;
    next.drop_generation(building.generation, now);
    Ok(next)
}

/// The build is read from now on, and what was read is kept.
pub fn switch(pointers: &Pointers, now: i64) -> Result<Pointers, Refusal> {
    let mut next = pointers.clone();
    let building = next.building.take().ok_or(Refusal::NoBuilding)?;
    let live = next.live.replace(building.generation).ok_or(Refusal::NoLive)?;
    if let Some(older) = next.previous.replace(Previous { generation: live, since: now }) {
        next.drop_generation(older.generation, now);
    }
    Ok(next)
}

/// What was read is read again, and what is read is kept.
pub fn roll_back(pointers: &Pointers, now: i64) -> Result<Pointers, Refusal> {
    let mut next = pointers.clone();
    let previous = next.previous.take().ok_or(Refusal::NoPrevious)?;
    let live = next.live.replace(previous.generation).ok_or(Refusal::NoLive)?;
    next.previous = Some(Previous { generation: live, since: now });
    Ok(next)
}

/// What was read is given up.
pub fn finish(pointers: &Pointers, now: i64) -> Result<Pointers, Refusal> {
    let mut next = pointers.clone();
    let previous = next.previous.take().ok_or(Refusal::NoPrevious)?;
    next.drop_generation(previous.generation, now);
    Ok(next)
}

/// Whether every slot has everything that the log had.
#[must_use]
pub fn is_complete(positions: &[Option<Position>]) -> bool {
    positions.iter().all(|position| position.as_ref().is_some_and(|position| position.goal == Goal::Reached))
}

/// Whether a generation is complete, and no slot behind that of another one. With another number of partitions, or
/// offsets of another cluster, there is nothing to compare with.
#[must_use]
pub fn has_caught_up(positions: &[Option<Position>], with: &[Option<Position>]) -> bool {
    let is_behind = |(one, other): (&Option<Position>, &Option<Position>)| match (one, other) {
        (Some(one), Some(other)) => one.cluster == other.cluster && one.offset < other.offset,
        _ => false,
    };
    is_complete(positions) && (positions.len() != with.len() || !positions.iter().zip(with).any(is_behind))
}

#[cfg(test)]
mod tests;
