//! What a caller wants to know of a view: how fresh it is to be, and which version they have already.

use axum::extract::FromRequestParts;
use http::{HeaderValue, header, request::Parts};
use schemars::JsonSchema;
use serde::Deserialize;
use service_kit::{json::Query, problem::Problem};

use super::prefer;
use crate::application::reading::Freshness;

/// `min_version` with `Prefer: wait=…`, and `If-None-Match`.
pub(super) struct Wanted {
    pub(super) freshness: Option<Freshness>,
    /// What to answer in `Preference-Applied`.
    pub(super) applied: Option<HeaderValue>,
    known: Option<HeaderValue>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// The version that the view must have at least.
    min_version: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let known = parts.headers.get(header::IF_NONE_MATCH).cloned();
        // Most reads have no query: they skip its parsing.
        let min_version = match parts.uri.query() {
            None => None,
            Some(_) => Query::<Parameters>::from_request_parts(parts, state).await?.0.min_version,
        };
        let Some(min_version) = min_version else { return Ok(Self { freshness: None, applied: None, known }) };
        // The preference means something only with a version to wait for.
        let wait = prefer::wait(&parts.headers);
        let freshness = Freshness { min_version, wait: wait.unwrap_or_default() };
        Ok(Self { freshness: Some(freshness), applied: wait.map(prefer::applied), known })
    }
}

impl Wanted {
    /// Whether the caller has the representation with this tag (RFC 9110: weak comparison).
    pub(super) fn knows(&self, etag: &HeaderValue) -> bool {
        let Some(known) = &self.known else { return false };
        let matches = |tag: &[u8]| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
        };
        known == etag || known.as_bytes().split(|byte| *byte == b',').any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_tags_weakly() {
        let etag = HeaderValue::from_static("\"3\"");
        for (known, expected) in [
            (None, false),
            (Some("\"3\""), true),
            (Some("W/\"3\""), true),
            (Some("\"1\", W/\"2\",\"3\""), true),
            (Some("*"), true),
            (Some("\"33\""), false),
            (Some("3"), false),
            (Some(""), false),
        ] {
            let wanted = Wanted { freshness: None, applied: None, known: known.map(HeaderValue::from_static) };
            assert_eq!(wanted.knows(&etag), expected, "{known:?}");
        }
    }
}
