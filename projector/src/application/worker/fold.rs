//! Folding one chunk: from records to changed views and dead letters. Waits for Redis and the command service where it
//! has to; nothing is written before it is done.

use std::sync::Arc;

use chrono::Utc;
use events::{DecodeError, DomainEvent, Envelope, RecordedEvent, StreamId};
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use service_kit::trace::{self, Messages, Operation};
use uuid::Uuid;

use super::{Interrupted, Worker};
use crate::{
    application::{
        changes::Changes,
        chunk::Chunk,
        failure::Failure,
        letters::{DeadLetter, Position, headers_of},
        starts::Handling,
    },
    failpoints,
    outbound::command_service::CommandServiceError,
    projections::Projection,
};

/// A folded chunk.
pub(super) struct Folding<P: Projection> {
    pub(super) chunk: Chunk<P>,
    pub(super) letters: Vec<DeadLetter>,
    pub(super) duplicates: u64,
    /// They have failed unless the chunk is written.
    pub(super) spans: Messages,
}

/// A record whose headers were read.
struct Record<'m> {
    message: &'m BorrowedMessage<'m>,
    envelope: Result<Envelope<'m>, String>,
}

impl Record<'_> {
    fn stream(&self) -> Option<StreamId> {
        Some(self.envelope.as_ref().ok()?.stream_id)
    }
}

/// An event to fold, and where it came from.
struct Incoming<'a, E> {
    envelope: &'a Envelope<'a>,
    event: Result<E, DecodeError>,
    origin: Origin<'a>,
}

#[derive(Clone, Copy)]
enum Origin<'a> {
    Record(&'a BorrowedMessage<'a>),
    /// The event store, and the offset at which that was needed.
    Store(&'a RecordedEvent, i64),
}

impl Origin<'_> {
    fn offset(self) -> i64 {
        match self {
            Self::Record(message) => message.offset(),
            Self::Store(_, offset) => offset,
        }
    }
}

