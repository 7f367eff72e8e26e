//! Clients of live updates, and change logs written as the projector writes them.

use std::collections::HashMap;

use events::Context;
use read_model::{Slot, keys::Change};
use uuid::Uuid;

use super::{PATIENCE, Shop};

/// What a stream carries, comments and bare ids too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// `:` for a comment, empty for a bare id.
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Event {
    fn parse(block: &str) -> Self {
        let mut event = Self { name: String::new(), id: String::new(), data: String::new() };
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.trim_start().to_owned();
            match field {
                "" => ":".clone_into(&mut event.name),
                "event" => event.name = value,
                "id" => event.id = value,
                "data" => event.data = value,
                other => panic!("{other}: {block}"),
            }
        }
        event
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn version(&self) -> u64 {
        self.json()["version"].as_u64().unwrap()
    }

    /// What of a change tells it apart from others.
    pub(crate) fn change(&self) -> (String, u64) {
        assert_eq!(self.name, "change", "{self:?}");
        (self.json()["id"].as_str().unwrap().to_owned(), self.version())
    }
}

/// An open stream.
pub(crate) struct Stream {
    response: reqwest::Response,
    received: String,
}

impl Stream {
    /// The next block; none at the end, however it came.
    pub(crate) async fn next_block(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.received.split_once("\n\n") {
                let event = Event::parse(block);
                self.received = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE * 2, self.response.chunk()).await.expect("something is sent in time");
            self.received += std::str::from_utf8(&chunk.ok()??).unwrap();
        }
    }

    /// The next event that clients see.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let block = self.next_block().await.expect("the stream goes on");
            if !matches!(&*block.name, "" | ":") {
                return block;
            }
        }
    }

    pub(crate) async fn changes(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await);
        }
        events
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) {
        while self.next_block().await.is_some() {}
    }
}

/// Each stream's versions in the order in which they were told.
pub(crate) fn by_stream<'e>(events: impl IntoIterator<Item = &'e Event>) -> HashMap<String, Vec<u64>> {
    let mut streams: HashMap<String, Vec<u64>> = HashMap::new();
    for event in events {
        let (id, version) = event.change();
        streams.entry(id).or_default().push(version);
    }
    streams
}

impl Shop {
    /// Opens a stream, after the event with this id if there is one.
    pub(crate) async fn follow(&self, path: &str, token: &str, last: &str) -> Stream {
        self.try_follow(path, token, last).await.unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    /// The same, or the status of the refusal.
    pub(crate) async fn try_follow(&self, path: &str, token: &str, last: &str) -> Result<Stream, u16> {
        let mut request = self.http.get(format!("{}{path}", self.address)).bearer_auth(token);
        if !last.is_empty() {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
        assert_eq!(header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(header("x-accel-buffering").as_deref(), Some("no"));
        Ok(Stream { response, received: String::new() })
    }

    /// Writes one chunk of changes to the log of the first one's slot; at most `keep` entries stay.
    pub(crate) async fn log_trimmed(&self, context: Context, changes: &[Change], keep: usize) {
        let slot: Slot = self.slot(context, changes[0].0);
        let mut add = redis::cmd("XADD");
        add.arg(slot.log()).arg("MAXLEN").arg(keep).arg("*").arg("changes").arg(serde_json::to_string(changes).unwrap());
        self.command(&add).await;
    }

    pub(crate) async fn log(&self, context: Context, changes: &[Change]) {
        self.log_trimmed(context, changes, 1_000_000).await;
    }
}

pub(crate) fn change(id: Uuid, version: u64, event_type: &str) -> Change {
    Change(id, version, event_type.to_owned())
}
