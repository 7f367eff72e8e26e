//! Server-sent events: any stream of updates as an answer that does not end by itself.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::application::{
    QueryError,
    updates::{Update, Updates, What},
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Tells nginx, and what imitates it, to pass events on as they come.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");

/// A comment: proves that both ends are there, and means nothing.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// What all streams of a process share. Cloning shares it.
#[derive(Clone)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    heartbeat: Duration,
    stopping: CancellationToken,
    open: Gauge,
}

/// A place for one stream, given back when it is dropped.
pub(super) struct Place {
    streams: Streams,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    /// At most `limit` streams, each with a heartbeat after this much silence; they end when `stopping` is cancelled.
    pub(super) fn new(limit: usize, heartbeat: Duration, stopping: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { places, heartbeat, stopping, open: metrics::gauge!("orderflow_update_streams") }
    }

    /// Takes a place, to be done before anything is asked of Redis.
    pub(super) fn place(&self) -> Result<Place, QueryError> {
        if self.stopping.is_cancelled() {
            return Err(QueryError::NoMoreStreams);
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| QueryError::NoMoreStreams)?;
        self.open.increment(1);
        Ok(Place { streams: self.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.open.decrement(1);
    }
}

/// The id that a client that was here before got last.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, QueryError> {
    let Some(id) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = id.to_str().map_err(|_| QueryError::BadEventId)?;
    Ok(Some(id).filter(|id| !id.is_empty()))
}

struct Open<U> {
    place: Place,
    updates: U,
}

impl<U: Updates> Open<U> {
    async fn frame(&mut self) -> Option<Bytes> {
        let streams = &self.place.streams;
        tokio::select! {
            biased;
            () = streams.stopping.cancelled() => None,
            update = self.updates.next() => update.as_ref().map(frame),
            () = tokio::time::sleep(streams.heartbeat) => Some(HEARTBEAT),
        }
    }
}

/// The answer that these updates are sent in, each as soon as it is there and the client has taken those before it.
pub(super) fn response(place: Place, updates: impl Updates) -> Response {
    let open = Open { place, updates };
    let frames = futures::stream::unfold(open, async |mut open| {
        let frame = open.frame().await?;
        Some((Ok::<_, Infallible>(frame), open))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(X_ACCEL_BUFFERING, NO);
    response
}

/// The lines of one event. Neither ids nor JSON have line breaks in them.
fn frame(update: &Update) -> Bytes {
    let reset;
    let (event, data): (&str, &[u8]) = match &update.what {
        What::View(json) => ("view", json),
        What::Change(json) => ("change", json),
        What::Reset(cause) => {
            reset = format!("{{\"cause\":\"{}\"}}", cause.name());
            ("reset", reset.as_bytes())
        }
        // No event: clients remember the id, and tell nobody.
        What::Nothing => return Bytes::from(format!("id: {}\n\n", update.id)),
    };
    let parts = [b"event: ", event.as_bytes(), b"\nid: ", update.id.as_bytes(), b"\ndata: ", data, b"\n\n"];
    Bytes::from(parts.concat())
}
