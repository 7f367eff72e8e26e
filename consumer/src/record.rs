//! A topic's record as an event.

use std::fmt;

use events::{Context, DecodeError, Envelope, Event};
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} at {}", self.topic, self.partition, self.offset)
    }
}

/// An event as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Where it is.
    pub position: Position,
    /// Everything about it but its data.
    pub envelope: Envelope<'static>,
    /// What happened.
    pub event: Event,
}

/// The event of a context that a record is.
pub fn read(context: Context, message: &BorrowedMessage<'_>) -> Result<(Envelope<'static>, Event), DecodeError> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let envelope = Envelope::from_headers(headers.filter_map(|header| Some((header.key, header.value?))))?;
    let event = Event::decode(context, &envelope.event_type, message.payload().unwrap_or_default())?;
    Ok((envelope.into_owned(), event))
}

/// What a record turned out to be.
#[derive(Debug)]
pub(crate) enum Read {
    /// An event.
    Event(Received),
    /// An event of a type that this build does not know: from a newer one, which this service has no use for yet.
    Unknown,
    /// Nothing that can be read.
    Unreadable { position: Position, key: Option<Vec<u8>>, why: DecodeError },
}

impl Read {
    pub(crate) fn of(context: Context, message: &BorrowedMessage<'_>) -> Self {
        let position = Position { topic: message.topic().to_owned(), partition: message.partition(), offset: message.offset() };
        match read(context, message) {
            Ok((envelope, event)) => Self::Event(Received { position, envelope, event }),
            Err(DecodeError::UnknownType { .. }) => Self::Unknown,
            Err(why) => Self::Unreadable { position, key: message.key().map(<[u8]>::to_vec), why },
        }
    }
}
