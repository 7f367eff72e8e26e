//! Records of a topic, kept in memory to be sent again: as many bytes as they had, and little more.

use std::time::Instant;

use rdkafka::{
    Message as _,
    message::{Header, Headers as _, OwnedHeaders},
    producer::BaseRecord,
};

use super::{Sender, key, read_all};
use crate::rate::per_second;

/// All records of a topic.
pub(crate) struct Records {
    /// The names of headers: all records share a few.
    names: Vec<String>,
    records: Vec<Record>,
}

struct Record {
    /// The key, then the payload, then the headers' values.
    bytes: Box<[u8]>,
    key: usize,
    payload: usize,
    /// The index of the name, and the length of the value.
    headers: Box<[(u8, u16)]>,
    timestamp: i64,
}

impl Records {
    /// Reads them all. Blocks.
    pub(crate) fn read(topic: &str) -> anyhow::Result<Self> {
        let mut all = Self { names: Vec::new(), records: Vec::new() };
        read_all(topic, |message| {
            let (key, payload) = (key(message), message.payload().unwrap_or_default());
            let mut bytes = [key, payload].concat();
            let mut headers = Vec::new();
            for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
                let value = header.value.unwrap_or_default();
                bytes.extend_from_slice(value);
                headers.push((all.name(header.key), u16::try_from(value.len()).unwrap_or(u16::MAX)));
            }
            all.records.push(Record {
                key: key.len(),
                payload: payload.len(),
                bytes: bytes.into(),
                headers: headers.into(),
                timestamp: message.timestamp().to_millis().unwrap_or_default(),
            });
        })?;
        Ok(all)
    }

    /// How many.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The bytes of keys, payloads and headers of one record, on average.
    #[must_use]
    pub(crate) fn bytes_each(&self) -> usize {
        let of = |record: &Record| {
            let names = record.headers.iter().map(|(name, _)| self.names[usize::from(*name)].len());
            record.bytes.len() + names.sum::<usize>()
        };
        self.records.iter().map(of).sum::<usize>() / self.records.len().max(1)
    }

    /// Sends them all to another topic; tells how many a second, from the first send until all have arrived. Blocks.
    pub(crate) fn send(&self, topic: &str) -> anyhow::Result<f64> {
        let sender = Sender::open(topic)?;
        let begun = Instant::now();
        for record in &self.records {
            sender.send(self.record(topic, record))?;
        }
        sender.finish()?;
        Ok(per_second(self.records.len() as u64, begun.elapsed()))
    }

    fn record<'r>(&self, topic: &'r str, record: &'r Record) -> BaseRecord<'r, [u8], [u8]> {
        let (key, rest) = record.bytes.split_at(record.key);
        let (payload, mut values) = rest.split_at(record.payload);
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (name, length) in &record.headers {
            let (value, others) = values.split_at(usize::from(*length));
            headers = headers.insert(Header { key: &self.names[usize::from(*name)], value: Some(value) });
            values = others;
        }
        BaseRecord::to(topic).key(key).payload(payload).timestamp(record.timestamp).headers(headers)
    }

    fn name(&mut self, name: &str) -> u8 {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        u8::try_from(index).unwrap_or(u8::MAX)
    }
}
