//! Writers: actors that execute commands and commit them in groups.
//!
//! A few writers share the lanes. Each has a bounded mailbox, a bounded cache of aggregates and one append in flight. While
//! that commits, arriving commands wait in the mailbox; the next batch takes all that wait. Few writers make large
//! batches, and large batches make a commit cheap.

mod batch;
mod execute;
mod failure;
mod traced;

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use events::{DomainEvent, StreamId};
use futures::FutureExt;
use metrics::{Gauge, gauge};
use service_kit::trace::Span;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tracing::error;

use self::execute::Writer;
use super::{
    command::{Receipt, Refusal, Request, Submission},
    lane::{Lane, Lanes},
};
use crate::{domain::Aggregate, outbound::postgres::PostgresStore};

/// How long a writer that panicked waits before it takes commands again, so that a panic in a loop doesn't burn a core.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// How the writers of a context run.
#[derive(Debug, Clone, Copy)]
pub struct WriterConfig {
    /// How many there are: about as many as Postgres has cores for them.
    pub writers: usize,
    /// Commands that may wait for each.
    pub mailbox: usize,
    /// Aggregates that each keeps in memory.
    pub cache: usize,
    /// Commands in one batch, at most.
    pub batch_commands: usize,
    /// Bytes of event data in one batch, at most (one command may exceed it alone).
    pub batch_bytes: usize,
    /// A snapshot is kept each time a stream's version passes a multiple of this.
    pub snapshot_every: u64,
}

/// What a writer tells after a commit.
pub struct Committed<'a, A> {
    /// The heads that the batch left, by lane.
    pub heads: &'a [(Lane, u64)],
    /// The changed aggregates with their versions.
    pub changed: &'a mut dyn Iterator<Item = (StreamId, u64, &'a A)>,
}

/// Called by the writers after each commit. Must not block.
pub type OnCommit<A> = Arc<dyn Fn(Committed<'_, A>) + Send + Sync>;

/// What to do when the mailbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Refuse: for callers that can back off.
    Refuse,
    /// Wait: for bulk callers that bound what they have in flight.
    Wait,
}

/// The answer to a submitted command, once it comes.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<Receipt, Refusal>>);

impl Future for Answer {
    type Output = Result<Receipt, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        // A dropped sender means that the writer panicked with this command in its batch.
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Refusal::Failed)))
    }
}

/// The writers of one context.
pub struct Writers<A: Aggregate> {
    lanes: Lanes,
    mailboxes: Vec<Mailbox<A>>,
}

struct Mailbox<A: Aggregate> {
    sender: mpsc::Sender<Submission<A>>,
    depth: Gauge,
}

impl<A: Aggregate> Writers<A> {
    /// Starts them. They end, having finished what was submitted, when this value is dropped.
    #[must_use]
    pub fn start(store: &PostgresStore, config: WriterConfig, on_commit: &OnCommit<A>) -> (Self, Vec<JoinHandle<()>>) {
        let context = <A::Event as DomainEvent>::CONTEXT;
        let (mailboxes, tasks) = (0..config.writers)
            .map(|index| {
                let (sender, receiver) = mpsc::channel(config.mailbox);
                let labels = [("context", context.name().to_owned()), ("writer", index.to_string())];
                gauge!("orderflow_mailbox_capacity_commands", &labels).set(u32::try_from(config.mailbox).unwrap_or(u32::MAX));
                let depth = gauge!("orderflow_mailbox_commands", &labels);
                let task = tokio::spawn(supervise(store.clone(), config, Arc::clone(on_commit), receiver, depth.clone()));
                (Mailbox { sender, depth }, task)
            })
            .unzip();
        (Self { lanes: store.lanes(), mailboxes }, tasks)
    }

    /// Whether no writer would take another command now.
    #[must_use]
    pub fn are_full(&self) -> bool {
        self.mailboxes.iter().all(|mailbox| mailbox.sender.capacity() == 0)
    }

    /// Submits a command. When this returns, the command has its place in the order of its stream; the answer follows.
    pub async fn submit(
        &self,
        stream: StreamId,
        command: A::Command,
        request: Request,
        mut span: Span,
        admission: Admission,
    ) -> Result<Answer, Refusal> {
        let mailbox = self.mailbox(stream);
        let (reply, answer) = oneshot::channel();
        if span.is_recorded() {
            span.set("orderflow.stream.id", stream.to_string());
            span.phase(traced::WAIT);
        }
        // Where the writer dies of it, the caller hears that it has failed.
        let span = span.unless_done(Refusal::Failed.name());
        let submission = Submission { stream, command, request, reply, span };
        let refused = match admission {
            Admission::Refuse => mailbox.sender.try_send(submission).err().map(|refused| match refused {
                mpsc::error::TrySendError::Full(submission) => (submission, Refusal::Overloaded),
                mpsc::error::TrySendError::Closed(submission) => (submission, Refusal::Unavailable),
            }),
            Admission::Wait => {
                let sent = mailbox.sender.send(submission).await;
                sent.err().map(|mpsc::error::SendError(submission)| (submission, Refusal::Unavailable))
            }
        };
        if let Some((submission, refusal)) = refused {
            submission.answer(Err(refusal.clone()));
            return Err(refusal);
        }
        mailbox.note_depth();
        Ok(Answer(answer))
    }

    fn mailbox(&self, stream: StreamId) -> &Mailbox<A> {
        let lane = usize::from(self.lanes.of(stream).0);
        &self.mailboxes[lane % self.mailboxes.len()]
    }
}

impl<A: Aggregate> Mailbox<A> {
    fn note_depth(&self) {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        self.depth.set(u32::try_from(waiting).unwrap_or(u32::MAX));
    }
}

/// Runs a writer, and a new one with an empty cache when it panics. The mailbox lives on.
async fn supervise<A: Aggregate>(
    store: PostgresStore,
    config: WriterConfig,
    on_commit: OnCommit<A>,
    mut mailbox: mpsc::Receiver<Submission<A>>,
    depth: Gauge,
) {
    let context = store.context();
    let panics = metrics::counter!("orderflow_writer_panics_total", "context" => context.name());
    loop {
        let writer = Writer::new(store.clone(), config, Arc::clone(&on_commit));
        match AssertUnwindSafe(writer.run(&mut mailbox, &depth)).catch_unwind().await {
            Ok(()) => return,
            Err(_) => {
                // The panic hook has logged the message and the place.
                error!(%context, "a writer panicked and starts anew with an empty cache");
                panics.increment(1);
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    }
}
