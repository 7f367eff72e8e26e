//! What no view puts into a list, or among the owners of unique values, is taken out here, where nothing else moves the slot.

use std::time::Instant;

use super::{Interrupted, Worker};
use crate::{
    application::{
        audit::{
            divergent,
            examine::{Kind, Sides},
            orphans::Orphan,
        },
        changes::Changes,
    },
    outbound::redis::parts::Held,
    projections::Projection,
};

impl<P: Projection> Worker<P> {
    /// Looks again at what may be an orphan, and takes just that out. What can't be asked now is left to the next time.
    pub(super) async fn try_orphan(&mut self, orphan: Orphan) -> Result<(), Interrupted> {
        let shared = &self.shared;
        let sides = Sides { commands: &shared.commands, store: &shared.store, context: self.context, slot: &self.slot };
        match orphan.is_there::<P>(sides).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                tracing::warn!(parent: &self.span, stream.id = %orphan.stream, %error, "an orphan can't be looked at");
                return Ok(());
            }
        }
        if !self.shared.brake.admits(Instant::now()) {
            divergent(self.context, Kind::Orphan, 1);
            return Ok(());
        }
        let (stream, described) = (orphan.stream, orphan.described(self.partition));
        // Counters are recounted by this list.
        let is_counted_by = matches!(&orphan.held, Held::Entry { list, .. } if P::COUNTED_BY == Some(list.as_str()));
        let changes = Changes { orphans: vec![orphan], ..self.nothing(self.offset, self.goal) };
        self.write(changes, Vec::new()).await?;
        divergent(self.context, Kind::Orphan, 1);
        tracing::error!(parent: &self.span, stream.id = %stream, kind = Kind::Orphan.name(), described, "an orphan: taken out");
        if is_counted_by {
            self.recounting.suspect();
        }
        Ok(())
    }
}
