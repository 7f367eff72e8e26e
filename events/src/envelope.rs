//! What travels with an event: CloudEvents 1.0 in Kafka's binary mode, and the JSON form of the feed.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

use crate::{Context, DecodeError, EventId, StreamId};

/// `ce_specversion` of every message.
pub const SPEC_VERSION: &str = "1.0";

/// `content-type` of every message.
pub const CONTENT_TYPE: &str = "application/json";

/// Everything about an event but its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The event.
    pub id: EventId,
    /// The aggregate it happened to; the record's key.
    pub stream_id: StreamId,
    /// The versioned type name, such as `order.placed.v1`.
    pub event_type: Cow<'a, str>,
    /// The position in the stream: gapless, from 1.
    pub version: u64,
    /// The lane of the event store that holds it.
    pub lane: u16,
    /// The position in the lane: gapless, from 1, in commit order.
    pub seq: u64,
    /// When it happened. In the past for imported events.
    pub occurred_at: DateTime<Utc>,
    /// When it was decided here.
    pub recorded_at: DateTime<Utc>,
    /// Shared by all that one request set in motion.
    pub correlation_id: Uuid,
    /// The event or command that led to this one.
    pub causation_id: Option<Uuid>,
    /// W3C trace context of the command.
    pub traceparent: Option<Cow<'a, str>>,
}

impl Envelope<'_> {
    /// Calls `header` with each header's name and value, in a fixed order.
    pub fn write_headers(&self, context: Context, mut header: impl FnMut(&'static str, &str)) {
        let mut buffer = Uuid::encode_buffer();
        header("ce_specversion", SPEC_VERSION);
        header("ce_id", self.id.0.hyphenated().encode_lower(&mut buffer));
        header("ce_type", &self.event_type);
        header("ce_source", source(context));
        header("ce_subject", self.stream_id.hyphenated().encode_lower(&mut buffer));
        let recorded_at = timestamp(self.recorded_at);
        let imported = (self.occurred_at != self.recorded_at).then(|| timestamp(self.occurred_at));
        header("ce_time", imported.as_ref().unwrap_or(&recorded_at));
        header("ce_recordedat", &recorded_at);
        header("ce_version", itoa::Buffer::new().format(self.version));
        header("ce_lane", itoa::Buffer::new().format(self.lane));
        header("ce_seq", itoa::Buffer::new().format(self.seq));
        header("ce_correlationid", self.correlation_id.hyphenated().encode_lower(&mut buffer));
        if let Some(causation) = self.causation_id {
            header("ce_causationid", causation.hyphenated().encode_lower(&mut buffer));
        }
        if let Some(traceparent) = &self.traceparent {
            header("traceparent", traceparent);
        }
        header("content-type", CONTENT_TYPE);
    }
}

impl<'a> Envelope<'a> {
    /// Reads the headers of a record; unknown ones are passed over.
    pub fn from_headers(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, DecodeError> {
        let mut found = Found::default();
        for (name, value) in headers {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            let slot = match name {
                "ce_id" => &mut found.id,
                "ce_type" => &mut found.event_type,
                "ce_subject" => &mut found.subject,
                "ce_time" => &mut found.time,
                "ce_recordedat" => &mut found.recorded_at,
                "ce_version" => &mut found.version,
                "ce_lane" => &mut found.lane,
                "ce_seq" => &mut found.seq,
                "ce_correlationid" => &mut found.correlation,
                "ce_causationid" => &mut found.causation,
                "traceparent" => &mut found.traceparent,
                _ => continue,
            };
            *slot = Some(value);
        }
        found.envelope()
    }

    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Envelope<'static> {
        Envelope {
            id: self.id,
            stream_id: self.stream_id,
            event_type: Cow::Owned(self.event_type.into_owned()),
            version: self.version,
            lane: self.lane,
            seq: self.seq,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent.map(|traceparent| Cow::Owned(traceparent.into_owned())),
        }
    }
}

