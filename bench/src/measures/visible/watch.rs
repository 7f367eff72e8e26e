//! Seeing views appear: a thread that asks Redis for those that are still missing, again and again.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, TryRecvError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use events::Context;
use hdrhistogram::Histogram;
use read_model::{Generation, keys};
use redis::Commands as _;
use uuid::Uuid;

use crate::load::histogram;

/// The pause between two looks; with the round trip about a millisecond.
const LOOK: Duration = Duration::from_micros(700);
/// Views asked for at a time. More are missing only when the system falls behind, and then the oldest come first.
const ASKED: usize = 64;
/// A view that takes longer never comes.
const BOUND: Duration = Duration::from_secs(60);

/// An order that was answered.
pub(super) struct Answer {
    pub(super) order: Uuid,
    pub(super) at: Instant,
}

/// Looks for the views of orders.
pub(super) struct Watch {
    connection: redis::Connection,
    prefix: String,
    generation: Generation,
}

impl Watch {
    /// In the generation that readers read.
    pub(super) fn new(url: &str, prefix: &str) -> anyhow::Result<Self> {
        let mut connection = redis::Client::open(url)?.get_connection()?;
        let generation: String = connection.hget(keys::generations(prefix), Context::Orders.name())?;
        Ok(Self { connection, prefix: prefix.to_owned(), generation: serde_json::from_str(&generation)? })
    }

    /// How long the views took, in microseconds, of answers from `counted` on; until nobody can tell of more.
    pub(super) fn run(mut self, answers: &Receiver<Answer>, counted: Instant) -> anyhow::Result<Histogram<u64>> {
        let mut delays = histogram();
        let mut missing: VecDeque<(String, Instant)> = VecDeque::new();
        loop {
            let ended = loop {
                match answers.try_recv() {
                    Ok(answer) => missing.push_back((self.key(answer.order), answer.at)),
                    Err(error) => break error == TryRecvError::Disconnected,
                }
            };
            if ended && missing.is_empty() {
                return Ok(delays);
            }
            let visible = self.visible(&missing)?;
            let now = Instant::now();
            for index in visible.into_iter().rev() {
                let (_, at) = missing.remove(index).context("one that was asked for")?;
                if at >= counted {
                    delays.record(u64::try_from((now - at).as_micros())?.max(1))?;
                }
            }
            ensure!(missing.front().is_none_or(|(_, at)| at.elapsed() < BOUND), "a view did not come within {BOUND:?}");
            std::thread::sleep(LOOK);
        }
    }

    /// Which of the first are there.
    fn visible(&mut self, missing: &VecDeque<(String, Instant)>) -> anyhow::Result<Vec<usize>> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for (key, _) in missing.iter().take(ASKED) {
            pipeline.exists(key);
        }
        let there: Vec<bool> = pipeline.query(&mut self.connection)?;
        Ok(there.into_iter().enumerate().filter_map(|(index, there)| there.then_some(index)).collect())
    }

    fn key(&self, order: Uuid) -> String {
        self.generation.slot_of(&self.prefix, Context::Orders, order).view(order)
    }
}