impl<P: Projection> Worker<P> {
    pub(super) async fn fold_chunk(&mut self, messages: &[BorrowedMessage<'_>]) -> Result<Folding<P>, Interrupted> {
        let unread = |message| Record { message, envelope: Err(deadly(self.wary.handling)) };
        let records: Vec<Record<'_>> = match self.wary.handling {
            Handling::SetAside(_) => messages.iter().map(unread).collect(),
            Handling::Usual | Handling::Park(_) => messages.iter().map(read).collect(),
        };
        let (foreign, records): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.stream().is_some_and(|stream| self.is_elsewhere(stream)));
        self.hand_over(foreign.iter().filter_map(Record::stream).collect()).await?;
        let spans = self.spans(&records);
        let chunk = self.bring(records.iter().filter_map(Record::stream)).await?;
        let mut folding = Folding { chunk, letters: Vec::new(), duplicates: 0, spans };
        if let Handling::Park(attempts) = self.wary.handling {
            self.park_unread(&mut folding, &records, attempts);
            return Ok(folding);
        }
        let events: Vec<_> = records.iter().map(|record| decode::<P>(&folding.chunk, record)).collect();
        self.fetch_keys(wanted::<P>(events.iter().flatten().flatten())).await?;
        for (record, event) in records.iter().zip(events) {
            match (&record.envelope, event) {
                (Ok(envelope), Some(event)) => {
                    let incoming = Incoming { envelope, event, origin: Origin::Record(record.message) };
                    self.next(&mut folding, incoming).await?;
                }
                (Ok(_), None) => folding.duplicates += 1,
                (Err(cause), _) => {
                    let failure = Failure::new(self.context, "", cause.clone());
                    let letter = self.letter(None, Origin::Record(record.message), failure);
                    folding.letters.push(letter);
                }
            }
        }
        Ok(folding)
    }

    /// The same of events as the event store has them; `offset` is where the topic will be read on.
    pub(super) async fn fold_recorded(&mut self, events: &[RecordedEvent], offset: i64) -> Result<Folding<P>, Interrupted> {
        let chunk = self.bring(events.iter().map(|recorded| recorded.stream_id)).await?;
        let is_new = |recorded: &RecordedEvent| recorded.version > chunk.reached(recorded.stream_id);
        let decode = |recorded: &RecordedEvent| P::Event::decode(&recorded.event_type, recorded.data.get().as_bytes());
        let is_deadly = self.wary.handling != Handling::Usual;
        let decoded: Vec<_> = events.iter().map(|recorded| (is_new(recorded) && !is_deadly).then(|| decode(recorded))).collect();
        // What comes from the store is old, as a rule, and its traces are told to their end.
        let mut folding = Folding { chunk, letters: Vec::new(), duplicates: 0, spans: Messages::default() };
        self.fetch_keys(wanted::<P>(decoded.iter().flatten().flatten())).await?;
        for (recorded, event) in events.iter().zip(decoded) {
            let (envelope, origin) = (recorded.envelope(), Origin::Store(recorded, offset));
            match event {
                Some(event) => self.next(&mut folding, Incoming { envelope: &envelope, event, origin }).await?,
                None if is_deadly && envelope.version > folding.chunk.reached(envelope.stream_id) => {
                    let cause = deadly(self.wary.handling);
                    let failure = Failure::new(self.context, &envelope.event_type, cause);
                    self.park_as(&mut folding, &envelope, origin, failure);
                }
                None => folding.duplicates += 1,
            }
        }
        Ok(folding)
    }

    /// The spans of a chunk. A worker beside the first has none: the first has told of the same, perhaps long ago.
    fn spans(&self, records: &[Record<'_>]) -> Messages {
        if self.aside_of.is_some() {
            return Messages::default();
        }
        let messages = records.iter().filter_map(|record| {
            let envelope = record.envelope.as_ref().ok()?;
            let (traceparent, offset) = (envelope.traceparent.as_deref(), Some(record.message.offset()));
            Some(trace::Message { traceparent, id: envelope.id.0, key: envelope.stream_id, offset })
        });
        let mut spans = Messages::begin(Operation::Process, &self.topic, Some(self.partition), messages);
        spans.set("messaging.consumer.group.name", Arc::clone(&self.shared.group));
        spans
    }

    /// Parks records that end the process when they are handled.
    fn park_unread(&self, folding: &mut Folding<P>, records: &[Record<'_>], attempts: u32) {
        for record in records {
            match &record.envelope {
                Ok(envelope) if envelope.version <= folding.chunk.reached(envelope.stream_id) => folding.duplicates += 1,
                Ok(envelope) => {
                    let failure = Failure::new(self.context, &envelope.event_type, deadly(self.wary.handling));
                    self.park_as(folding, envelope, Origin::Record(record.message), Failure { attempts, ..failure });
                }
                Err(cause) => {
                    let failure = Failure::new(self.context, "", cause.clone());
                    folding.letters.push(self.letter(None, Origin::Record(record.message), failure));
                }
            }
        }
    }

    /// The streams' states: from memory, or from Redis.
    async fn bring(&mut self, streams: impl Iterator<Item = StreamId>) -> Result<Chunk<P>, Interrupted> {
        let mut chunk = Chunk::with_capacity(streams.size_hint().1.unwrap_or(0));
        let mut missing = Vec::new();
        for stream in streams {
            if chunk.knows(stream) {
                continue;
            }
            let cached = self.cache.take(stream);
            if cached.is_none() {
                missing.push(stream);
            }
            chunk.bring(stream, cached.flatten(), self.parked.get(&stream).cloned());
        }
        if !missing.is_empty() {
            let views = self.views(&missing).await?;
            for (stream, view) in missing.into_iter().zip(views) {
                chunk.set_view(stream, view);
            }
        }
        Ok(chunk)
    }

    /// What the counters become that the chunk moves.
    pub(super) async fn total(&mut self, changes: &mut Changes) -> Result<(), Interrupted> {
        let mut known: Vec<_> = changes.moves.iter().map(|(counter, _)| self.counters.get(counter)).collect();
        let unknown = changes.moves.iter().zip(&known).filter(|(_, value)| value.is_none());
        let unknown: Vec<_> = unknown.map(|((counter, _), _)| *counter).collect();
        if !unknown.is_empty() {
            let (shared, slot) = (Arc::clone(&self.shared), &self.slot);
            let values = self.patience.until_done("redis", || shared.store.counters(slot, &unknown)).await?;
            for (value, fetched) in known.iter_mut().filter(|value| value.is_none()).zip(values) {
                *value = Some(fetched);
            }
        }
        let moves = changes.moves.iter().zip(known);
        changes.totals.extend(moves.map(|((counter, by), value)| (*counter, value.unwrap_or(0) + by)));
        Ok(())
    }

    /// The keys with these ids, as far as they are not here; one attempt.
    pub(super) async fn try_keys(&mut self, wanted: Vec<Uuid>) -> Result<(), CommandServiceError> {
        let wanted = self.unknown_keys(wanted);
        if !wanted.is_empty() {
            for (id, key) in self.shared.commands.personal_keys(&wanted).await? {
                self.keys.insert(id, key);
            }
        }
        Ok(())
    }

    fn unknown_keys(&mut self, mut wanted: Vec<Uuid>) -> Vec<Uuid> {
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|id| !self.keys.contains(*id));
        wanted
    }

    async fn fetch_keys(&mut self, wanted: Vec<Uuid>) -> Result<(), Interrupted> {
        let wanted = self.unknown_keys(wanted);
        if wanted.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let keys = self.patience.until_done("command service", || shared.commands.personal_keys(&wanted)).await?;
        for (id, key) in keys {
            self.keys.insert(id, key);
        }
        Ok(())
    }

    /// Folds the event if it is the stream's next; passes over it if it was dealt with; fills the gap if it is too far ahead.
    async fn next(&mut self, folding: &mut Folding<P>, incoming: Incoming<'_, P::Event>) -> Result<(), Interrupted> {
        let (stream, version) = (incoming.envelope.stream_id, incoming.envelope.version);
        let reached = folding.chunk.reached(stream);
        if version <= reached {
            folding.duplicates += 1;
            return Ok(());
        }
        if version > reached + 1 {
            self.fill_gap(folding, incoming.envelope, reached, incoming.origin.offset()).await?;
            let filled = folding.chunk.reached(stream);
            if filled + 1 != version {
                let cause = format!("the store's history lacks the versions {} to {} of its stream", filled + 1, version - 1);
                self.park(folding, &incoming, cause);
                return Ok(());
            }
        }
        self.step(folding, &incoming);
        Ok(())
    }

    /// Folds the events between version `after` and that of `ahead`, as the event store has them.
    async fn fill_gap(
        &mut self,
        folding: &mut Folding<P>,
        ahead: &Envelope<'_>,
        after: u64,
        offset: i64,
    ) -> Result<(), Interrupted> {
        self.meters.gaps.increment(1);
        let stream = ahead.stream_id;
        tracing::warn!(
            parent: &self.span, stream.id = %stream, stream.version = after, event.version = ahead.version,
            "events are missing: fetching them from the event store"
        );
        let (shared, context, until) = (Arc::clone(&self.shared), self.context, ahead.version - 1);
        let history = || shared.commands.history(context, stream, after, until);
        let missing = self.patience.until_done("command service", history).await?.unwrap_or_default();
        for recorded in &missing {
            if recorded.version != folding.chunk.reached(stream) + 1 || recorded.stream_id != stream {
                break;
            }
            let envelope = recorded.envelope();
            let event = P::Event::decode(&envelope.event_type, recorded.data.get().as_bytes());
            self.fetch_keys(wanted::<P>(event.iter())).await?;
            self.step(folding, &Incoming { envelope: &envelope, event, origin: Origin::Store(recorded, offset) });
        }
        Ok(())
    }

    /// Folds the stream's next event, or parks it.
    fn step(&self, folding: &mut Folding<P>, incoming: &Incoming<'_, P::Event>) {
        let envelope = incoming.envelope;
        failpoints::fold(envelope.stream_id, envelope.version);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let trace = envelope.traceparent.as_deref().and_then(|text| text.parse::<service_kit::trace::TraceContext>().ok());
            tracing::debug!(
                parent: &self.span, stream.id = %envelope.stream_id, stream.version = envelope.version,
                event.type = %envelope.event_type, trace.id = trace.map(|trace| trace.trace_id()), "event"
            );
        }
        let cause = match (folding.chunk.parked(envelope.stream_id), &incoming.event) {
            (Some(parked), _) => format!("it follows version {} of its stream, which is parked", parked.version),
            (None, Err(error)) => error.to_string(),
            (None, Ok(event)) => match folding.chunk.apply(envelope, event, &self.keys) {
                Ok(()) => return,
                Err(cause) => cause.to_owned(),
            },
        };
        self.park(folding, incoming, cause);
    }

    fn park(&self, folding: &mut Folding<P>, incoming: &Incoming<'_, P::Event>, cause: String) {
        let failure = Failure::new(self.context, &incoming.envelope.event_type, cause);
        self.park_as(folding, incoming.envelope, incoming.origin, failure);
    }

    fn park_as(&self, folding: &mut Folding<P>, envelope: &Envelope<'_>, origin: Origin<'_>, mut failure: Failure) {
        let (stream, version, cause) = (envelope.stream_id, envelope.version, &failure.cause);
        tracing::warn!(parent: &self.span, stream.id = %stream, stream.version = version, cause, "an event goes to the dead letters");
        if let Some(parked) = folding.chunk.parked(stream) {
            failure.fingerprint.clone_from(&parked.fingerprint);
        }
        folding.chunk.park(stream, version, &failure, Utc::now().timestamp_millis());
        folding.letters.push(self.letter(Some((stream, version)), origin, failure));
    }

    fn letter(&self, event: Option<(StreamId, u64)>, origin: Origin<'_>, failure: Failure) -> DeadLetter {
        let (key, headers, value) = match origin {
            Origin::Record(message) => {
                let headers = message.headers().into_iter().flat_map(Headers::iter);
                let headers = headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
                (message.key().map(<[u8]>::to_vec), headers, message.payload().map(<[u8]>::to_vec))
            }
            Origin::Store(recorded, _) => {
                let key = recorded.stream_id.to_string().into_bytes();
                (Some(key), headers_of(&recorded.envelope(), self.context), Some(recorded.data.get().as_bytes().to_vec()))
            }
        };
        let offset = origin.offset();
        let position = Position { topic: self.topic.clone(), partition: self.partition, offset };
        let Failure { cause, fingerprint, .. } = failure;
        let projection = (self.context, P::VERSION);
        DeadLetter { key, headers, value, cause, fingerprint, projection, position, event, at: Utc::now() }
    }
}

