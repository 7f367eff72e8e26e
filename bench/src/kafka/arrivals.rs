//! When events became readable: a `read_committed` consumer on a thread of its own.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use rdkafka::consumer::BaseConsumer;
use uuid::Uuid;

use super::{assign, consumer, end, key};

/// How long one look for messages lasts, so that the end is noticed.
const LOOK: Duration = Duration::from_millis(50);

/// What is not there after so long never comes.
const BOUND: Duration = Duration::from_secs(30);

/// A consumer that notes when it sees each key for the first time.
pub(crate) struct Arrivals {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<anyhow::Result<HashMap<Uuid, Instant>>>,
}

impl Arrivals {
    /// Watches a topic from its end on.
    pub(crate) fn watch(topic: &str) -> anyhow::Result<Self> {
        // The broker answers as soon as there is something; the wait only bounds how long it holds an empty answer back.
        let consumer: BaseConsumer = consumer().set("fetch.wait.max.ms", "10").set("fetch.min.bytes", "1").create()?;
        assign(&consumer, topic, |partition| end(&consumer, topic, partition))?;
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let mut seen = HashMap::new();
            while !stopped.load(Ordering::Relaxed) {
                let Some(message) = consumer.poll(LOOK) else { continue };
                let (message, now) = (message?, Instant::now());
                seen.entry(Uuid::try_parse_ascii(key(&message))?).or_insert(now);
                counted.store(seen.len(), Ordering::Relaxed);
            }
            Ok(seen)
        });
        Ok(Self { stop, count, thread })
    }

    /// What was seen, and when: once there are so many, or when no more can be expected.
    pub(crate) async fn end(self, wanted: usize) -> anyhow::Result<HashMap<Uuid, Instant>> {
        let deadline = Instant::now() + BOUND;
        while self.count.load(Ordering::Relaxed) < wanted && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the consumer's thread panicked"))?
    }
}
