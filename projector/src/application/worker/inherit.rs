//! What an operator has discarded in one generation is discarded in the others: whoever asks talks to the one that is read,
//! and a build that parked the same again would trouble everybody with it anew when it takes over.

use events::StreamId;
use read_model::keys::Parked;

use super::{Interrupted, Worker};
use crate::projections::Projection;

impl<P: Projection> Worker<P> {
    /// Marks what is parked here and was discarded, at the same version, in another generation. Costs one command as long as
    /// there is no other, and nothing as long as nothing is parked.
    pub(super) async fn inherit(&mut self) -> Result<(), Interrupted> {
        let open = self.parked.iter().filter(|(_, parked)| parked.is_open());
        let open: Vec<StreamId> = open.map(|(stream, _)| *stream).collect();
        if open.is_empty() {
            return Ok(());
        }
        // A Redis that is down is met by the next chunk, and the next look comes to the same.
        let found = self.shared.store.discarded_elsewhere(self.context, self.generation, &open).await;
        let mut changes = self.nothing(self.offset, self.goal);
        for (stream, there) in found.unwrap_or_default() {
            let ours = self.parked.get(&stream).filter(|ours| ours.version == there.version);
            changes.parked.extend(ours.map(|ours| (stream, Parked { discarded: there.discarded, ..ours.clone() })));
        }
        if changes.parked.is_empty() { Ok(()) } else { self.write(changes, Vec::new()).await }
    }
}
