//! The request body as JSON, bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::parse_json;
use crate::problem::Problem;

/// The longest body that is read whole: 1 MiB.
pub const MAX_BODY: usize = 1 << 20;

/// Bound on the arrival of a whole body: a megabyte at the pace of a bad mobile link.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body of at most 1 MiB; an empty one is `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = read_body(request).await?;
        if !is_json && !body.is_empty() {
            return Err(Problem::unsupported_media_type("application/json"));
        }
        parse_json(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The whole body: 413 when it is longer than [`MAX_BODY`], 408 when it takes too long to arrive.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    read_within(request, BODY_TIMEOUT).await
}

async fn read_within(request: Request, bound: Duration) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    // Refused before a byte is read, so that a client that waits for 100-continue never sends it.
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY) {
        return Err(Problem::body_too_large(MAX_BODY));
    }
    tokio::time::timeout(bound, collect(body))
        .await
        .unwrap_or_else(|_| Err(Problem::request_timeout("The body did not arrive in time.")))
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let broken = |error| Problem::invalid_request("The body broke off.").with_cause(error);
    let Some(first) = chunks.next().await.transpose().map_err(broken)? else {
        return Ok(Bytes::new());
    };
    // Nearly every body is one chunk, which needs no copy.
    let mut whole = BytesMut::new();
    let mut length = first.len();
    while let Some(chunk) = chunks.next().await.transpose().map_err(broken)? {
        if whole.is_empty() {
            whole.extend_from_slice(&first);
        }
        length += chunk.len();
        if length > MAX_BODY {
            return Err(Problem::body_too_large(MAX_BODY));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_arrive_in_time_is_a_408() {
        let stalled = futures::stream::iter([Ok::<_, std::io::Error>("{")]).chain(futures::stream::pending());
        let request = Request::new(Body::from_stream(stalled));
        let problem = read_within(request, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(problem.status(), 408);
    }

    #[tokio::test]
    async fn chunks_are_put_together_in_order() {
        let chunks = ["", "{", "", "}"].map(Ok::<_, std::io::Error>);
        let request = Request::new(Body::from_stream(futures::stream::iter(chunks)));
        assert_eq!(read_body(request).await.unwrap(), "{}");
    }
}
