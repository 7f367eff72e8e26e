//! One lane of the event store folded, and compared with the views.

use std::collections::{HashMap, HashSet};

use events::{DomainEvent, RecordedEvent, StreamId};
use read_model::{Generation, Slot};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{ContextReport, Lacking, Message, PAGE, Progress, Verification, VerifyError, progress};
use crate::{
    application::{audit::examine::ExamineError, chunk::stored},
    projections::{KeyRing, Meta, Projection},
};

/// Views that are compared at a time.
const VIEWS: usize = 500;

/// The streams of a lane.
struct Lane<P: Projection> {
    views: HashMap<StreamId, Option<P::View>>,
    /// Those with an event that can't be read or applied, or that came without those before it.
    blocked: HashSet<StreamId>,
    keys: KeyRing,
}

impl Verification {
    /// Folds a lane and compares its views; gives the streams whose views lack something.
    pub(super) async fn lane<P: Projection>(
        &self,
        generation: Generation,
        lane: u16,
        of: u64,
        versions: &mut HashMap<StreamId, u64>,
        report: &mut ContextReport,
        told: &mpsc::Sender<Message>,
    ) -> Result<Vec<Lacking>, VerifyError> {
        let context = report.context;
        let mut folded = Lane::<P> { views: HashMap::new(), blocked: HashSet::new(), keys: KeyRing::default() };
        let mut after = 0;
        loop {
            let events = self.commands.feed(context, lane, after, PAGE).await?;
            self.fold(&mut folded, &events, versions).await?;
            let read = u64::try_from(events.len()).unwrap_or(u64::MAX);
            report.events += read;
            progress(told, Progress { context, phase: "store", done: report.events, of: of.max(report.events) }).await?;
            after = events.last().map_or(after, |event| event.seq);
            if events.len() < PAGE {
                break;
            }
        }
        self.compare(generation, folded, report).await
    }

    async fn fold<P: Projection>(
        &self,
        lane: &mut Lane<P>,
        events: &[RecordedEvent],
        versions: &mut HashMap<StreamId, u64>,
    ) -> Result<(), VerifyError> {
        let decoded: Vec<_> =
            events.iter().map(|event| P::Event::decode(&event.event_type, event.data.get().as_bytes())).collect();
        let mut wanted: Vec<Uuid> = Vec::new();
        for event in decoded.iter().flatten() {
            P::key_ids(event, &mut wanted);
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|id| !lane.keys.contains(*id));
        if !wanted.is_empty() {
            for (id, key) in self.commands.personal_keys(&wanted).await? {
                lane.keys.insert(id, key);
            }
        }
        for (recorded, event) in events.iter().zip(decoded) {
            let (stream, version) = (recorded.stream_id, recorded.version);
            let last = versions.entry(stream).or_default();
            let is_next = version == *last + 1;
            *last = version;
            let meta = Meta { stream, version, occurred_at: recorded.occurred_at };
            let view = lane.views.entry(stream).or_default();
            let applied = event.ok().filter(|_| is_next).map(|event| P::apply(view.take(), &event, &meta, &lane.keys));
            match applied {
                Some(Ok(next)) => *view = Some(next),
                Some(Err(_)) | None => {
                    lane.blocked.insert(stream);
                }
            }
        }
        Ok(())
    }

    async fn compare<P: Projection>(
        &self,
        generation: Generation,
        lane: Lane<P>,
        report: &mut ContextReport,
    ) -> Result<Vec<Lacking>, VerifyError> {
        let prefix = self.store.prefix();
        let (mut slots, mut doubtful) = (HashMap::<Slot, Vec<(StreamId, Vec<u8>)>>::new(), Vec::new());
        let mut lacking = Vec::new();
        for (stream, view) in lane.views {
            let view = view.filter(|_| !lane.blocked.contains(&stream));
            let Some(view) = view else {
                doubtful.push(stream);
                continue;
            };
            let slot = generation.slot_of(prefix, report.context, stream);
            let right = stored::<P>(stream, &view, false).map_err(ExamineError::from)?;
            let waiting = slots.entry(slot.clone()).or_default();
            waiting.push((stream, right));
            if waiting.len() >= VIEWS {
                let some = std::mem::take(waiting);
                self.compare_some(&slot, some, &mut doubtful, report).await?;
            }
        }
        for (slot, some) in slots {
            self.compare_some(&slot, some, &mut doubtful, report).await?;
        }
        for stream in doubtful {
            lacking.extend(self.examine::<P>(generation, stream, report).await?);
        }
        Ok(lacking)
    }

    async fn compare_some(
        &self,
        slot: &Slot,
        views: Vec<(StreamId, Vec<u8>)>,
        doubtful: &mut Vec<StreamId>,
        report: &mut ContextReport,
    ) -> Result<(), VerifyError> {
        let streams: Vec<StreamId> = views.iter().map(|(stream, _)| *stream).collect();
        let found = self.store.stored_many(slot, &streams).await?;
        for ((stream, right), found) in views.into_iter().zip(found) {
            if found == Some(right) {
                report.compared += 1;
            } else {
                doubtful.push(stream);
            }
        }
        Ok(())
    }
}
