//! One piece of work in a trace: when it began and ended, what it was about, and what came of it.

use std::{borrow::Cow, fmt::Display, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, TraceFlags, Value,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::TraceContext;
use crate::telemetry;

/// A span, which ends when it is dropped. One of a trace that is not recorded here is nothing, and costs as much.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Recording>>);

#[derive(Debug)]
struct Recording {
    context: TraceContext,
    parent: Option<Parent>,
    kind: SpanKind,
    name: Cow<'static, str>,
    start: SystemTime,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
    status: Status,
    /// What it is at, and since when.
    phase: Option<(&'static str, SystemTime)>,
    /// As what it has failed, should it end before anybody says what came of it.
    unsettled: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Parent {
    span_id: u64,
    /// Whether it is another process's.
    is_remote: bool,
}

impl Span {
    /// No span.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Part of the work that `parent` is about. The name is asked for only if it is recorded.
    pub fn child<N: Into<Cow<'static, str>>>(parent: &TraceContext, kind: SpanKind, name: impl FnOnce() -> N) -> Self {
        Self::begin(parent.child(), Some(Parent { span_id: parent.span_id, is_remote: false }), kind, name)
    }

    /// The same, where `parent` was perhaps in another process: what is known of it was stored, or sent.
    pub(super) fn afterwards<N: Into<Cow<'static, str>>>(
        parent: &TraceContext,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Self {
        Self::begin(parent.child(), Some(Parent { span_id: parent.span_id, is_remote: true }), kind, name)
    }

    /// The handling of a request: `context` is its own, `parent` the caller's.
    pub(crate) fn server<N: Into<Cow<'static, str>>>(
        context: TraceContext,
        parent: Option<TraceContext>,
        name: impl FnOnce() -> N,
    ) -> Self {
        let parent = parent.map(|parent| Parent { span_id: parent.span_id, is_remote: true });
        Self::begin(context, parent, SpanKind::Server, name)
    }

    /// A request to another process: `context` goes with it, `parent` is whose work it is.
    pub(super) fn client<N: Into<Cow<'static, str>>>(
        context: TraceContext,
        parent: Option<TraceContext>,
        name: impl FnOnce() -> N,
    ) -> Self {
        let parent = parent.map(|parent| Parent { span_id: parent.span_id, is_remote: false });
        Self::begin(context, parent, SpanKind::Client, name)
    }

    /// Work that is done at once for several traces: the root of a trace of its own, with a link to each of those that are
    /// recorded. None, if none is.
    pub fn joining<N: Into<Cow<'static, str>>>(
        members: impl IntoIterator<Item = TraceContext>,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Self {
        let links: Vec<_> = members.into_iter().filter(TraceContext::is_recorded).map(link).collect();
        if links.is_empty() {
            return Self::none();
        }
        let mut span = Self::begin(TraceContext::recorded_root(), None, kind, name);
        if let Some(recording) = &mut span.0 {
            recording.links = links;
        }
        span
    }

    fn begin<N: Into<Cow<'static, str>>>(
        context: TraceContext,
        parent: Option<Parent>,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Self {
        if !context.is_recorded() {
            return Self::none();
        }
        Self(Some(Box::new(Recording::new(context, parent, kind, name().into(), SystemTime::now()))))
    }

    /// From now on it has failed, as [`Span::fail`] of this `kind` says, unless it is told that it did not ([`Span::done`]): for
    /// work that may be dropped where it stands.
    #[must_use]
    pub fn unless_done(mut self, kind: &'static str) -> Self {
        if let Some(recording) = &mut self.0 {
            recording.unsettled = Some(kind);
        }
        self
    }

    /// Says that it came to its end.
    pub fn done(&mut self) {
        if let Some(recording) = &mut self.0 {
            recording.unsettled = None;
        }
    }

    /// Whether it is recorded: what is expensive to tell of it need not be found out otherwise.
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Its own context, which what it causes is part of.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|recording| recording.context)
    }

    /// Says something of it, under a name of OpenTelemetry's semantic conventions where there is one.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(recording) = &mut self.0 {
            recording.attributes.push(KeyValue::new(key, value));
        }
    }

    /// Says that it has to do with another span.
    pub fn link(&mut self, other: TraceContext) {
        if let Some(recording) = &mut self.0 {
            recording.links.push(link(other));
        }
    }

    /// Enters a phase, which ends where the next begins, or with the span: a child span of this name.
    pub fn phase(&mut self, name: &'static str) {
        if let Some(recording) = &mut self.0 {
            let now = SystemTime::now();
            recording.end_phase(now);
            recording.phase = Some((name, now));
        }
    }

    /// Says that it has failed. `kind` is one of few (`error.type`); `cause` is for people.
    pub fn fail(&mut self, kind: impl Into<Value>, cause: impl Display) {
        if let Some(recording) = &mut self.0 {
            recording.fail(kind.into(), cause.to_string());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(recording) = self.0.take() {
            recording.end(SystemTime::now());
        }
    }
}

