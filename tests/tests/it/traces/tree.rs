//! The spans of one trace, and of batches that have to do with it.

use std::collections::HashSet;

use system_tests::collector::Span;

/// What a collector was told, seen from one trace.
#[derive(Debug)]
pub(super) struct Tree {
    /// Of the trace.
    spans: Vec<Span>,
    /// Of other traces.
    others: Vec<Span>,
}

impl Tree {
    pub(super) fn new(spans: Vec<Span>, trace: &str) -> Self {
        let (spans, others) = spans.into_iter().partition(|span| span.trace_id == trace);
        Self { spans, others }
    }

    /// The end of a way down from a span: of several that are alike, one from which the way goes on.
    pub(super) fn find(&self, from: &str, way: &[(&'static str, String)]) -> Option<&Span> {
        let ((service, name), rest) = way.split_first()?;
        let mut next = self.spans.iter().filter(|span| span.parent == from && span.service == *service && span.name == *name);
        if rest.is_empty() { next.next() } else { next.find_map(|span| self.find(&span.span_id, rest)) }
    }

    pub(super) fn at(&self, from: &str, way: &[(&'static str, String)]) -> &Span {
        self.find(from, way).unwrap_or_else(|| panic!("nobody has told of {way:?} under {from}: {self:?}"))
    }

    /// A span of another trace.
    pub(super) fn batch(&self, service: &str, name: &str, id: &str) -> &Span {
        let found = self.others.iter().find(|span| span.span_id == id && span.service == service && span.name == name);
        found.unwrap_or_else(|| panic!("{service} has told of no {name:?} with the id {id}: {:?}", self.others))
    }

    /// A part of a batch.
    pub(super) fn of_batch(&self, id: &str) -> &Span {
        self.others.iter().find(|span| span.parent == id).unwrap_or_else(|| panic!("no part of {id}: {:?}", self.others))
    }

    /// Spans of traces that have nothing to do with this one.
    pub(super) fn strangers(&self) -> Vec<&Span> {
        let own: HashSet<_> = self.spans.iter().map(|span| &span.trace_id).collect();
        let linked = self.others.iter().filter(|span| span.links.iter().any(|(trace, _)| own.contains(trace)));
        let known: HashSet<_> = linked.map(|span| &span.trace_id).collect();
        self.others.iter().filter(|span| !known.contains(&span.trace_id)).collect()
    }
}
