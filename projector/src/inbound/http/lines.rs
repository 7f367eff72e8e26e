//! Answers that are told line by line, while they come about.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::sync::mpsc;

/// Messages that wait for their caller.
pub(crate) const MESSAGES: usize = 16;

/// Newline-delimited JSON of these messages.
pub(crate) fn lines<M: Serialize + Send + 'static>(messages: mpsc::Receiver<M>) -> Response {
    let lines = stream::unfold(messages, async |mut messages| {
        let message = messages.recv().await?;
        let mut line = serde_json::to_vec(&message).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), messages))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
