//! Lists and owners walked through: what no view has put there.

use read_model::{Generation, Slot};
use tokio::sync::mpsc;

use super::{ContextReport, Message, Progress, Verification, VerifyError, progress};
use crate::{
    application::audit::{
        examine::{Kind, Sides},
        orphans::places,
    },
    projections::Projection,
};

impl Verification {
    /// Looks for what lies in lists, and among owners, of streams that do not belong there.
    pub(super) async fn orphans<P: Projection>(
        &self,
        generation: Generation,
        report: &mut ContextReport,
        told: &mpsc::Sender<Message>,
    ) -> Result<(), VerifyError> {
        let (context, mut cursor) = (report.context, 0);
        loop {
            let scanned = self.store.scan_parts(context, generation, cursor).await?;
            cursor = scanned.cursor;
            for place in places(scanned) {
                let slot = Slot::new(self.store.prefix(), generation, context, place.partition);
                let sides = Sides { commands: &self.commands, store: &self.store, context, slot: &slot };
                let mut at = 0;
                loop {
                    let step = place.step::<P>(sides, generation, at).await?;
                    report.entries += u64::try_from(step.looked).unwrap_or(u64::MAX);
                    for orphan in step.orphans {
                        report.wrong_as(Kind::Orphan, orphan.stream, || orphan.described(place.partition));
                    }
                    at = step.cursor;
                    if at == 0 {
                        break;
                    }
                }
            }
            // How many there are is not known before: an order is in two lists at least, a product in one.
            let done = report.entries;
            progress(told, Progress { context, phase: "lists", done, of: done.max(report.streams) }).await?;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}