/// The cause of a record that is not read any more.
fn deadly(handling: Handling) -> String {
    let deaths = match handling {
        Handling::Usual => 0,
        Handling::Park(deaths) | Handling::SetAside(deaths) => deaths,
    };
    format!("handling it ended the process {deaths} times")
}

/// Reads a record's headers. A record that is not under its stream's key is not that stream's event.
fn read<'m>(message: &'m BorrowedMessage<'m>) -> Record<'m> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let envelope = Envelope::from_headers(headers.filter_map(|header| Some((header.key, header.value?))));
    let envelope = envelope.map_err(|error| error.to_string()).and_then(|envelope| {
        let mut buffer = Uuid::encode_buffer();
        let key: &str = envelope.stream_id.hyphenated().encode_lower(&mut buffer);
        if message.key() == Some(key.as_bytes()) { Ok(envelope) } else { Err("the record's key is not its stream".to_owned()) }
    });
    Record { message, envelope }
}

/// The event, unless it was dealt with before this chunk.
fn decode<P: Projection>(chunk: &Chunk<P>, record: &Record<'_>) -> Option<Result<P::Event, DecodeError>> {
    let envelope = record.envelope.as_ref().ok()?;
    let is_new = envelope.version > chunk.reached(envelope.stream_id);
    is_new.then(|| P::Event::decode(&envelope.event_type, record.message.payload().unwrap_or_default()))
}

/// The ids of the keys that open the personal data in these events.
fn wanted<'e, P: Projection>(events: impl Iterator<Item = &'e P::Event>) -> Vec<Uuid> {
    let mut wanted = Vec::new();
    for event in events {
        P::key_ids(event, &mut wanted);
    }
    wanted
}
