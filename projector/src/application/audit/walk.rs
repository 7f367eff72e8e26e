//! Walking through the lists and hashes of owners of what is read, round and round: orphans are in no stream's history.

use std::collections::{HashMap, VecDeque};

use events::Context;
use read_model::{Generation, Slot};

use super::{
    examine::{ExamineError, Sides},
    orphans::{Orphan, Place, places},
};
use crate::{
    application::status::Partitions,
    outbound::{command_service::CommandService, redis::RedisStore},
    projections::projection_of,
};

/// Entries that one step looks at, about.
const ENTRIES: usize = 500;
/// Lists that one step looks at, at most: most are short.
const PLACES: usize = 50;

/// Where the walk is.
#[derive(Default)]
pub(super) struct Walk {
    /// Generations of this round that are still to be walked through.
    generations: VecDeque<(Context, Generation)>,
    /// Where the scan of the first of them goes on.
    cursor: u64,
    /// Places of the first of them.
    places: VecDeque<Place>,
    /// How far the first of those is.
    at: u64,
}

/// An orphan, and whose worker has to look at it.
pub(super) struct Found {
    pub(super) context: Context,
    pub(super) generation: Generation,
    pub(super) partition: u32,
    pub(super) orphan: Orphan,
}

impl Walk {
    /// Takes a step through the generations in `live`, as far as this process feeds them.
    pub(super) async fn step(
        &mut self,
        commands: &CommandService,
        store: &RedisStore,
        live: &HashMap<Context, Generation>,
        fed: &Partitions,
    ) -> Result<Vec<Found>, ExamineError> {
        if self.generations.is_empty() {
            self.generations.extend(live.iter().map(|(context, generation)| (*context, *generation)));
        }
        let Some((context, generation)) = self.generations.front().copied() else { return Ok(Vec::new()) };
        if live.get(&context) != Some(&generation) {
            self.leave();
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        if self.places.is_empty() {
            let scanned = store.scan_parts(context, generation, self.cursor).await?;
            self.cursor = scanned.cursor;
            self.places.extend(places(scanned).filter(|place| fed.get(context, place.partition).is_some()));
        }
        let mut looked = 0;
        for _ in 0..PLACES {
            let Some(place) = self.places.front() else { break };
            let (partition, slot) = (place.partition, Slot::new(store.prefix(), generation, context, place.partition));
            let sides = Sides { commands, store, context, slot: &slot };
            let step = projection_of!(context, P => place.step::<P>(sides, generation, self.at).await?);
            found.extend(step.orphans.into_iter().map(|orphan| Found { context, generation, partition, orphan }));
            self.at = step.cursor;
            if self.at == 0 {
                self.places.pop_front();
            }
            looked += step.looked;
            if looked >= ENTRIES {
                break;
            }
        }
        if self.places.is_empty() && self.cursor == 0 {
            self.leave();
        }
        Ok(found)
    }

    fn leave(&mut self) {
        self.generations.pop_front();
        self.places.clear();
        (self.cursor, self.at) = (0, 0);
    }
}
