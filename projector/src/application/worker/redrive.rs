//! Doing what operators ask of single streams, as the owner of the partition: nobody else may write to its slot.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use events::{DomainEvent, RecordedEvent, StreamId};
use read_model::keys::{Discarded, Parked};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Interrupted, Worker};
use crate::{
    application::{
        changes::Changes,
        chunk::{Chunk, Kept},
        failure::Failure,
        redrive::{Action, Answer, OPERATIONS_KEPT, Operation, Outcome, Request, differences},
    },
    failpoints,
    outbound::redis::letters::NEXT,
    projections::Projection,
};

/// How often a worker looks for requests.
const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds after its deadline for which an answer is left for who asked.
const KEPT: i64 = 60_000;

/// Why nothing is known of what came of a request.
pub(super) const INTERRUPTED: &str = "the process that began with it ended, or lost the partition";

/// A parked stream folded anew, as far as it went.
struct Refolded<P: Projection> {
    chunk: Chunk<P>,
    before: Value,
    /// How it is parked now; none: it is not any more.
    parked: Option<Parked>,
}

impl<P: Projection> Worker<P> {
    /// Does what operators ask for; looks no more than once a second.
    pub(super) async fn serve(&mut self) -> Result<(), Interrupted> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        self.inherit().await?;
        // A Redis that is down is met by the next chunk, and the next look finds the request still there.
        let Ok(requests) = self.shared.store.requests(&self.slot).await else { return Ok(()) };
        for (id, request) in requests {
            if self.patience.stop().is_cancelled() {
                return Err(Interrupted::Stopped);
            }
            let now = Utc::now().timestamp_millis();
            let until = if request.answer.is_some() { request.deadline + KEPT } else { request.deadline };
            if now > until {
                // Nobody waits for it any more. What fails here is tried at the next look.
                let _ = self.shared.store.drop_request(&self.slot, id).await;
            } else if request.answer.is_none() {
                self.patience.begin_turn(self.turns()).await;
                let done = self.redrive(id, request).await;
                self.patience.end_turn();
                done?;
            }
        }
        Ok(())
    }

    async fn redrive(&mut self, id: Uuid, mut request: Request) -> Result<(), Interrupted> {
        if matches!(request.action, Action::Rebuild | Action::RebuildDryRun) {
            return self.rebuild(id, request).await;
        }
        let Some(parked) = self.parked.get(&request.stream).cloned() else {
            return self.reply(id, request, Answer::of(Outcome::NotParked, None)).await;
        };
        if request.begun.is_some_and(|by| by != self.shared.run) {
            return self.interrupted(id, request, parked).await;
        }
        request.begun = Some(self.shared.run);
        // What kills the process must not be tried without end: whoever comes after this process has to know.
        if self.shared.store.put_request(&self.slot, id, &request).await.is_err() {
            return Ok(());
        }
        match request.action {
            Action::Discard => self.discard(id, request, parked).await,
            _ => match self.refold(request.stream, &parked).await? {
                Err(unavailable) => self.reply(id, request, Answer::of(Outcome::Unavailable, unavailable)).await,
                Ok(refolded) if request.action == Action::DryRun => self.compare(id, request, &refolded).await,
                Ok(refolded) => self.retry(id, request, refolded).await,
            },
        }
    }

    /// Folds what the event store has after the stream's view, up to what was sent to the dead letters; an error says what
    /// does not answer. Nothing is written.
    async fn refold(&mut self, stream: StreamId, parked: &Parked) -> Result<Result<Refolded<P>, String>, Interrupted> {
        let shared = Arc::clone(&self.shared);
        let view = match shared.store.views::<P::View>(&self.slot, &[stream]).await {
            Ok(mut views) => views.pop().flatten(),
            Err(error) => return Ok(Err(format!("redis: {error}"))),
        };
        let reached = view.as_ref().map_or(0, P::version);
        let history = match shared.commands.history(self.context, stream, reached, parked.until).await {
            Ok(history) => history,
            Err(error) => return Ok(Err(format!("command service: {error}"))),
        };
        let is_known = history.is_some();
        let history = history.unwrap_or_default();
        let decode = |recorded: &RecordedEvent| P::Event::decode(&recorded.event_type, recorded.data.get().as_bytes());
        let mut wanted = Vec::new();
        for event in history.iter().filter_map(|recorded| decode(recorded).ok()) {
            P::key_ids(&event, &mut wanted);
        }
        if let Err(error) = self.try_keys(wanted).await {
            return Ok(Err(format!("command service: {error}")));
        }
        let before = view.as_ref().map_or(Ok(Value::Null), serde_json::to_value);
        let before = before.map_err(|error| Interrupted::Broken(error.to_string()))?;
        let mut chunk = Chunk::with_capacity(1);
        chunk.bring(stream, view, Some(parked.clone()));
        chunk.release(stream);
        // To release it would hide that the command service asked is the wrong one, or has lost it.
        let unknown =
            || (parked.version, Failure::new(self.context, &parked.event_type, "the event store does not know the stream"));
        let mut failure = (!is_known).then(unknown);
        for recorded in &history {
            let next = chunk.reached(stream) + 1;
            let outcome = if recorded.version == next && recorded.stream_id == stream {
                failpoints::fold(stream, recorded.version);
                decode(recorded)
                    .map_err(|error| error.to_string())
                    .and_then(|event| chunk.apply(&recorded.envelope(), &event, &self.keys).map_err(str::to_owned))
            } else {
                Err(format!("the store's history lacks version {next} of its stream"))
            };
            if let Err(cause) = outcome {
                failure = Some((next, Failure::new(self.context, &recorded.event_type, cause)));
                break;
            }
        }
        let parked = failure.map(|(version, Failure { cause, event_type, fingerprint, .. })| {
            let (until, attempts) = (parked.until.max(version), parked.attempts.saturating_add(1));
            let last = Utc::now().timestamp_millis();
            Parked { version, cause, event_type, fingerprint, until, attempts, last, ..parked.clone() }
        });
        if let Some(parked) = &parked {
            chunk.park_as(stream, parked.clone());
        }
        Ok(Ok(Refolded { chunk, before, parked }))
    }

    async fn compare(&mut self, id: Uuid, request: Request, refolded: &Refolded<P>) -> Result<(), Interrupted> {
        let view = refolded.chunk.view(request.stream);
        let after = view.map_or(Ok(Value::Null), serde_json::to_value);
        let after = after.map_err(|error| Interrupted::Broken(error.to_string()))?;
        let outcome = if refolded.parked.is_none() { Outcome::WouldPass } else { Outcome::WouldFail };
        let answer = Answer {
            version: view.map_or(0, P::version),
            events: refolded.chunk.applied(),
            changes: Some(differences(&refolded.before, &after, P::PERSONAL)),
            redacted: P::PERSONAL.iter().map(|name| format!("/{name}")).collect(),
            ..Answer::of(outcome, refolded.parked.as_ref().map(|parked| parked.cause.clone()))
        };
        self.reply(id, request, answer).await
    }

    async fn retry(&mut self, id: Uuid, request: Request, refolded: Refolded<P>) -> Result<(), Interrupted> {
        let Refolded { chunk, parked, .. } = refolded;
        let outcome = if parked.is_none() { Outcome::Redriven } else { Outcome::Failed };
        let answer = Answer {
            version: chunk.view(request.stream).map_or(0, P::version),
            events: chunk.applied(),
            ..Answer::of(outcome, parked.map(|parked| parked.cause))
        };
        self.settle(id, request, chunk, answer).await
    }

    async fn discard(&mut self, id: Uuid, request: Request, parked: Parked) -> Result<(), Interrupted> {
        let at = Utc::now().timestamp_millis();
        let discarded = Some(Discarded { by: request.by.clone(), at, reason: request.reason.clone() });
        let version = parked.version.saturating_sub(1);
        let chunk = self.parked_as(request.stream, Parked { discarded, ..parked });
        let answer = Answer { version, ..Answer::of(Outcome::Discarded, None) };
        self.settle(id, request, chunk, answer).await
    }

    /// Another process had begun with it. If it was the redrive that ended it, it would end this one too.
    async fn interrupted(&mut self, id: Uuid, request: Request, parked: Parked) -> Result<(), Interrupted> {
        let version = parked.version.saturating_sub(1);
        let answer = Answer { version, ..Answer::of(Outcome::Interrupted, INTERRUPTED.to_owned()) };
        if request.action == Action::DryRun {
            return self.reply(id, request, answer).await;
        }
        let (attempts, last) = (parked.attempts.saturating_add(1), Utc::now().timestamp_millis());
        let chunk = self.parked_as(request.stream, Parked { attempts, last, ..parked });
        self.settle(id, request, chunk, answer).await
    }

    /// A chunk that changes nothing of a stream but how it is parked.
    fn parked_as(&self, stream: StreamId, parked: Parked) -> Chunk<P> {
        let mut chunk = Chunk::with_capacity(1);
        chunk.bring(stream, None, None);
        chunk.park_as(stream, parked);
        chunk
    }

    async fn settle(&mut self, id: Uuid, request: Request, chunk: Chunk<P>, answer: Answer) -> Result<(), Interrupted> {
        let touches_view = matches!(answer.outcome, Outcome::Redriven | Outcome::Failed);
        let (changes, kept) = chunk.finish(self.offset, self.progress)?;
        let kept: Vec<Kept<P>> = if touches_view { kept } else { Vec::new() };
        self.write_done(id, request, (changes, kept), answer).await
    }

    /// Writes what was done, the record of it and the answer, all or nothing.
    pub(super) async fn write_done(
        &mut self,
        id: Uuid,
        mut request: Request,
        done: (Changes, Vec<Kept<P>>),
        answer: Answer,
    ) -> Result<(), Interrupted> {
        let (mut changes, kept) = done;
        let store = Arc::clone(&self.shared.store);
        let done = self.patience.until_done("redis", || store.operations_done(&self.slot)).await?;
        let operation = Operation {
            context: self.context,
            stream: request.stream,
            action: request.action,
            by: request.by.clone(),
            reason: request.reason.clone(),
            at: Utc::now().timestamp_millis(),
            outcome: answer.outcome,
            cause: answer.cause.clone(),
            version: answer.version,
        };
        request.answer = Some(answer.clone());
        let json = |error: serde_json::Error| Interrupted::Broken(error.to_string());
        changes.answers.push((id, serde_json::to_vec(&request).map_err(json)?));
        changes.operations.push(((done % OPERATIONS_KEPT).to_string(), serde_json::to_vec(&operation).map_err(json)?));
        changes.operations.push((NEXT.to_owned(), (done + 1).to_string().into_bytes()));
        self.write(changes, kept).await?;
        self.report(&request, &answer);
        Ok(())
    }

    /// Answers where nothing was written. An answer that gets lost is made again at the next look.
    pub(super) async fn reply(&self, id: Uuid, mut request: Request, answer: Answer) -> Result<(), Interrupted> {
        self.report(&request, &answer);
        request.answer = Some(answer);
        if let Err(error) = self.shared.store.put_request(&self.slot, id, &request).await {
            tracing::warn!(parent: &self.span, %error, "an operator's answer could not be left");
        }
        Ok(())
    }

    fn report(&self, request: &Request, answer: &Answer) {
        self.meters.redrive(answer.outcome);
        tracing::info!(
            parent: &self.span, stream.id = %request.stream, operation.action = request.action.name(),
            operation.by = request.by, operation.outcome = answer.outcome.name(), stream.version = answer.version,
            cause = answer.cause, "an operator's request is done"
        );
    }
}