impl Recording {
    fn new(context: TraceContext, parent: Option<Parent>, kind: SpanKind, name: Cow<'static, str>, start: SystemTime) -> Self {
        Self {
            context,
            parent,
            kind,
            name,
            start,
            attributes: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
            phase: None,
            unsettled: None,
        }
    }

    fn fail(&mut self, kind: Value, cause: String) {
        self.unsettled = None;
        self.attributes.push(KeyValue::new("error.type", kind));
        self.status = Status::error(cause);
    }

    /// What nobody has said anything of was dropped.
    fn settle(&mut self) {
        if let Some(kind) = self.unsettled.take() {
            self.fail(kind.into(), "it was dropped before its end".to_owned());
        }
    }

    fn end_phase(&mut self, at: SystemTime) {
        let Some((name, start)) = self.phase.take() else { return };
        let parent = Parent { span_id: self.context.span_id, is_remote: false };
        Self::new(self.context.child(), Some(parent), SpanKind::Internal, Cow::Borrowed(name), start).export(at);
    }

    fn end(mut self, at: SystemTime) {
        self.settle();
        self.end_phase(at);
        self.export(at);
    }

    fn export(self, end_time: SystemTime) {
        let Some(spans) = telemetry::spans() else { return };
        let mut links = SpanLinks::default();
        links.links = self.links;
        spans.take(SpanData {
            span_context: span_context(&self.context),
            parent_span_id: self.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id)),
            parent_span_is_remote: self.parent.is_some_and(|parent| parent.is_remote),
            span_kind: self.kind,
            name: self.name,
            start_time: self.start,
            end_time,
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.status,
            instrumentation_scope: InstrumentationScope::builder("orderflow").build(),
        });
    }
}

fn span_context(context: &TraceContext) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from(context.trace_id), SpanId::from(context.span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn link(context: TraceContext) -> Link {
    Link::with_context(span_context(&context))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> Span {
        let recording = Recording::new(TraceContext::new(), None, SpanKind::Internal, "work".into(), SystemTime::now());
        Span(Some(Box::new(recording)))
    }

    /// What it would tell as it ends.
    fn told(mut span: Span) -> (Option<String>, Status) {
        let mut recording = *span.0.take().unwrap();
        recording.settle();
        let mut kinds = recording.attributes.iter().filter(|pair| pair.key.as_str() == "error.type");
        let kind = kinds.next().map(|pair| pair.value.to_string());
        assert!(kinds.next().is_none(), "{recording:?}");
        (kind, recording.status)
    }

    #[test]
    fn what_may_be_dropped_has_failed_unless_somebody_says_otherwise() {
        let (kind, status) = told(span().unless_done("interrupted"));
        assert_eq!(kind.as_deref(), Some("interrupted"));
        assert!(matches!(status, Status::Error { .. }), "{status:?}");

        let mut done = span().unless_done("interrupted");
        done.done();
        assert_eq!(told(done), (None, Status::Unset));
    }

    #[test]
    fn what_has_failed_is_not_said_to_be_dropped_as_well() {
        let mut failed = span().unless_done("interrupted");
        failed.fail("publish", "no leader");
        assert_eq!(told(failed), (Some("publish".to_owned()), Status::error("no leader")));
        assert_eq!(told(span()), (None, Status::Unset));
    }
}
