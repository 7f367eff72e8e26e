//! Building one stream's view anew, because an operator asks for it: what is done to a suspect that was found guilty, without
//! a suspicion, and from the whole history.

use std::sync::Arc;

use events::StreamId;
use read_model::StoredView;
use serde_json::Value;
use uuid::Uuid;

use super::{Interrupted, Worker, redrive::INTERRUPTED, repair::untold};
use crate::{
    application::{
        audit::examine::{Examination, ExamineError, Kind, Sides},
        chunk::stored,
        redrive::{Action, Answer, Outcome, Request, differences},
    },
    projections::Projection,
};

impl<P: Projection> Worker<P> {
    /// Writes what the event store makes of a stream, or says what that would change.
    pub(super) async fn rebuild(&mut self, id: Uuid, mut request: Request) -> Result<(), Interrupted> {
        let (stream, run) = (request.stream, self.shared.run);
        if let Some(parked) = self.parked.get(&stream) {
            let cause = format!("it is parked at version {}: its view stands still until it is retried", parked.version);
            return self.reply(id, request, Answer::of(Outcome::Parked, cause)).await;
        }
        if request.begun.is_some_and(|by| by != run) {
            return self.reply(id, request, Answer::of(Outcome::Interrupted, INTERRUPTED.to_owned())).await;
        }
        request.begun = Some(run);
        // What kills the process must not be tried without end: whoever comes after this process has to know.
        if self.shared.store.put_request(&self.slot, id, &request).await.is_err() {
            return Ok(());
        }
        let examination = match self.examine(stream).await {
            Ok(examination) => examination,
            Err(error) => return self.reply(id, request, Answer::of(Outcome::Unavailable, error.to_string())).await,
        };
        let answer = answer(stream, request.action, &examination)?;
        if answer.outcome != Outcome::Rebuilt {
            return self.reply(id, request, answer).await;
        }
        let was = examination.sight.stored.as_deref().and_then(|bytes| StoredView::decode(bytes).ok());
        let was = was.map_or(0, |stored| stored.header.version);
        let mut changes = self.difference(stream, Kind::Different, &examination)?;
        changes.log = untold(stream, was, &examination.truth);
        self.cache.take(stream);
        self.write_done(id, request, (changes, Vec::new()), answer).await?;
        // What was changed from outside took nothing off the counters.
        self.recounting.suspect();
        Ok(())
    }

    /// Both sides of a stream, with all that the event store has.
    async fn examine(&self, stream: StreamId) -> Result<Examination<P>, ExamineError> {
        let shared = Arc::clone(&self.shared);
        let sides = Sides { commands: &shared.commands, store: &shared.store, context: self.context, slot: &self.slot };
        let mut examination = sides.examine::<P>(stream).await?;
        examination.truth = sides.fold::<P>(stream, u64::MAX).await?;
        Ok(examination)
    }
}

/// What a rebuild comes to.
fn answer<P: Projection>(stream: StreamId, action: Action, examination: &Examination<P>) -> Result<Answer, Interrupted> {
    let Examination { truth, sight, found, .. } = examination;
    if truth.is_blocked {
        let cause = format!("version {} of its history can't be read or applied", truth.version() + 1);
        return Ok(Answer::of(Outcome::Failed, cause));
    }
    if truth.view.is_none() && sight.stored.is_none() {
        return Ok(Answer::of(Outcome::Unknown, None));
    }
    let right = truth.view.as_ref().map(|view| stored::<P>(stream, view, false)).transpose()?;
    let misplaced = misplaced(examination);
    let is_same = right == sight.stored && misplaced == 0;
    let outcome = match action {
        _ if is_same => Outcome::Same,
        Action::RebuildDryRun => Outcome::Differs,
        _ => Outcome::Rebuilt,
    };
    let json = |view: Option<&P::View>| view.map_or(Ok(Value::Null), serde_json::to_value);
    let broken = |error: serde_json::Error| Interrupted::Broken(error.to_string());
    let (before, after) = (json(found.as_ref()).map_err(broken)?, json(truth.view.as_ref()).map_err(broken)?);
    Ok(Answer {
        version: truth.version(),
        events: u64::try_from(truth.events.len()).unwrap_or(u64::MAX),
        changes: Some(differences(&before, &after, P::PERSONAL)),
        entries: Some(misplaced),
        redacted: P::PERSONAL.iter().map(|name| format!("/{name}")).collect(),
        ..Answer::of(outcome, None)
    })
}

/// Places in lists and owners that are not as they should be, among those where the stream is or was.
fn misplaced<P: Projection>(examination: &Examination<P>) -> u64 {
    let Examination { truth, sight, entries, owned, .. } = examination;
    let (right, owns) = (truth.entries(), truth.view.as_ref().and_then(P::owned));
    let entries = entries.iter().zip(&sight.entries).filter(|(entry, is_there)| right.contains(entry) != **is_there);
    let owners = owned.iter().zip(&sight.owned).filter(|(value, is_owner)| (owns.as_ref() == Some(value)) != **is_owner);
    u64::try_from(entries.count() + owners.count()).unwrap_or(u64::MAX)
}
