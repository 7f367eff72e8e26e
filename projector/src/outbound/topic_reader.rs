//! Reading a topic on demand, apart from the consumer group: for verification and for one order's journey. Blocks.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use events::Envelope;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers},
};

/// How long a question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long nothing may come before the brokers count as gone.
const SILENCE: Duration = Duration::from_secs(30);
/// Events are published after they were recorded, but by another clock.
const CLOCKS: i64 = 5_000;

/// Reads the committed records of one topic.
pub struct TopicReader {
    consumer: BaseConsumer,
    topic: String,
}

/// A record's place and the broker's time of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's timestamp.
    pub at: Option<DateTime<Utc>>,
}

/// What the logs of a topic's partitions have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// The partitions.
    pub partitions: u32,
    /// Records that there are about, over all of them.
    pub records: i64,
    /// Those whose log no longer begins at its beginning.
    pub cut: HashSet<u32>,
}

/// Whether to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Yes.
    Continue,
    /// No.
    Stop,
}

impl TopicReader {
    /// A reader of `topic`. Nothing is asked yet.
    pub fn new(brokers: &str, topic: String) -> KafkaResult<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "orderflow-projector-reader")
            // It takes no part in a group; librdkafka wants a name all the same.
            .set("group.id", "orderflow-projector-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "8192")
            .create()?;
        Ok(Self { consumer, topic })
    }

    /// What there is to be read.
    pub fn extent(&self) -> KafkaResult<Extent> {
        let partitions = self.partitions()?;
        let mut extent = Extent { partitions: u32::try_from(partitions.len()).unwrap_or(0), ..Extent::default() };
        for partition in partitions {
            let (low, high) = self.consumer.fetch_watermarks(&self.topic, partition, TIMEOUT)?;
            extent.records += high - low;
            if low > 0 {
                extent.cut.extend(u32::try_from(partition));
            }
        }
        Ok(extent)
    }

    /// Gives every record to `each`, each partition in order, until the end was reached and `at_end` says to stop.
    pub fn read_all(
        &self,
        mut each: impl FnMut(Place, &Result<Envelope<'_>, String>) -> Then,
        mut at_end: impl FnMut() -> Then,
    ) -> KafkaResult<()> {
        let partitions = self.partitions()?;
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            assignment.add_partition_offset(&self.topic, *partition, Offset::Beginning)?;
        }
        self.consumer.assign(&assignment)?;
        let mut open: HashSet<i32> = partitions.into_iter().collect();
        self.poll(|event| match event {
            Event::Record(message) => each(place(message), &envelope(message)),
            Event::End(partition) => {
                open.remove(&partition);
                if open.is_empty() { at_end() } else { Then::Continue }
            }
            Event::Nothing if open.is_empty() => at_end(),
            Event::Nothing => Then::Continue,
        })
    }

    /// Looks for records of a partition from about a time on: `is_it` says of each record whether it is the one. None when
    /// it is not among the next `most` records, and whether the end was reached.
    pub fn find(
        &self,
        partition: i32,
        since: DateTime<Utc>,
        most: usize,
        mut is_it: impl FnMut(&Envelope<'_>) -> bool,
    ) -> KafkaResult<(Option<Place>, bool)> {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&self.topic, partition, Offset::Offset((since.timestamp_millis() - CLOCKS).max(0)))?;
        let offsets = self.consumer.offsets_for_times(times, TIMEOUT)?;
        let Some(Offset::Offset(offset)) =
            offsets.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset)
        else {
            return Ok((None, true));
        };
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        self.consumer.assign(&assignment)?;
        let (mut found, mut read, mut is_end) = (None, 0, false);
        self.poll(|event| match event {
            Event::Record(message) => {
                read += 1;
                if envelope(message).is_ok_and(|envelope| is_it(&envelope)) {
                    found = Some(place(message));
                }
                if found.is_some() || read >= most { Then::Stop } else { Then::Continue }
            }
            Event::End(_) => {
                is_end = true;
                Then::Stop
            }
            Event::Nothing => Then::Continue,
        })?;
        Ok((found, is_end))
    }

    fn poll(&self, mut take: impl FnMut(Event<'_>) -> Then) -> KafkaResult<()> {
        let mut heard = Instant::now();
        loop {
            let polled = self.consumer.poll(POLL);
            let event = match &polled {
                Some(Ok(message)) => Event::Record(message),
                Some(Err(KafkaError::PartitionEOF(partition))) => Event::End(*partition),
                Some(Err(error)) if heard.elapsed() > SILENCE => return Err(error.clone()),
                Some(Err(_)) => continue,
                None if heard.elapsed() > SILENCE => {
                    return Err(KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut));
                }
                None => Event::Nothing,
            };
            if !matches!(event, Event::Nothing) {
                heard = Instant::now();
            }
            if take(event) == Then::Stop {
                return Ok(());
            }
        }
    }

    fn partitions(&self) -> KafkaResult<Vec<i32>> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), TIMEOUT)?;
        let topic = metadata.topics().first();
        Ok(topic
            .map(|topic| topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
            .unwrap_or_default())
    }
}

