//! Webhook bodies: CloudEvents 1.0 in JSON (structured mode), with the attributes that the topics' headers have.

use chrono::{DateTime, SecondsFormat, Utc};
use events::{Envelope, Event, envelope};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The media type of a body.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// `type` of the event that tells an endpoint's owner, at their other endpoints, that it was disabled.
pub const DISABLED: &str = "webhook.disabled.v1";

#[derive(Serialize)]
struct Body<'a, D> {
    specversion: &'static str,
    id: Uuid,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: Uuid,
    time: String,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recordedat: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: D,
}

/// The body for an event: its data in the current version's shape, and the type name of that.
pub fn body(envelope: &Envelope<'_>, event: &Event) -> Result<String, serde_json::Error> {
    let data = String::from_utf8(event.encode()?).map_err(serde::ser::Error::custom)?;
    serde_json::to_string(&Body {
        specversion: envelope::SPEC_VERSION,
        id: envelope.id.0,
        source: envelope::source(event.context()),
        event_type: event.event_type(),
        subject: envelope.stream_id,
        time: timestamp(envelope.occurred_at),
        datacontenttype: envelope::CONTENT_TYPE,
        recordedat: Some(timestamp(envelope.recorded_at)),
        version: Some(envelope.version),
        correlationid: Some(envelope.correlation_id),
        causationid: envelope.causation_id,
        traceparent: envelope.traceparent.as_deref(),
        data: RawValue::from_string(data)?,
    })
}

/// What was disabled, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Disabled {
    /// The endpoint.
    pub endpoint_id: Uuid,
    /// When its failures began.
    pub failing_since: DateTime<Utc>,
    /// The last of them.
    pub cause: String,
}

/// The body that tells of a disabled endpoint.
pub fn disabled(event_id: Uuid, at: DateTime<Utc>, disabled: &Disabled) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Body {
        specversion: envelope::SPEC_VERSION,
        id: event_id,
        source: "/orderflow/notifier",
        event_type: DISABLED,
        subject: disabled.endpoint_id,
        time: timestamp(at),
        datacontenttype: envelope::CONTENT_TYPE,
        recordedat: None,
        version: None,
        correlationid: None,
        causationid: None,
        traceparent: None,
        data: disabled,
    })
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
