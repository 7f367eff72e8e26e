//! Who calls the provider, under which key, and how they want it to behave.

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, header, request::Parts};
use service_kit::problem::Problem;

use super::Api;
use crate::domain::behaviour::{Behaviour, UnknownBehaviour};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SANDBOX_BEHAVIOUR: HeaderName = HeaderName::from_static("sandbox-behaviour");

/// The longest key that is taken.
const MAX_KEY: usize = 255;

/// Somebody with the provider's key.
pub(super) struct Caller;

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let wanted = format!("Bearer {}", api.0.key.expose());
        if text(&parts.headers, &header::AUTHORIZATION).is_some_and(|sent| sent == wanted) {
            return Ok(Self);
        }
        Err(Problem::unauthenticated("Send Authorization: Bearer with the sandbox's key."))
    }
}

/// What every call has that does something.
pub(super) struct Terms {
    pub(super) key: String,
    pub(super) behaviour: Option<Behaviour>,
}

impl<S: Sync> FromRequestParts<S> for Terms {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let key = text(&parts.headers, &IDEMPOTENCY_KEY).filter(|key| (1..=MAX_KEY).contains(&key.len()));
        let key = key.ok_or_else(|| Problem::invalid_parameter("Idempotency-Key", "is 1 to 255 characters"))?.to_owned();
        let behaviour = text(&parts.headers, &SANDBOX_BEHAVIOUR).map(str::parse).transpose();
        let unknown = |error: UnknownBehaviour| Problem::invalid_parameter("Sandbox-Behaviour", error.to_string());
        Ok(Self { key, behaviour: behaviour.map_err(unknown)? })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
