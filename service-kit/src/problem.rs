//! One shape for every error that leaves a service: `application/problem+json` (RFC 9457).
//!
//! A problem says what the caller did wrong or what to do next. What went wrong inside stays in
//! [`Problem::cause`], which is logged once by the route that answers and never sent.

use std::borrow::Cow;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// The namespace of problem types; a slug is appended.
pub const TYPE_BASE: &str = "https://orderflow.dev/problems/";

/// The media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Bytes of a text that may quote the caller, at most.
const MAX_QUOTED: usize = 512;

/// An error answer: slug, status and detail, with optional members.
#[derive(Clone)]
pub struct Problem(Box<Parts>);

#[derive(Clone)]
struct Parts {
    slug: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<Value>,
    members: Map<String, Value>,
    retry_after: Option<u64>,
    cause: Option<String>,
}

/// What went wrong inside, carried from a [`Problem`] to the route that logs it.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) String);

impl Problem {
    /// A problem of a type that has no constructor here; prefer those that have.
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            slug,
            title,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// 400: the request cannot be understood.
    pub fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", "The request is not valid", detail)
    }

    /// 400: one field of the body is wrong; `pointer` is its JSON pointer.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid_request("The request body is not valid.").with_error(pointer, detail)
    }

    /// 400: a parameter of the path or query, or a header, is wrong.
    pub fn invalid_parameter(parameter: impl Into<String>, detail: impl Into<String>) -> Self {
        let (parameter, detail) = (quoted(parameter.into()), quoted(detail.into()));
        let mut problem = Self::invalid_request(format!("The parameter `{parameter}` is not valid."));
        problem.0.errors.push(json!({"parameter": parameter, "detail": detail}));
        problem
    }

    /// 401: no token, or none that can be trusted.
    pub fn unauthenticated(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Authentication is required", detail)
    }

    /// 403: the caller is known, and no role of theirs may do this.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// 404: it does not exist, or the caller may not know that it does.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 405: the path exists, the method does not.
    pub fn method_not_allowed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// 408: the body did not arrive in time.
    pub fn request_timeout(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "The request took too long to arrive", detail)
    }

    /// 413: the body, or a line of it, is longer than `limit` bytes.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The request body is too large",
            format!("At most {limit} bytes are accepted."),
        )
        .with_member("limit", limit)
    }

    /// 415: `expected` is the only media type taken here.
    pub fn unsupported_media_type(expected: &'static str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            format!("Send Content-Type: {expected}."),
        )
    }

    /// 409: something with this id exists already.
    pub fn already_exists(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "already-exists", "It exists already", detail)
    }

    /// 409: an active user has this e-mail address.
    pub fn email_taken(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "email-taken", "The e-mail address is taken", detail)
    }

    /// 409: a product has this SKU.
    pub fn sku_taken(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "sku-taken", "The SKU is taken", detail)
    }

    /// 409: the state does not allow it (`rule` names the rule, as `AlreadyShipped`).
    pub fn rule_conflict(rule: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "rule-violated", "A rule of the domain forbids it", detail).with_member("rule", rule)
    }

    /// 422: the content breaks a rule (`rule` names the rule, as `InsufficientStock`).
    pub fn rule_violated(rule: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "rule-violated", "A rule of the domain forbids it", detail)
            .with_member("rule", rule)
    }

    /// 412: `If-Match` names another version than the current one.
    pub fn precondition_failed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "The version is another", detail)
    }

    /// 422: the key was used for another request.
    pub fn idempotency_key_reused(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "The idempotency key belongs to another request",
            detail,
        )
    }

    /// 503: too much at once; the same request may succeed after `retry_after` seconds.
    pub fn overloaded(detail: impl Into<Cow<'static, str>>, retry_after: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too busy", detail).with_retry_after(retry_after)
    }

    /// 503: something that is needed cannot be reached; `cause` is for the log.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, cause: impl fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable", detail)
            .with_retry_after(1)
            .with_cause(cause)
    }

    /// 500: a bug or an unforeseen failure; `cause` is for the log, the caller learns nothing of it.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "Something went wrong here; the log has the details under this answer's X-Request-Id.",
        )
        .with_cause(cause)
    }

    /// Adds an item to `errors`: what is wrong with the field at `pointer` (a JSON pointer).
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(json!({"pointer": quoted(pointer.into()), "detail": quoted(detail.into())}));
        self
    }

    /// Sets an extension member.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the `Retry-After` header and the `retry_after` member, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Keeps what went wrong inside for the log; it is never sent.
    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The last part of the type URI.
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// The explanation of this occurrence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What went wrong inside, for the log.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The JSON object that is sent (also used inside lines of a stream).
    pub fn to_value(&self) -> Value {
        let parts = &*self.0;
        // The standard members are written last, so no extension can shadow them.
        let mut object = parts.members.clone();
        if !parts.errors.is_empty() {
            object.insert("errors".into(), Value::Array(parts.errors.clone()));
        }
        if let Some(seconds) = parts.retry_after {
            object.insert("retry_after".into(), seconds.into());
        }
        object.insert("type".into(), format!("{TYPE_BASE}{}", parts.slug).into());
        object.insert("title".into(), parts.title.into());
        object.insert("status".into(), parts.status.as_u16().into());
        object.insert("detail".into(), parts.detail.as_ref().into());
        Value::Object(object)
    }
}

/// Cuts what may quote the caller: a megabyte of a name comes back as its beginning.
fn quoted(mut text: String) -> String {
    if text.len() > MAX_QUOTED {
        text.truncate(text.floor_char_boundary(MAX_QUOTED));
        text.push('…');
    }
    text
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem").field("body", &self.to_value()).field("cause", &self.0.cause).finish()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.slug, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.to_value().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.0.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

#[cfg(test)]
mod tests;