enum Event<'m> {
    Record(&'m BorrowedMessage<'m>),
    End(i32),
    Nothing,
}

fn place(message: &BorrowedMessage<'_>) -> Place {
    let at = message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis);
    Place { partition: message.partition(), offset: message.offset(), at }
}

fn envelope<'m>(message: &'m BorrowedMessage<'_>) -> Result<Envelope<'m>, String> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let envelope = Envelope::from_headers(headers.filter_map(|header| Some((header.key, header.value?))));
    envelope.map_err(|error| error.to_string())
}

/// What a topic has of each stream, counted while it is read.
#[derive(Debug, Default)]
pub struct Sequence {
    last: HashMap<uuid::Uuid, u64>,
    missing: HashSet<(uuid::Uuid, u64)>,
}

/// How a record follows those of its stream before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// It is the next.
    InOrder,
    /// It is, but versions before it have not come.
    AfterGap,
    /// It fills such a gap.
    Late,
    /// It has been there before.
    Again,
}

impl Sequence {
    /// Notes a record.
    pub fn note(&mut self, stream: uuid::Uuid, version: u64) -> Follows {
        /// Missing versions that are remembered of one gap.
        const GAP: u64 = 10_000;
        let last = self.last.entry(stream).or_default();
        if version <= *last {
            return if self.missing.remove(&(stream, version)) { Follows::Late } else { Follows::Again };
        }
        let first = *last + 1;
        *last = version;
        if version == first {
            return Follows::InOrder;
        }
        self.missing.extend((first..version).take(usize::try_from(GAP).unwrap_or(usize::MAX)).map(|missing| (stream, missing)));
        Follows::AfterGap
    }

    /// Notes that versions of a stream up to this one are not to come, as nothing of it has come yet.
    pub fn skip(&mut self, stream: uuid::Uuid, version: u64) {
        self.last.entry(stream).or_insert(version);
    }

    /// The last version of a stream; 0 for none.
    #[must_use]
    pub fn last(&self, stream: uuid::Uuid) -> u64 {
        self.last.get(&stream).copied().unwrap_or(0)
    }

    /// Versions that did not come although later ones did.
    pub fn missing(&self) -> impl Iterator<Item = &(uuid::Uuid, u64)> {
        self.missing.iter()
    }

    /// The streams that have records.
    pub fn streams(&self) -> impl Iterator<Item = &uuid::Uuid> {
        self.last.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_duplicates_from_gaps_and_from_what_comes_late() {
        let stream = uuid::Uuid::from_u128(1);
        let mut sequence = Sequence::default();
        let followed: Vec<_> = [1, 2, 2, 5, 3, 3].into_iter().map(|version| sequence.note(stream, version)).collect();
        use Follows::{AfterGap, Again, InOrder, Late};
        assert_eq!(followed, [InOrder, InOrder, Again, AfterGap, Late, Again]);
        assert_eq!(sequence.missing().collect::<Vec<_>>(), [&(stream, 4)]);
        assert_eq!((sequence.last(stream), sequence.last(uuid::Uuid::nil())), (5, 0));
    }

    #[test]
    fn what_is_not_to_come_is_no_gap() {
        let stream = uuid::Uuid::from_u128(1);
        let mut sequence = Sequence::default();
        sequence.skip(stream, 3);
        assert_eq!([4, 6].map(|version| sequence.note(stream, version)), [Follows::InOrder, Follows::AfterGap]);
        sequence.skip(stream, 9);
        assert_eq!((sequence.last(stream), sequence.missing().collect::<Vec<_>>()), (6, vec![&(stream, 5)]));
    }
}
