//! W3C trace context: which distributed operation a request or an event belongs to; and the spans that tell how it went.
//!
//! Only `traceparent` is kept. It travels from the HTTP request to the event, from there to the
//! Kafka record, and on to whoever continues the work. Its flag says whether the trace is recorded: whoever begins a trace
//! decides that once (`OTEL_TRACES_SAMPLER_ARG`), and everybody after it obeys. A [`Span`] of a trace that is not recorded is
//! nothing: no allocation, no clock.

mod ambient;
mod messages;
mod outgoing;
pub(crate) mod sampling;
mod span;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use bytes::BytesMut;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

pub use self::{
    ambient::{current, scope},
    messages::{Message, Messages, Operation},
    outgoing::Outgoing,
    span::Span,
};
pub use opentelemetry::trace::SpanKind;

/// The name of the header, on HTTP and on Kafka alike.
pub const TRACEPARENT: &str = "traceparent";

/// A `traceparent`'s length in version 00: `00-` 32 hex `-` 16 hex `-` 2 hex.
const LENGTH: usize = 55;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The flag that says that this trace is recorded.
const SAMPLED: u8 = 1;

/// A position in a trace: the trace's id, the span's id, and flags.
///
/// As an extractor it is this request's own span: a child of the caller's `traceparent`, or the
/// root of a new trace where that is missing or malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// Why a `traceparent` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct InvalidTraceparent;

impl TraceContext {
    /// The root of a new trace, and the decision whether it is recorded.
    #[expect(clippy::new_without_default, reason = "every value is another, which a default should not be")]
    pub fn new() -> Self {
        let trace_id = fastrand::u128(1..);
        Self { trace_id, span_id: fastrand::u64(1..), flags: u8::from(sampling::is_chosen(trace_id)) * SAMPLED }
    }

    /// The root of a new trace that is recorded because others are that it is about.
    fn recorded_root() -> Self {
        Self { trace_id: fastrand::u128(1..), span_id: fastrand::u64(1..), flags: SAMPLED }
    }

    /// A new span in the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: fastrand::u64(1..), ..*self }
    }

    /// The span for handling a request with these headers.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::of_request(headers).0
    }

    /// The same, and the caller's own span, if there is one.
    pub(crate) fn of_request(headers: &HeaderMap) -> (Self, Option<Self>) {
        let mut values = headers.get_all(TRACEPARENT).iter();
        // The specification: more than one traceparent is as good as none.
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(|text| text.parse::<Self>().ok()),
            _ => None,
        };
        (parent.map_or_else(Self::new, |parent| parent.child()), parent)
    }

    /// The trace's id: 32 hex digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The trace's id as a header's value, without a detour over `String`: it is made per request.
    pub(crate) fn trace_id_header(&self) -> HeaderValue {
        let mut digits = BytesMut::with_capacity(32);
        for byte in self.trace_id.to_be_bytes() {
            digits.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        HeaderValue::from_maybe_shared(digits.freeze()).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }

    /// The span's id: 16 hex digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Whether this trace is recorded, by whoever records any.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether this process records spans of it.
    pub fn is_recorded(&self) -> bool {
        self.is_sampled() && is_on()
    }
}

/// Whether this process exports traces at all (`OTEL_EXPORTER_OTLP_ENDPOINT`).
pub fn is_on() -> bool {
    crate::telemetry::spans().is_some()
}

/// The context in an event's `traceparent`, if this process records spans of that trace.
pub fn recorded(traceparent: Option<&str>) -> Option<TraceContext> {
    // By far the most are not, and their last digit says so.
    let text = traceparent.filter(|text| !text.ends_with('0') && is_on())?;
    text.parse().ok().filter(TraceContext::is_sampled)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        if bytes.len() < LENGTH || bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
            return Err(InvalidTraceparent);
        }
        let version = hex(&bytes[..2])?;
        // Version 00 has exactly these fields; a later one may append more after another dash.
        let tail_fits = match version {
            0 => bytes.len() == LENGTH,
            255 => false,
            _ => bytes.len() == LENGTH || bytes[LENGTH] == b'-',
        };
        let trace_id = hex(&bytes[3..35])?;
        let span_id = u64::try_from(hex(&bytes[36..52])?).map_err(|_| InvalidTraceparent)?;
        let flags = u8::try_from(hex(&bytes[53..55])?).map_err(|_| InvalidTraceparent)?;
        if !tail_fits || trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceparent);
        }
        Ok(Self { trace_id, span_id, flags: flags & SAMPLED })
    }
}

/// Lower-case hex only, as the specification demands (`u128::from_str_radix` takes capitals and `+`).
fn hex(digits: &[u8]) -> Result<u128, InvalidTraceparent> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(InvalidTraceparent),
        };
        Ok(value << 4 | u128::from(digit))
    })
}

impl<S: Sync> FromRequestParts<S> for TraceContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_else(|| Self::from_headers(&parts.headers)))
    }
}

#[cfg(test)]
mod tests;