#[derive(Default)]
struct Found<'a> {
    id: Option<&'a str>,
    event_type: Option<&'a str>,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    recorded_at: Option<&'a str>,
    version: Option<&'a str>,
    lane: Option<&'a str>,
    seq: Option<&'a str>,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    traceparent: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn envelope(self) -> Result<Envelope<'a>, DecodeError> {
        fn parse<T: std::str::FromStr>(name: &'static str, value: Option<&str>) -> Result<T, DecodeError> {
            value.and_then(|text| text.parse().ok()).ok_or(DecodeError::Header(name))
        }
        Ok(Envelope {
            id: parse("ce_id", self.id)?,
            stream_id: parse("ce_subject", self.subject)?,
            event_type: Cow::Borrowed(self.event_type.ok_or(DecodeError::Header("ce_type"))?),
            version: parse("ce_version", self.version)?,
            lane: parse("ce_lane", self.lane)?,
            seq: parse("ce_seq", self.seq)?,
            occurred_at: parse("ce_time", self.time)?,
            recorded_at: parse("ce_recordedat", self.recorded_at)?,
            correlation_id: parse("ce_correlationid", self.correlation)?,
            causation_id: self.causation.map(|id| parse("ce_causationid", Some(id))).transpose()?,
            traceparent: self.traceparent.map(Cow::Borrowed),
        })
    }
}

/// `ce_source` of a context's events.
#[must_use]
pub const fn source(context: Context) -> &'static str {
    context.source()
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// An event with its envelope, as the feed and the history endpoint give it (JSON).
// Who only passes it on may have its data as a `String`, which nobody parses.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RecordedEvent<D = Box<RawValue>> {
    /// The event.
    pub id: EventId,
    /// The aggregate it happened to.
    pub stream_id: StreamId,
    /// The versioned type name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The position in the stream, from 1.
    pub version: u64,
    /// The lane of the event store.
    pub lane: u16,
    /// The position in the lane, from 1.
    pub seq: u64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was decided here.
    pub recorded_at: DateTime<Utc>,
    /// Shared by all that one request set in motion.
    pub correlation_id: Uuid,
    /// The event or command that led to this one.
    pub causation_id: Option<Uuid>,
    /// W3C trace context of the command.
    pub traceparent: Option<String>,
    /// The event's JSON, byte for byte as stored.
    #[schemars(with = "Map<String, Value>")]
    pub data: D,
}

impl<D> RecordedEvent<D> {
    /// The envelope, borrowing from this event.
    #[must_use]
    pub fn envelope(&self) -> Envelope<'_> {
        Envelope {
            id: self.id,
            stream_id: self.stream_id,
            event_type: Cow::Borrowed(&self.event_type),
            version: self.version,
            lane: self.lane,
            seq: self.seq,
            occurred_at: self.occurred_at,
            recorded_at: self.recorded_at,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            traceparent: self.traceparent.as_deref().map(Cow::Borrowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope<'static> {
        Envelope {
            id: EventId(Uuid::from_u128(1)),
            stream_id: Uuid::from_u128(2),
            event_type: Cow::Borrowed("order.placed.v1"),
            version: 1,
            lane: 3,
            seq: 4,
            occurred_at: DateTime::from_timestamp_micros(1_291_192_000_000_123).unwrap(),
            recorded_at: DateTime::from_timestamp_micros(1_791_192_000_000_000).unwrap(),
            correlation_id: Uuid::from_u128(5),
            causation_id: Some(Uuid::from_u128(6)),
            traceparent: Some(Cow::Borrowed("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        }
    }

    fn headers(envelope: &Envelope<'_>) -> Vec<(String, Vec<u8>)> {
        let mut headers = Vec::new();
        envelope.write_headers(Context::Orders, |name, value| headers.push((name.to_owned(), value.as_bytes().to_vec())));
        headers
    }

    #[test]
    fn headers_round_trip() {
        let headers = headers(&envelope());
        let read = Envelope::from_headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))).unwrap();
        assert_eq!(read, envelope());
    }

    #[test]
    fn names_the_missing_header() {
        let headers = headers(&envelope());
        let rest = headers.iter().filter(|(name, _)| name != "ce_version");
        let error = Envelope::from_headers(rest.map(|(name, value)| (name.as_str(), value.as_slice()))).unwrap_err();
        assert!(matches!(error, DecodeError::Header("ce_version")));
    }
}
