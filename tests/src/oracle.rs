//! Decides whether every acknowledged command is in Postgres, on Kafka, in Redis and in the query service's answers:
//! exactly once, in order, and nothing else.
//!
//! It has its own code for everything: SQL, a plain consumer, plain Redis commands, its own hash, its own folds.

mod evidence;
mod fold;
mod http;
mod kafka;
mod murmur2;
mod postgres;
mod redis;

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{context::Context, ledger::Ledger, stack::Stack};
use kafka::Record;
use postgres::Stored;

pub use murmur2::partition_of;

/// How long the read side may take to have everything, once nothing more is sent. A projector or a query service that
/// was stopped or killed in the last moment is part of it.
const SETTLE: Duration = Duration::from_secs(240);
/// How long the query service's answers may be behind Redis: statistics are cached for a second.
const BEHIND: Duration = Duration::from_secs(60);
/// The pause between two looks at all of it.
const SETTLE_LOOK: Duration = Duration::from_millis(300);
/// Findings that are shown.
const SHOWN: usize = 25;

/// How often an event may be on Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Once.
    Exactly,
    /// Once or more often.
    AtLeast,
}

/// The oracle for one stack.
#[derive(Debug)]
pub struct Oracle<'a> {
    stack: &'a Stack,
    delivery: Delivery,
    parked: BTreeMap<(Context, Uuid), u64>,
    ledger: &'a Ledger,
    patience: Duration,
    settling: Duration,
}

/// Everything that was found in the servers of one context.
struct Found {
    context: Context,
    stored: Vec<Stored>,
    records: Vec<Record>,
}

impl<'a> Oracle<'a> {
    /// The oracle for this stack, with the strictest demands.
    #[must_use]
    pub fn of(stack: &'a Stack) -> Self {
        let (delivery, parked) = (Delivery::Exactly, BTreeMap::new());
        Self { stack, delivery, parked, ledger: &stack.ledger, patience: BEHIND, settling: SETTLE }
    }

    /// Events may be on Kafka more than once.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.delivery = Delivery::AtLeast;
        self
    }

    /// Expects what is wrong, and so does not wait for it to become right.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        (self.patience, self.settling) = (Duration::ZERO, Duration::ZERO);
        self
    }

    /// Compares with another ledger than the stack's.
    #[must_use]
    pub fn with_ledger(mut self, ledger: &'a Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// This stream must be parked from this version on.
    #[must_use]
    pub fn parked(mut self, context: Context, stream: Uuid, version: u64) -> Self {
        self.parked.insert((context, stream), version);
        self
    }

    /// Waits until everything has arrived, looks at all of it, and fails with what is wrong.
    ///
    /// # Panics
    ///
    /// When anything is wrong.
    pub async fn verify(&self) {
        let findings = self.verdict().await;
        let shown: Vec<_> = findings.iter().take(SHOWN).map(String::as_str).collect();
        assert!(findings.is_empty(), "the oracle found {} faults:\n  {}", findings.len(), shown.join("\n  "));
    }

    /// Waits until everything has arrived, and says what is wrong. What never arrives keeps it from nothing: the rest tells
    /// which event it is, and from when.
    pub async fn verdict(&self) -> Vec<String> {
        let outstanding = self.outstanding().await;
        outstanding.into_iter().chain(self.findings().await).collect()
    }

    /// Fails unless Kafka has every event that is stored, now.
    ///
    /// # Panics
    ///
    /// When one is missing, or is there twice.
    pub async fn published(&self) {
        for context in Context::ALL {
            let stored = postgres::read(self.stack.database_url(context), context).await;
            let mut findings = Vec::new();
            kafka::check(context, &stored, &kafka::read(self.stack, context).await, self.delivery, &mut findings);
            assert!(findings.is_empty(), "{findings:#?}");
        }
    }

    /// Waits until Kafka has as many events as Postgres, and the checkpoints in Redis are behind the last of them.
    ///
    /// # Panics
    ///
    /// When that does not come about.
    pub async fn settle(&self) {
        let outstanding = self.outstanding().await;
        assert!(outstanding.is_none(), "in {} after {:?}: {}", self.stack.name, self.settling, outstanding.unwrap_or_default());
    }

    /// What has not arrived when nobody waits any longer.
    async fn outstanding(&self) -> Option<String> {
        for context in Context::ALL {
            let deadline = Instant::now() + self.settling;
            while let Some(late) = self.late(context).await {
                if Instant::now() > deadline {
                    return Some(late);
                }
                sleep(SETTLE_LOOK).await;
            }
        }
        None
    }

    /// What of a context is on its way.
    async fn late(&self, context: Context) -> Option<String> {
        let stack = self.stack;
        let stored = postgres::count(stack.database_url(context), context).await;
        let records = kafka::read(stack, context).await;
        let published = kafka::distinct(&records);
        if published < stored {
            return Some(format!("{context}: of {stored} events {published} are on Kafka"));
        }
        let Some(checkpoints) = redis::checkpoints(stack, context).await else {
            return Some("Redis does not answer".to_owned());
        };
        let behind = redis::behind(&checkpoints, &records);
        (!behind.is_empty()).then(|| format!("{context}: checkpoints by partition, where they are and should be: {behind:?}"))
    }

    /// What is wrong.
    pub async fn findings(&self) -> Vec<String> {
        let stack = self.stack;
        let mut findings = self.ledger.contradictions();
        let (entries, doubts) = (self.ledger.entries(), self.ledger.doubts());
        let mut contexts = Vec::new();
        for context in Context::ALL {
            let stored = postgres::read(stack.database_url(context), context).await;
            let entries: Vec<_> = entries.iter().filter(|entry| entry.context == context).collect();
            postgres::check(context, &stored, &entries, &doubts, &mut findings);
            let records = kafka::read(stack, context).await;
            kafka::check(context, &stored, &records, self.delivery, &mut findings);
            contexts.push(Found { context, stored, records });
        }
        let views = fold::fold(&contexts, &entries, &self.parked, &mut findings);
        let held = redis::read(stack).await;
        redis::check(stack, &contexts, &views, &held, &mut findings);
        http::check(stack, &views, &held, self.patience, &mut findings).await;
        if !findings.is_empty() {
            evidence::keep(stack, &contexts, &entries, &findings);
        }
        findings
    }
}

/// How many different events of a context are on Kafka.
pub async fn published(stack: &Stack, context: Context) -> usize {
    kafka::distinct(&kafka::read(stack, context).await)
}

/// The headers of the dead letters, by partition and offset.
pub async fn dead_letters(stack: &Stack) -> Vec<BTreeMap<String, String>> {
    let (brokers, topic) = (stack.topics.brokers.clone(), stack.topics.dead_letters());
    let records = tokio::task::spawn_blocking(move || kafka::read_topic(&brokers, &topic)).await.expect("the topic is read");
    records.into_iter().map(|record| record.headers).collect()
}
