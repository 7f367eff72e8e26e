//! Views and pages as HTTP answers. JSON is passed on, never parsed.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use read_model::Flags;
use service_kit::problem::Problem;

use super::{freshness::Wanted, prefer::PREFERENCE_APPLIED};
use crate::{
    application::{QueryError, lists::Page},
    outbound::redis::View,
};

/// Says that a view is known to lack later events.
const ORDERFLOW_VIEW: HeaderName = HeaderName::from_static("orderflow-view");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Every answer depends on who asks, and is worth a question by `If-None-Match` each time.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The answer to a read of one view.
pub(super) fn view(outcome: Result<View, QueryError>, wanted: Wanted) -> Response {
    let mut response = match outcome {
        Ok(view) => found(view, &wanted),
        Err(error) => Problem::from(error).into_response(),
    };
    if let Some(applied) = wanted.applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    response
}

fn found(view: View, wanted: &Wanted) -> Response {
    let mut response = if wanted.knows(&view.etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().insert(header::CACHE_CONTROL, PRIVATE);
        response
    } else {
        json(view.json)
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, view.etag);
    if view.header.flags.is_stale() {
        headers.insert(ORDERFLOW_VIEW, stale(view.header.flags));
    }
    response
}

fn stale(flags: Flags) -> HeaderValue {
    HeaderValue::from_static(if flags.is_parked() { "stale; parked" } else { "stale" })
}

/// The answer with a page of a list.
pub(super) fn page(page: &Page) -> Response {
    json(assemble(page))
}

/// Any JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(header::CACHE_CONTROL, PRIVATE);
    response
}

fn assemble(page: &Page) -> Vec<u8> {
    let length: usize = page.items.iter().map(|view| view.json.len() + 1).sum();
    let mut body = Vec::with_capacity(length + 128);
    body.extend(b"{\"items\":[");
    for (position, view) in page.items.iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        body.extend(&view.json);
    }
    body.extend(b"],\"next\":");
    match &page.next {
        // A cursor has letters, digits, `-` and `_` only: nothing to escape.
        Some(next) => body.extend([b"\"", next.as_bytes(), b"\""].concat()),
        None => body.extend(b"null"),
    }
    body.push(b'}');
    body
}
