//! One partition: its records in order, again until they are handled.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use events::Context;
use futures::FutureExt;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Message as _},
};
use service_kit::trace::{Message, Messages, Operation};
use tokio_util::sync::CancellationToken;

use crate::{Handler, Received, group::GroupContext, record::Read, status::PartitionStatus};

/// The first pause after a failure.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause: what a repaired dependency waits for at most.
const LONGEST: Duration = Duration::from_secs(5);

/// How long a handler that is at work may go on when its partition is taken away. What it has not done by then is dropped,
/// is not committed, and comes to whoever has the partition next.
const FINISH: Duration = Duration::from_secs(3);

/// The partition was taken away, or the process ends.
struct Stopped;

/// One partition that this process has.
pub(crate) struct Worker<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) consumer: Arc<StreamConsumer<GroupContext>>,
    pub(crate) queue: StreamPartitionQueue<GroupContext>,
    pub(crate) context: Context,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The consumer group.
    pub(crate) group: Arc<str>,
    pub(crate) batch: usize,
    pub(crate) status: Arc<PartitionStatus>,
    pub(crate) stop: CancellationToken,
}

/// Some records that were waiting.
#[derive(Default)]
struct Batch {
    records: Vec<Read>,
    /// The offset after the last of them.
    next: Option<i64>,
    /// Whether these were all that the topic has, if that is heard of.
    at_end: Option<bool>,
}

impl<H: Handler> Worker<H> {
    /// Works until it is told to stop, and commits what it has handled.
    pub(crate) async fn run(self) {
        let mut handled = None;
        while let Some(batch) = self.stop.run_until_cancelled(self.take()).await {
            if self.deliver(batch.records).await.is_err() {
                break;
            }
            self.status.moved(batch.next, batch.at_end);
            if let Some(next) = batch.next {
                handled = Some(next);
                self.warn_of(self.commit(next, CommitMode::Async));
            }
        }
        // A commit that nobody waits for may be overtaken by leaving the group.
        let Some(next) = handled else { return };
        let committed = tokio::task::spawn_blocking(move || self.warn_of(self.commit(next, CommitMode::Sync))).await;
        if let Err(error) = committed {
            tracing::error!(%error, "the last commit of a partition failed");
        }
    }

    /// Waits for a record, and takes what is there with it.
    async fn take(&self) -> Batch {
        let mut batch = Batch::default();
        self.add(&mut batch, self.queue.recv().await);
        while batch.records.len() < self.batch {
            let Some(polled) = self.queue.recv().now_or_never() else { break };
            self.add(&mut batch, polled);
        }
        batch
    }

    fn add(&self, batch: &mut Batch, polled: KafkaResult<BorrowedMessage<'_>>) {
        match polled {
            Ok(message) => {
                batch.next = Some(message.offset() + 1);
                batch.at_end = Some(false);
                batch.records.push(Read::of(self.context, &message));
            }
            Err(KafkaError::PartitionEOF(_)) => batch.at_end = Some(true),
            // librdkafka goes on by itself.
            Err(error) => {
                tracing::warn!(kafka.topic = self.topic, kafka.partition = self.partition, %error, "fetching fails");
            }
        }
    }

    async fn deliver(&self, records: Vec<Read>) -> Result<(), Stopped> {
        let context = self.context.name();
        let mut events: Vec<Received> = Vec::with_capacity(records.len());
        for record in records {
            match record {
                Read::Event(event) => events.push(event),
                Read::Unknown => metrics::counter!("orderflow_consumer_unknown_records_total", "context" => context).increment(1),
                Read::Unreadable { position, key, why } => {
                    // What came before it first.
                    self.hand_over(&mut events).await?;
                    tracing::error!(kafka.topic = self.topic, kafka.partition = self.partition, kafka.offset = position.offset,
                        error = %why, "a record can't be read");
                    let (handler, position, key, why): (&H, _, _, _) = (&self.handler, &position, key.as_deref(), &why);
                    self.until_done(|| handler.unreadable(position, key, why)).await?;
                    metrics::counter!("orderflow_consumer_unreadable_records_total", "context" => context).increment(1);
                }
            }
        }
        self.hand_over(&mut events).await
    }

    async fn hand_over(&self, events: &mut Vec<Received>) -> Result<(), Stopped> {
        if events.is_empty() {
            return Ok(());
        }
        let (handler, records): (&H, &[Received]) = (&self.handler, events);
        let partition = u32::try_from(self.partition).ok();
        let mut spans = Messages::begin(Operation::Process, &self.topic, partition, records.iter().map(message));
        spans.set("messaging.consumer.group.name", Arc::clone(&self.group));
        let failures = self.until_done(|| handler.handle(records)).await?;
        if failures > 0 {
            spans.set("orderflow.retries", i64::from(failures));
        }
        spans.done();
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        metrics::counter!("orderflow_consumer_records_total", "context" => self.context.name()).increment(count);
        events.clear();
        Ok(())
    }

    /// Runs `attempt` until it succeeds, and says how often it failed before. One that panics has failed.
    async fn until_done<F>(&self, attempt: impl Fn() -> F + Sync) -> Result<u32, Stopped>
    where
        F: Future<Output = Result<(), H::Error>> + Send,
    {
        let mut pause = FIRST;
        let mut failures = 0_u32;
        loop {
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(async { attempt().await }).catch_unwind() => outcome,
                () = self.out_of_time() => return Err(Stopped),
            };
            match outcome {
                Ok(Ok(())) => {
                    if failures > 0 {
                        self.status.set_trouble(None);
                        tracing::info!(kafka.topic = self.topic, kafka.partition = self.partition, failures, "goes on");
                    }
                    return Ok(failures);
                }
                Ok(Err(error)) => self.note(&mut failures, &error),
                // Its place and message are in the log.
                Err(_) => self.note(&mut failures, &"the handler panicked"),
            }
            // Partitions that wait for the same thing should not all come back at the same moment.
            let jitter = fastrand::f64().mul_add(0.5, 0.75);
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
                () = self.stop.cancelled() => return Err(Stopped),
            }
            pause = LONGEST.min(pause * 2);
        }
    }

    fn note(&self, failures: &mut u32, error: &dyn fmt::Display) {
        *failures += 1;
        metrics::counter!("orderflow_consumer_retries_total", "context" => self.context.name()).increment(1);
        // The first and then ever more rarely: an outage of an hour is no reason for a thousand lines.
        if failures.is_power_of_two() {
            tracing::warn!(kafka.topic = self.topic, kafka.partition = self.partition, failures, %error, "the partition waits");
        }
        self.status.set_trouble(Some(error.to_string()));
    }

    async fn out_of_time(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(FINISH).await;
    }

    fn commit(&self, next: i64, mode: CommitMode) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::with_capacity(1);
        offsets.add_partition_offset(&self.topic, self.partition, Offset::Offset(next))?;
        self.consumer.commit(&offsets, mode)
    }

    /// What is not committed comes again, which a handler is prepared for.
    fn warn_of(&self, committed: KafkaResult<()>) {
        if let Err(error) = committed {
            tracing::warn!(kafka.topic = self.topic, kafka.partition = self.partition, %error, "an offset was not committed");
        }
    }
}

fn message(received: &Received) -> Message<'_> {
    let envelope = &received.envelope;
    let (traceparent, offset) = (envelope.traceparent.as_deref(), Some(received.position.offset));
    Message { traceparent, id: envelope.id.0, key: envelope.stream_id, offset }
}
