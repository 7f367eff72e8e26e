//! Server-sent events: any stream of updates as an answer that does not end by itself.

use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use metrics::Gauge;
use service_kit::auth::Principal;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
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

/// The last event of a stream whose caller's token is not taken any more. It has no id: what comes next is what would have.
const EXPIRED: Bytes = Bytes::from_static(b"event: end\ndata: {\"cause\":\"token-expired\"}\n\n");

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
    /// Until the caller's token is refused.
    token: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    /// At most `limit` streams, each with a heartbeat after this much silence; they end when `stopping` is cancelled.
    pub(super) fn new(limit: usize, heartbeat: Duration, stopping: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { places, heartbeat, stopping, open: metrics::gauge!("orderflow_update_streams") }
    }

    /// Takes a place for this caller, to be done before anything is asked of Redis.
    pub(super) fn place(&self, caller: &Principal) -> Result<Place, QueryError> {
        if self.stopping.is_cancelled() {
            return Err(QueryError::NoMoreStreams);
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| QueryError::NoMoreStreams)?;
        self.open.increment(1);
        let token = Box::pin(tokio::time::sleep(caller.time_left().unwrap_or(Duration::MAX)));
        Ok(Place { streams: self.clone(), token, _permit: permit })
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
    has_expired: bool,
}

impl<U: Updates> Open<U> {
    async fn frame(&mut self) -> Option<Bytes> {
        if self.has_expired {
            return None;
        }
        let Place { streams, token, .. } = &mut self.place;
        tokio::select! {
            biased;
            () = streams.stopping.cancelled() => None,
            () = token => {
                self.has_expired = true;
                Some(EXPIRED)
            }
            update = self.updates.next() => update.as_ref().map(frame),
            () = tokio::time::sleep(streams.heartbeat) => Some(HEARTBEAT),
        }
    }
}

/// The answer that these updates are sent in, each as soon as it is there and the client has taken those before it. It ends
/// when the caller would be refused: whoever comes again needs another token.
pub(super) fn response(place: Place, updates: impl Updates) -> Response {
    let open = Open { place, updates, has_expired: false };
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
