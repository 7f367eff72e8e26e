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
        let is_remote = matches!(kind, SpanKind::Server | SpanKind::Consumer | SpanKind::Producer);
        Self::begin(parent.child(), Some(Parent { span_id: parent.span_id, is_remote }), kind, name)
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
        Self(Some(Box::new(Recording {
            context,
            parent,
            kind,
            name: name().into(),
            start: SystemTime::now(),
            attributes: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
            phase: None,
        })))
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
            recording.attributes.push(KeyValue::new("error.type", kind));
            recording.status = Status::error(cause.to_string());
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
    fn end_phase(&mut self, at: SystemTime) {
        let Some((name, start)) = self.phase.take() else { return };
        let parent = Parent { span_id: self.context.span_id, is_remote: false };
        let phase = Self {
            context: self.context.child(),
            parent: Some(parent),
            kind: SpanKind::Internal,
            name: Cow::Borrowed(name),
            start,
            attributes: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
            phase: None,
        };
        phase.export(at);
    }

    fn end(mut self, at: SystemTime) {
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
