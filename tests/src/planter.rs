//! A producer of the tests' own: records that no relay would send.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    context::Context,
    oracle::partition_of,
    stack::{PARTITIONS, Stack},
};

/// The header that tells such records from the relay's.
pub const PLANTED: &str = "x-planted";

/// A record to be put into a context's topic.
#[derive(Debug, Clone)]
pub struct Plant {
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Plant {
    /// A well-formed event with this type and data.
    #[must_use]
    pub fn event(stream: Uuid, version: u64, event_type: &str, data: &Value) -> Self {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let headers = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", Uuid::now_v7().to_string()),
            ("ce_type", event_type.to_owned()),
            ("ce_source", "/orderflow/test".to_owned()),
            ("ce_subject", stream.to_string()),
            ("ce_time", now.clone()),
            ("ce_recordedat", now),
            ("ce_version", version.to_string()),
            ("ce_lane", "0".to_owned()),
            ("ce_seq", "1".to_owned()),
            ("ce_correlationid", Uuid::now_v7().to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).into();
        Self { headers, key: stream.to_string(), value: data.to_string().into_bytes() }
    }

    /// The event as the command service's feed or history gives it.
    #[must_use]
    pub fn recorded(context: Context, event: &Value) -> Self {
        let text = |name: &str| match &event[name] {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let mut headers =
            vec![("ce_specversion".to_owned(), "1.0".to_owned()), ("ce_source".to_owned(), format!("/orderflow/{context}"))];
        for (header, member) in [
            ("ce_id", "id"),
            ("ce_type", "type"),
            ("ce_subject", "stream_id"),
            ("ce_time", "occurred_at"),
            ("ce_recordedat", "recorded_at"),
            ("ce_version", "version"),
            ("ce_lane", "lane"),
            ("ce_seq", "seq"),
            ("ce_correlationid", "correlation_id"),
            ("ce_causationid", "causation_id"),
            ("traceparent", "traceparent"),
        ] {
            headers.extend(text(member).map(|value| (header.to_owned(), value)));
        }
        Self { headers, key: text("stream_id").unwrap_or_default(), value: event["data"].to_string().into_bytes() }
    }

    /// Puts it into the topic, marked as planted: the oracle passes over it.
    pub async fn plant(&self, stack: &Stack, context: Context) {
        let mut marked = self.clone();
        marked.headers.push((PLANTED.to_owned(), "yes".to_owned()));
        marked.plant_unmarked(stack, context).await;
    }

    /// Puts it into the topic as if a relay had.
    pub async fn plant_unmarked(&self, stack: &Stack, context: Context) {
        let producer: FutureProducer =
            ClientConfig::new().set("bootstrap.servers", &stack.topics.brokers).set("acks", "all").create().expect("a producer");
        let mut headers = OwnedHeaders::new();
        for (key, value) in &self.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let topic = stack.topics.events(context);
        let record = FutureRecord::to(&topic)
            .partition(partition_of(self.key.as_bytes(), PARTITIONS))
            .key(&self.key)
            .payload(&self.value)
            .headers(headers);
        producer.send(record, Duration::from_secs(10)).await.expect("the record is stored");
    }
}
