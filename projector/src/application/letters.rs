//! Dead letters: events that could not be handled, as they go out.

use chrono::{DateTime, Utc};
use events::{Context, Envelope, StreamId};

/// One event that could not be handled, or one that follows such an event in its stream.
///
/// It is identified by projection, stream and version ([`DeadLetter::id`]): Redis remembers up to which version a stream's
/// events were sent, and who reads the topic drops what a crash in between sent twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The original key.
    pub key: Option<Vec<u8>>,
    /// The original headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The original value.
    pub value: Option<Vec<u8>>,
    /// What is wrong with it.
    pub cause: String,
    /// The same for equal failures; an event that follows a parked one has that one's.
    pub fingerprint: String,
    /// The projection that could not handle it, and its version.
    pub projection: (Context, u32),
    /// Where it was met; for an event from the event store, where that was needed.
    pub position: Position,
    /// Stream and version, where the record names them.
    pub event: Option<(StreamId, u64)>,
    /// When it was given up.
    pub at: DateTime<Utc>,
}

/// A record's place in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
}

impl DeadLetter {
    /// What tells this letter from all others, however often it was sent.
    #[must_use]
    pub fn id(&self) -> String {
        let (context, version) = self.projection;
        match self.event {
            Some((stream, event)) => format!("{context}@{version}/{stream}/{event}"),
            None => {
                let Position { topic, partition, offset } = &self.position;
                format!("{context}@{version}/{topic}/{partition}/{offset}")
            }
        }
    }

    /// The headers that are added to the original ones.
    #[must_use]
    pub fn cause_headers(&self) -> Vec<(&'static str, String)> {
        let Position { topic, partition, offset } = &self.position;
        let (context, projection) = self.projection;
        let mut headers = vec![
            ("dl_id", self.id()),
            ("dl_cause", self.cause.clone()),
            ("dl_fingerprint", self.fingerprint.clone()),
            ("dl_projection", context.to_string()),
            ("dl_projection_version", projection.to_string()),
            ("dl_topic", topic.clone()),
            ("dl_partition", partition.to_string()),
            ("dl_offset", offset.to_string()),
            ("dl_at", self.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        ];
        if let Some((stream, version)) = self.event {
            headers.push(("dl_stream", stream.to_string()));
            headers.push(("dl_version", version.to_string()));
        }
        headers
    }
}

/// The headers of an event that came from the history, as its record has them.
#[must_use]
pub fn headers_of(envelope: &Envelope<'_>, context: Context) -> Vec<(String, Option<Vec<u8>>)> {
    let mut headers = Vec::new();
    envelope.write_headers(context, |name, value| headers.push((name.to_owned(), Some(value.as_bytes().to_vec()))));
    headers
}
