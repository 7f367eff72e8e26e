//! Spans about messages that are sent or handled together: one for each message of a recorded trace, in that trace, and one
//! for all of them, which links to each and is linked to by each. Attributes are those of the semantic conventions for messaging.

use opentelemetry::{Value, trace::SpanKind};
use uuid::Uuid;

use super::{Span, recorded};

/// As what messages have failed that were dropped amid the work: it was given up, or ended with an error.
const INTERRUPTED: &str = "interrupted";

/// What is done with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// They are sent.
    Send,
    /// They are handled.
    Process,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Process => "process",
        }
    }

    /// By the conventions a sender is a client of the broker where messages carry another context than that of being sent:
    /// ours carry that of the command that caused them.
    const fn kind(self) -> SpanKind {
        match self {
            Self::Send => SpanKind::Client,
            Self::Process => SpanKind::Consumer,
        }
    }
}

/// A message: an event on its topic.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where it was caused.
    pub traceparent: Option<&'a str>,
    /// The event's id.
    pub id: Uuid,
    /// The record's key: the stream.
    pub key: Uuid,
    /// Where it is in its partition, if that is known.
    pub offset: Option<i64>,
}

/// The spans. They end when this is dropped, and unless that is by [`Messages::done`] they have failed. None, if no message is
/// of a recorded trace.
#[derive(Debug, Default)]
#[must_use = "what is not done() has failed"]
pub struct Messages {
    batch: Span,
    each: Vec<Span>,
}

impl Messages {
    /// Begins.
    pub fn begin<'a>(
        operation: Operation,
        topic: &str,
        partition: Option<u32>,
        messages: impl IntoIterator<Item = Message<'a>>,
    ) -> Self {
        if !super::is_on() {
            return Self::default();
        }
        let mut count = 0;
        let messages = messages.into_iter().inspect(|_| count += 1);
        let members: Vec<_> = messages.filter_map(|message| Some((recorded(message.traceparent)?, message))).collect();
        let verb = operation.name();
        let traces = members.iter().map(|(trace, _)| *trace);
        let mut batch = Span::joining(traces, operation.kind(), || format!("{verb} batch {topic}")).unless_done(INTERRUPTED);
        let Some(joined) = batch.context() else { return Self::default() };
        describe(&mut batch, operation, topic, partition);
        batch.set("messaging.batch.message_count", i64::from(count));
        let each = members.iter().map(|(trace, message)| {
            let mut span = Span::afterwards(trace, operation.kind(), || format!("{verb} {topic}")).unless_done(INTERRUPTED);
            describe(&mut span, operation, topic, partition);
            span.set("messaging.message.id", message.id.to_string());
            span.set("messaging.kafka.message.key", message.key.to_string());
            if let Some(offset) = message.offset {
                span.set("messaging.kafka.offset", offset);
            }
            span.link(joined);
            span
        });
        Self { each: each.collect(), batch }
    }

    /// A part of the work that is done for all of them at once.
    pub fn part(&self, kind: SpanKind, name: &'static str) -> Span {
        self.batch.context().map_or_else(Span::none, |batch| Span::child(&batch, kind, || name))
    }

    /// Says something of all of them, as [`Span::set`] does.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.batch.is_recorded() {
            let value = value.into();
            self.all().for_each(|span| span.set(key, value.clone()));
        }
    }

    /// Ends, and says that it failed, for all of them.
    pub fn failed(mut self, kind: &'static str, cause: &dyn std::fmt::Display) {
        self.all().for_each(|span| span.fail(kind, cause));
    }

    /// Ends, and says that it succeeded, for all of them.
    pub fn done(mut self) {
        self.all().for_each(Span::done);
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Span> {
        self.each.iter_mut().chain([&mut self.batch])
    }
}

fn describe(span: &mut Span, operation: Operation, topic: &str, partition: Option<u32>) {
    span.set("messaging.system", "kafka");
    span.set("messaging.operation.type", operation.name());
    span.set("messaging.operation.name", operation.name());
    span.set("messaging.destination.name", topic.to_owned());
    if let Some(partition) = partition {
        span.set("messaging.destination.partition.id", partition.to_string());
    }
}
